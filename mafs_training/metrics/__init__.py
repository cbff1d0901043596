"""
Metrics of fused images and label images.

Functions of arrays live in the modules `fusion` (the table of all that are measured on a pair),
`detail`, `intensity`, `ssim`, `vif`, `qabf`, `box_contrast`, `contrast`, `objects`,
`segmentation`, `boundary`, `calibration`, `temporal` and `bootstrap`. This file imports nothing,
so that a caller pays only for what it uses.
"""
