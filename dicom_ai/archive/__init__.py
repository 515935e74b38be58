"""Asking an archive: what it holds of a study we reported on, and one document at a time out of it."""
