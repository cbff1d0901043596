"""`mafs-eval panels`: pairs to look at, the worst included."""
