"""Crop: an object becomes the pixels of its scan area, or a reason; nothing outside travels further (pure)."""
