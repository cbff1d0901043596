"""`mafs-eval fusion`: folders of fused images, or weights, against the trivial baselines."""
