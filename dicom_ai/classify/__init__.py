"""Classify: kept pixels become scores and activation maps (edge: the device)."""
