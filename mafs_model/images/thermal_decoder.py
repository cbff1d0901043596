"""
From what a thermal camera sends to its picture: one way for node, files, bags and demo.

The camera is known by its profile, or told by the frames themselves.
"""

from __future__ import annotations

from typing import Any

import cv2
from mafs_model.errors import ImageError
from mafs_model.images import palettes
from mafs_model.images.cameras import AUTO, CameraProfile, FrameLayout, load_camera, PLAIN
from mafs_model.types import Size, ThermalImage, UInt8Image
import numpy as np
from numpy.typing import NDArray

# Sizes of sensors: a few rows more than one of them are telemetry.
_SENSORS = {
    (60, 80), (120, 160), (192, 256), (240, 320), (256, 320), (256, 336), (288, 382), (288, 384),
    (348, 464), (480, 640), (512, 640), (768, 1024), (1024, 1280),
}  # fmt: skip
_MAX_TELEMETRY_ROWS = 4
_FOREIGN = 4.0  # Telemetry differs from the picture by so many times what its rows differ.
_SWAPPED = 0.5  # The right byte order has less than this of the other's relative roughness.
_ORDER_STEP = 3
_TURNS = {
    90: cv2.ROTATE_90_CLOCKWISE,
    180: cv2.ROTATE_180,
    270: cv2.ROTATE_90_COUNTERCLOCKWISE,
}
_MIRROR = {'horizontal': 1, 'vertical': 0}

# Columns of byte pairs differ this much more from the next one than from the one after.
_ALTERNATION = 1.2


