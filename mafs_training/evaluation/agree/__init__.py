"""`mafs-eval agree`: two backends or precisions of the same weights."""
