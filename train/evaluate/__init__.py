"""Predictions to a report: how good a network is, how sure that is, and where it fails."""
