"""Deliver: stored objects and results reach their destinations, confirmed or held (edge: sockets)."""
