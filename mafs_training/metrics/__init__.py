"""
Metrics of fused images and label images.

Functions of arrays live in the modules `fusion` (all of one pair at once), `intensity`, `ssim`,
`vif`, `qabf`, `segmentation`, `boundary`, `calibration` and `bootstrap`; `torch_modules` wraps
them for torchmetrics. This file imports nothing, so that a caller pays only for what it uses.
"""
