"""`mafs-eval flicker`: change of fused images along a sequence."""
