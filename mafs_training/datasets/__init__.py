"""Data sets: where pairs come from, and how training draws from them."""
