"""From an engine's results at the inference size to results at the output size."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
from mafs_model.images.preprocessing import luminance, replace_luminance, resize, resize_labels
from mafs_model.prediction import Prediction
from mafs_model.types import Size, UInt8Image


def enlarge(
    result: Prediction,
    visible: UInt8Image | None,
    thermal: UInt8Image | None,
    work_size: Size,
    size: Size,
) -> Prediction:
    """
    Bring an engine's results from the inference size to the output size.

    The fused luminance gets back the detail band that shrinking removed: of each source the
    difference to its shrunk and re-enlarged self, the larger magnitude wins (one level of a
    Laplacian pyramid). Chroma comes from the full-size visible image. Labels and confidence are
    repeated: an interpolated confidence would not belong to the label beneath it.

    Args:
        result: what the engine computed at the inference size.
        visible: uint8 [H,W,3] at the output size, or None.
        thermal: uint8 [H,W] at the output size, or None.
        work_size: (height, width) of inference.
        size: (height, width) of the output.

    """
    fused = None
    if result.fused is not None:
        base = resize(luminance(result.fused), size)
        details = [
            _lost_detail(source, work_size)
            for source in (None if visible is None else luminance(visible), thermal)
            if source is not None
        ]
        detail = details[0]
        if len(details) == 2:
            stronger = cv2.compare(
                cv2.convertScaleAbs(details[1]), cv2.convertScaleAbs(detail), cv2.CMP_GT
            )
            cv2.copyTo(details[1], stronger, detail)
        sharp = cv2.add(base, detail, dtype=cv2.CV_8U)
        fused = (
            cv2.cvtColor(sharp, cv2.COLOR_GRAY2RGB)
            if visible is None
            else replace_luminance(visible, sharp)
        )
    return replace(
        result,
        fused=fused,
        labels=None if result.labels is None else resize_labels(result.labels, size),
        confidence=None if result.confidence is None else resize_labels(result.confidence, size),
    )


def _lost_detail(image: UInt8Image, work_size: Size) -> Any:
    """Return int16 [H,W]: image minus its version that went through the inference size."""
    coarse = resize(resize(image, work_size), (int(image.shape[0]), int(image.shape[1])))
    return cv2.subtract(image, coarse, dtype=cv2.CV_16S)
