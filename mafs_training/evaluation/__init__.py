"""
Evaluation of fused images, label images, models and bags: the command `mafs-eval`.

This file imports nothing, so that `mafs-eval --help` is fast.
"""
