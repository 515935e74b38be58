"""Simulate: an ultrasound phantom, the scanner that sends it, and a PACS with bad manners. Never a hospital's data."""
