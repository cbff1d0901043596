"""Offline training, data preparation and evaluation; never imported by a node."""
