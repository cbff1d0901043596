"""Hysteresis of labels: a region of an object class counts only if it is sure somewhere."""

from __future__ import annotations

import cv2
from mafs_model.decision import Peaks
from mafs_model.types import UInt8Image
import numpy as np


def reject_regions(
    labels: UInt8Image, confidence: UInt8Image, peaks: Peaks
) -> tuple[UInt8Image, UInt8Image]:
    """
    Take away the regions that reach the least peak of their class nowhere.

    Two thresholds as of an edge detector (Canny, 1986): the decision of every pixel is the low
    one, the peak the high one. A shift of the logits, the usual balance of misses and false
    claims, gnaws at true objects before it removes false ones.

    Args:
        labels: uint8 [H,W] class ids.
        confidence: uint8 [H,W] probability of that class, 255 = 1.
        peaks: see :class:`mafs_model.decision.Decision`.

    Returns:
        Labels with 0 in such regions, connected over edges and corners, and a confidence that is
        there the probability that the region is not of its class. What is given is not changed.

    """
    rejected = np.zeros(labels.shape, bool)
    for class_id, peak in peaks:
        mask = cv2.compare(labels, float(class_id), cv2.CMP_EQ)
        if not cv2.countNonZero(mask):
            continue
        count, regions = cv2.connectedComponents(mask, connectivity=8)
        sure = np.zeros(count, bool)
        sure[regions[confidence >= least_byte(peak)]] = True
        sure[0] = True
        if not sure.all():
            rejected |= ~sure[regions]
    if not rejected.any():
        return labels, confidence
    return np.where(rejected, np.uint8(0), labels), np.where(
        rejected, np.uint8(255) - confidence, confidence
    )


def least_byte(peak: float) -> int:
    """Return a probability as the byte of a confidence image."""
    return round(255.0 * peak)
