"""Coarse registration of two cameras: scale, rotation and shift, tried exhaustively."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
from mafs_model.calibration.structure import fit_size, Mask, structure
from mafs_model.images.registration import scaling
from mafs_model.types import Size, UInt8Image
import numpy as np
from numpy.typing import NDArray

# Widths of both images together, px: where one is small beside the other, it needs more detail.
_WIDTHS_PX = 256
_WIDTH_RANGE_PX = (96, 170)  # of the visible image
SCALES = np.exp(np.arange(np.log(0.46), np.log(2.2), 0.08))
ANGLES_DEG = (-5.0, -2.5, 0.0, 2.5, 5.0)
# A smaller part of either image in common tells too little and matches by chance.
_MIN_OVERLAP = 0.08
_MIN_OVERLAP_OF_SMALLER = 0.2


@dataclass(frozen=True)
class Candidate:
    """
    One place at which the images agree.

    Attributes:
        matrix: 3x3 map of thermal to visible pixels at full size.
        significance: agreement times the square root of the common pixels.
        agreement: -1 to 1.
        scale: size of the thermal image beside the visible one's width.
        angle_deg: rotation.
        centre: x, y of the thermal image's centre in the visible image, in image widths.

    """

    matrix: NDArray[np.float64]
    significance: float
    agreement: float
    scale: float
    angle_deg: float
    centre: tuple[float, float]

    def differs(self, other: Candidate) -> bool:
        """Return whether this is another registration and not the same one, one step away."""
        shift = np.hypot(self.centre[0] - other.centre[0], self.centre[1] - other.centre[1])
        return abs(np.log(self.scale / other.scale)) > 0.2 or bool(shift > 0.12)


def search(
    visible: Sequence[UInt8Image], thermal: Sequence[UInt8Image], live: Mask
) -> list[Candidate]:
    """
    Return the best place for every scale and rotation, best first.

    For each, the cross-correlations of all pairs are added up in the frequency domain and
    divided by the energy that the images have in common there.

    Args:
        visible: uint8 [H,W] luminances of one size.
        thermal: uint8 [h,w] images of one size, as many.
        live: float32 [h,w], see `structure.live_area`.

    """
    found = [
        candidate
        for scale in SCALES
        for candidate in _search_scale(visible, thermal, live, float(scale))
    ]
    return sorted(found, key=lambda candidate: -candidate.significance)


def _search_scale(
    visible: Sequence[UInt8Image], thermal: Sequence[UInt8Image], live: Mask, scale: float
) -> Iterator[Candidate]:
    """Yield the best place for each rotation at one scale."""
    full, own = _size(visible[0]), _size(thermal[0])
    small = fit_size(full, int(np.clip(round(_WIDTHS_PX / (1 + scale)), *_WIDTH_RANGE_PX)))
    size = fit_size(own, max(8, round(scale * small[1])))
    scaled = [_shrink(image, size) for image in thermal]
    alive = cv2.resize(live, size[::-1], interpolation=cv2.INTER_AREA)
    padded = tuple(cv2.getOptimalDFTSize(a + b) for a, b in zip(size, small, strict=True))
    visible_fields = [structure(_shrink(image, small)) for image in visible]
    visible_energy = np.sum(
        [np.abs(field) ** 2 for field in visible_fields], axis=0, dtype=np.float32
    )
    spectra = [np.fft.fft2(field, padded) for field in visible_fields]
    frame = np.fft.rfft2(np.ones(small, np.float32), padded)
    frame_energy = np.fft.rfft2(visible_energy, padded)
    for angle in ANGLES_DEG:
        turn = cv2.getRotationMatrix2D(((size[1] - 1) / 2, (size[0] - 1) / 2), -angle, 1)
        mask = cv2.warpAffine(alive, turn, size[::-1])
        mask = cv2.erode((mask > 0.99).astype(np.float32), np.ones((3, 3), np.uint8))
        fields = [
            structure(
                cv2.warpAffine(image, turn, size[::-1], borderMode=cv2.BORDER_REPLICATE), mask
            )
            for image in scaled
        ]
        cross = sum(
            spectrum * np.conj(np.fft.fft2(field, padded))
            for spectrum, field in zip(spectra, fields, strict=True)
        )
        energy = np.sum([np.abs(field) ** 2 for field in fields], axis=0, dtype=np.float32)
        masked = np.conj(np.fft.rfft2(mask, padded))
        overlap = np.fft.irfft2(frame * masked, padded)
        common = np.fft.irfft2(frame_energy * masked, padded) * np.fft.irfft2(
            frame * np.conj(np.fft.rfft2(energy, padded)), padded
        )
        least = max(
            _MIN_OVERLAP * small[0] * small[1],
            _MIN_OVERLAP_OF_SMALLER * min(float(mask.sum()), small[0] * small[1]),
        )
        correlation = np.fft.ifft2(cross).real / np.sqrt(np.maximum(common, 1e-9))
        correlation[overlap < least] = 0
        significance = correlation * np.sqrt(np.maximum(overlap, 0))
        y, x = np.unravel_index(int(np.argmax(significance)), significance.shape)
        dx = int(x) - (padded[1] if x >= small[1] else 0)
        dy = int(y) - (padded[0] if y >= small[0] else 0)
        rotation = np.vstack([turn, [0.0, 0.0, 1.0]])
        shift = np.array([[1.0, 0.0, dx], [0.0, 1.0, dy], [0.0, 0.0, 1.0]])
        yield Candidate(
            matrix=scaling(small, full) @ shift @ rotation @ scaling(own, size),
            significance=float(significance[y, x]),
            agreement=float(correlation[y, x]),
            scale=scale,
            angle_deg=angle,
            centre=((dx + size[1] / 2) / small[1], (dy + size[0] / 2) / small[1]),
        )


def _shrink(image: UInt8Image, size: Size) -> UInt8Image:
    """Return an image at (height, width), averaged where it shrinks."""
    method = cv2.INTER_AREA if size[0] < image.shape[0] else cv2.INTER_LINEAR
    return cv2.resize(image, size[::-1], interpolation=method)


def _size(image: NDArray[np.generic]) -> Size:
    """Return (height, width)."""
    return int(image.shape[0]), int(image.shape[1])
