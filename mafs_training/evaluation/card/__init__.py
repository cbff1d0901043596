"""`mafs-eval card`: the numbers of a model card."""
