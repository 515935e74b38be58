"""Measurements that a person can repeat on the spot: what leaves the crop, what is lost, and how long it takes."""
