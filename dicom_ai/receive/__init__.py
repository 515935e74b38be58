"""Receive: what a scanner sends becomes spooled bytes, checked and answered truthfully (edge: sockets)."""