class ThermalDecoder:
    """
    Takes pictures out of the frames of a thermal camera.

    Every image is looked at by itself; only the palette found last is remembered, to be tried
    first.

    Args:
        camera: profile, name or file, see :func:`mafs_model.images.cameras.load_camera`.

    Raises:
        ConfigError: there is no such camera.

    """

    def __init__(self, camera: CameraProfile | str = AUTO) -> None:
        self.camera = camera if isinstance(camera, CameraProfile) else load_camera(camera)
        self._palette = ''
        self.notes: tuple[str, ...] = ()

    def __call__(self, samples: NDArray[Any]) -> ThermalImage:
        """
        Return the picture in a frame.

        What was found out about the frame is in ``notes`` afterwards, one sentence each.

        Args:
            samples: as the camera sends them: [H,W] numbers; uint8 [H,W,2] pairs of bytes
                (YUYV, the luminance first); uint8 [H,W,3] RGB, grey or in false colours.

        Returns:
            [h,w] uint8, uint16 or float32 in native byte order.

        Raises:
            ImageError: 'encoding', numbers of another kind or shape.

        """
        notes: list[str] = []
        samples, layout = self._layout(samples)
        image = self._picture(samples, layout, notes)
        if layout.telemetry_rows:
            image = _without_telemetry(image, layout.telemetry_rows, notes)
        elif layout is PLAIN and self.camera.name == AUTO:
            rows = _surplus_rows(image)
            if rows and max(_foreignness(image, rows)) > _FOREIGN:
                image = _without_telemetry(image, rows, notes)
        if layout.crop is not None:
            x, y, width, height = layout.crop
            image = image[y : y + height, x : x + width]
        self.notes = tuple(notes)
        return self._turned(image)

    def takes_pairs(self, size: Size) -> bool:
        """Return whether two 8-bit channels of frames of a size are bytes of counts."""
        layout = self.camera.layout_of(size)
        return layout.split or layout.counts

    def _layout(self, samples: NDArray[Any]) -> tuple[NDArray[Any], FrameLayout]:
        """Return a frame, as pairs of bytes if it was those, and where its picture is."""
        if samples.ndim < 2:
            return samples, PLAIN
        height, width = samples.shape[:2]
        if samples.ndim == 2 and samples.dtype == np.uint8 and width % 2 == 0:
            # A frame of byte pairs that a driver calls grey is twice as wide.
            paired = self.camera.layout_of((height, width // 2))
            if (paired.split or paired.counts) and _alternates(samples):
                return np.ascontiguousarray(samples).reshape(height, -1, 2), paired
        return samples, self.camera.layout_of((height, width))

    def _picture(
        self, samples: NDArray[Any], layout: FrameLayout, notes: list[str]
    ) -> ThermalImage:
        """Return [H,W] of a kind of number that the scaler takes, halves taken apart."""
        if layout.split:
            # Where a driver has made 8-bit grey or colours of it, the counts are lost.
            half, lossless = (
                samples.shape[0] // 2,
                samples.dtype.itemsize > 1 or _is_pairs(samples),
            )
            notes.append(
                'thermal frame holds a picture above and counts below: took the counts'
                if lossless
                else 'thermal frame holds a picture above and counts below, which the driver has '
                'reduced to 8 bits: took the picture; have it send 16 bits (mono16 or yuyv)'
            )
            samples = samples[half:] if lossless else samples[:half]
        if _is_pairs(samples):
            samples = _to_counts(samples) if layout.split or layout.counts else samples[..., 0]
        if samples.ndim == 3 and samples.shape[2] == 1:
            samples = samples[..., 0]
        if samples.ndim == 3 and samples.shape[2] == 3 and samples.dtype == np.uint8:
            return self._grey(samples, notes)
        if samples.ndim != 2 or samples.dtype.kind not in 'uif' or samples.dtype.itemsize > 8:
            raise ImageError(
                'encoding',
                f'thermal image is {samples.dtype} {samples.shape}, expected one channel of '
                'numbers or 8-bit colour',
            )
        image = samples.astype(samples.dtype.newbyteorder('='), copy=False)
        if image.dtype == np.uint16:
            return self._ordered(image, notes)
        if image.dtype in (np.uint8, np.float32):
            return image
        return image.astype(np.float32)  # 16 and 32 bit with sign, double, half

    def _grey(self, image: UInt8Image, notes: list[str]) -> UInt8Image:
        """Return the grey levels of a grey or falsely coloured image."""
        name = self.camera.palette
        if name == AUTO:
            found = palettes.recognise(image, self._palette)
            name = self._palette = '' if found is None else found.name
            if found is not None:
                notes.append(f"thermal image is coloured with palette '{name}': taken back")
        if name in {'', 'none'}:
            return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        return palettes.to_grey(image, name)

    def _ordered(self, image: NDArray[np.uint16], notes: list[str]) -> NDArray[np.uint16]:
        """Return 16-bit counts in the byte order they were made in."""
        order = self.camera.byte_order
        if order == AUTO and looks_swapped(image):
            notes.append('thermal counts have their bytes swapped (big-endian without the flag)')
            order = 'big'
        return image.byteswap() if order == 'big' else image

    def _turned(self, image: ThermalImage) -> ThermalImage:
        """Return the picture upright."""
        if self.camera.rotation:
            image = cv2.rotate(image, _TURNS[self.camera.rotation])
        if self.camera.mirror != 'none':
            image = cv2.flip(image, _MIRROR[self.camera.mirror])
        return image


def looks_swapped(image: NDArray[np.uint16]) -> bool:
    """
    Return whether 16-bit counts are much smoother with their bytes swapped.

    Roughness is the mean difference of neighbours against the spread of all values, so that a
    mere factor, as of 8 bits in the upper byte, makes none.
    """
    sample = image[::_ORDER_STEP]
    if sample.size < 64:
        return False
    as_is, swapped = _roughness(sample), _roughness(sample.byteswap())
    return swapped < _SWAPPED * as_is and as_is > 0.2


def _roughness(image: NDArray[np.uint16]) -> float:
    """Return the mean difference of horizontal neighbours in units of the spread."""
    values = image.astype(np.float32)
    spread = float(np.abs(values - np.median(values)).mean())
    return float(np.abs(np.diff(values, axis=1)).mean()) / spread if spread > 0.0 else 0.0


def _alternates(samples: NDArray[np.uint8]) -> bool:
    """Return whether every other column is of another kind, as in pairs of bytes."""
    if samples.shape[1] < 4:
        return False
    # In a picture the next column is the most alike one; in pairs it is the one after.
    next_one = cv2.absdiff(samples[:, 1:-1], samples[:, :-2])
    after = cv2.absdiff(samples[:, 2:], samples[:, :-2])
    return float(next_one.mean()) > _ALTERNATION * float(after.mean())


def _is_pairs(samples: NDArray[Any]) -> bool:
    """Return whether samples are pairs of bytes."""
    return samples.ndim == 3 and samples.shape[2] == 2 and samples.dtype == np.uint8


def _to_counts(pairs: UInt8Image) -> NDArray[np.uint16]:
    """Return 16-bit counts of pairs of bytes [H,W,2], the lower byte first."""
    upper = pairs[..., 1].astype(np.uint16)
    return np.bitwise_or(pairs[..., 0], np.left_shift(upper, 8), dtype=np.uint16)


def _surplus_rows(image: ThermalImage) -> int:
    """Return how many rows an image has more than a sensor; 0 if it is no such size."""
    height, width = image.shape
    return next(
        (n for n in range(1, _MAX_TELEMETRY_ROWS + 1) if (height - n, width) in _SENSORS), 0
    )


def _without_telemetry(image: ThermalImage, rows: int, notes: list[str]) -> ThermalImage:
    """Return the image without rows of other data, which are above or below it."""
    if image.shape[0] <= 2 * rows:
        return image
    above, below = _foreignness(image, rows)
    notes.append(f'{rows} rows of telemetry {"above" if above > below else "below"}: left out')
    return image[rows:] if above > below else image[:-rows]


def _foreignness(image: ThermalImage, rows: int) -> tuple[float, float]:
    """Return how far the first and the last rows are from the next, in what rows differ by."""
    values = image.astype(np.float32)
    usual = float(np.abs(np.diff(values[rows:-rows:3], axis=0)).mean()) + 1e-6
    above = float(np.abs(values[rows - 1] - values[rows]).mean())
    below = float(np.abs(values[-rows] - values[-rows - 1]).mean())
    return above / usual, below / usual
