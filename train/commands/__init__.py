"""The commands of `python -m train`, one module each; no logic of their own."""
