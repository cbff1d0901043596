"""Images that show nothing: of a dead camera that still sends, a shutter, a cap on the lens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from mafs_model.types import ThermalImage, UInt8Image
import numpy as np
from numpy.typing import NDArray

_SIDE = 96  # Statistics of a grid of so many pixels a side: 0.1 ms.
_ALL = 0.985  # Share of pixels that is as good as all: logos and dead pixels are more.
_DARK = 12  # Grey levels up to which a visible image is taken for night, not for a fault.
_BLOCK = 4
# Means of 4x4 blocks of pure noise vary by a sixteenth of what pixels vary; of any scene by more.
_NOISE_RATIO = 1.6
# What counts as faint, so that noise alone can explain it: grey levels, counts, degrees.
_FAINT = {'uint8': 10.0, 'uint16': 80.0, 'float32': 0.8}


def why_dead(image: ThermalImage) -> str | None:
    """
    Return why a thermal image or one channel of a visible image shows nothing, None if it does.

    Args:
        image: [H,W] uint8, uint16 or float32.

    """
    sample = _grid(image)
    if sample.dtype.kind == 'f':
        sample = sample[np.isfinite(sample)]
        if not sample.size:
            return None  # the scaler refuses it with a better reason
    values, counts = np.unique(sample, return_counts=True)
    commonest = int(counts.argmax())
    if counts[commonest] >= _ALL * sample.size:
        value = values[commonest]
        if image.dtype.kind == 'u' and value in {0, np.iinfo(image.dtype).max}:
            return f'is saturated: nearly all pixels are {value}'
        return f'is constant: nearly all pixels are {value:g}'
    if image.dtype.kind == 'u':
        limits = (values == 0) | (values == np.iinfo(image.dtype).max)
        if counts[limits].sum() >= _ALL * sample.size:
            return f'is saturated: nearly all pixels are 0 or {np.iinfo(image.dtype).max}'
    low, high = np.percentile(sample, (1, 99))
    if high - low < _FAINT[image.dtype.name] and _is_noise(image):
        return 'has no texture: nothing but faint noise'
    return None


def why_visible_dead(image: NDArray[np.uint8]) -> str | None:
    """
    Return why a visible image shows nothing, None if it does or if it is just dark.

    A black image may be a night without a lamp: the thermal image is to be fused with it all
    the same.

    Args:
        image: uint8 [H,W,3] RGB.

    """
    green = image[..., 1]
    reason = why_dead(green)
    if reason is None or int(np.percentile(_grid(green), 99)) <= _DARK:
        return None
    # Colour alone can be a scene, as little as that happens.
    return reason if all(why_dead(image[..., channel]) for channel in (0, 2)) else None


def _grid(image: NDArray[Any]) -> NDArray[Any]:
    """Return pixels spread evenly over an image."""
    rows = max(1, image.shape[0] // _SIDE)
    columns = max(1, image.shape[1] // _SIDE)
    return image[rows // 2 :: rows, columns // 2 :: columns]


def _is_noise(image: ThermalImage) -> bool:
    """Return whether neighbouring pixels have nothing in common."""
    height, width = (side // _BLOCK * _BLOCK for side in image.shape)
    values = np.nan_to_num(image[:height, :width].astype(np.float32))
    blocks = values.reshape(height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK).mean(axis=(1, 3))
    variance = float(values.var())
    return variance == 0.0 or float(blocks.var()) * _BLOCK**2 < _NOISE_RATIO * variance


class FrozenFrames:
    """
    Tells how long a camera has sent the same picture again and again.

    Real images differ by noise in nearly every pixel; one that is repeated does not.

    Args:
        still_share: share of pixels, 0 to 1, that is equal in a repeated image.

    """

    def __init__(self, still_share: float = 0.999) -> None:
        self._still_share = still_share
        self.reset()

    def reset(self) -> None:
        """Forget the past, as after a jump of the clock."""
        self._last: NDArray[Any] | None = None
        self._since_s = 0.0
        self.repeats = 0

    def age_s(self, image: NDArray[Any], stamp_s: float) -> float:
        """
        Return for how long the picture has not changed.

        Args:
            image: [H,W] or [H,W,3], as received.
            stamp_s: when it was taken, seconds.

        Returns:
            0 for a new picture; ``repeats`` is how often it came again.

        """
        sample = _grid(image)
        last = self._last
        same = (
            last is not None
            and last.shape == sample.shape
            and last.dtype == sample.dtype
            and float((last == sample).mean()) >= self._still_share
        )
        if same:
            self.repeats += 1
            return max(0.0, stamp_s - self._since_s)
        self._last, self._since_s, self.repeats = sample.copy(), stamp_s, 0
        return 0.0


class FrozenCamera:
    """
    Tells which of two cameras stands still while the other one moves.

    A robot that rests before a still scene sees no change in either, and nothing is wrong. A
    thermal camera that closes its shutter to calibrate itself stands still, too, but for a moment.

    Args:
        after_s: how long a picture may stand still until its camera counts as frozen; more than
            a shutter takes.
        still_s: from when on the thermal picture counts as that of before the shutter closed;
            more than the time between two pictures. None: the camera has no shutter.

    Attributes:
        age_s: for how long the pictures of both have not changed.
        shutter: whether the thermal picture of the last pair is one of before the shutter closed.

    """

    def __init__(self, after_s: float, still_s: float | None = None) -> None:
        self._after_s, self._still_s = after_s, still_s
        self._cameras = {'visible': FrozenFrames(), 'thermal': FrozenFrames()}
        self.age_s = dict.fromkeys(self._cameras, 0.0)
        self.shutter = False

    def reset(self) -> None:
        """Forget the past."""
        for camera in self._cameras.values():
            camera.reset()
        self.shutter = False

    def check(
        self, visible: NDArray[Any], thermal: NDArray[Any], stamp_s: float
    ) -> Literal['visible', 'thermal'] | None:
        """
        Look at a pair.

        Args:
            visible: uint8 [H,W,3].
            thermal: [h,w].
            stamp_s: when it was taken, seconds.

        Returns:
            The camera that is frozen, None if neither is or both are.

        """
        for name, image in (('visible', visible), ('thermal', thermal)):
            self.age_s[name] = self._cameras[name].age_s(image, stamp_s)
        visible_s, thermal_s = self.age_s['visible'], self.age_s['thermal']
        still_s = self._still_s
        self.shutter = still_s is not None and visible_s < still_s < thermal_s <= self._after_s
        if max(visible_s, thermal_s) <= self._after_s:
            return None
        if min(visible_s, thermal_s) > 0.5 * self._after_s:
            return None
        return 'visible' if visible_s > thermal_s else 'thermal'


def without_dead(
    visible: UInt8Image | None,
    thermal: ThermalImage | None,
    why_not: Callable[[str], str] = lambda mode: '',
) -> tuple[UInt8Image | None, ThermalImage | None, tuple[str, ...]]:
    """
    Return a pair without an image that shows nothing, and notices about it.

    Where both show nothing both stay, for want of better ones; so they do where the other one
    cannot be computed alone.

    Args:
        visible: uint8 [H,W,3] RGB or None.
        thermal: uint8, uint16 or float32 [h,w] or None.
        why_not: returns why a mode, ``'visible_only'`` or ``'thermal_only'``, cannot be
            computed, '' if it can.

    """
    if visible is None or thermal is None:
        return visible, thermal, ()
    of_thermal, of_visible = why_dead(thermal), why_visible_dead(visible)
    if of_thermal is not None and of_visible is not None:
        return visible, thermal, (f'thermal image {of_thermal}', f'visible image {of_visible}')
    if of_thermal is None and of_visible is None:
        return visible, thermal, ()
    if of_thermal is not None:
        found, alone = f'thermal image {of_thermal}', 'visible'
    else:
        found, alone = f'visible image {of_visible}', 'thermal'
    why = why_not(f'{alone}_only')
    if why:
        return visible, thermal, (f'{found}; it is used all the same: {why}',)
    return (
        visible if alone == 'visible' else None,
        thermal if alone == 'thermal' else None,
        (f'{found}; the {alone} one alone is used',),
    )
