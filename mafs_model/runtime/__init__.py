"""Engines: what turns one pair of prepared images into fused image, labels and confidence."""
