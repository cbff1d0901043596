"""Scaling of raw thermal images to 8 bit, steady over time."""

from __future__ import annotations

import math
from typing import Any

import cv2
from mafs_model.errors import ConfigError, ImageError
from mafs_model.images import temperature
from mafs_model.images.preprocessing import check_thermal
from mafs_model.numeric import check_number
from mafs_model.types import LIMIT_UNITS, SCALING_METHODS, ThermalImage, UInt8Image
import numpy as np
from numpy.typing import NDArray

SCALE_8BIT = ('auto', 'never', 'always')
POLARITIES = ('white_hot', 'black_hot', 'auto')
_MIDDLE = 128  # A constant image has no contrast to show: it becomes mid-grey.
# Spans of limits from here on are scaled without a table: one count is less than half a step.
_DIRECT_SPAN = 510.0
# Grey levels between the percentiles of 8-bit images that are stretched by `auto`, and from where
# on they are left alone again. Scenes of real cameras have 24 and more; less was squeezed.
_SQUEEZED_SPAN = (24.0, 36.0)
_MIN_8BIT_SPAN = 8.0
# Warm things are small and brighter than around them: local contrast is skewed by 0.4 to 2.2 on
# average in street scenes, by 0.4 more or less from frame to frame.
_SKEW_MARGIN = 0.5
_STATISTICS_PIXELS = 80_000  # Percentiles of more pixels than this differ by less than noise.


class ThermalScaler:
    """
    Maps thermal images to uint8 by a linear ramp between two limits.

    The limits come from the image (``percentile``, ``minmax``, ``clahe``) or are fixed
    (``range``). Those from the image follow it slowly, so that the picture does not flicker; a
    range that no longer overlaps the old one (shutter, scene cut) is taken over at once.
    uint8 images pass unchanged, unless ``scale_8bit`` says otherwise.

    Args:
        method: ``percentile``: limits at the given percentiles; ``minmax``: smallest and largest
            value after a 3x3 median, which removes dead pixels; ``range``: ``low`` and ``high``;
            ``clahe``: percentile, then contrast-limited adaptive equalisation.
        low: for ``range`` the value shown black; for ``percentile`` and ``clahe`` the lower
            percentile (default 1).
        high: the value shown white, or the upper percentile (default 99).
        smoothing: share of the old limits kept per frame, 0 (none) to below 1.
        unit: unit of ``low`` and ``high`` of ``range``: ``raw`` or ``celsius``.
        camera_unit: of :data:`mafs_model.images.temperature.UNIT_NAMES`, what the values of the
            image mean; ``auto``: the unit in which the scene is plausible, else 0.01 K for counts
            and degrees Celsius for float images.
        min_span: smallest distance of the limits in raw units, so that the noise of an even
            scene is not blown up.
        clip_limit: contrast limit of ``clahe``.
        tiles: number of ``clahe`` tiles per side.
        scale_8bit: ``always``: apply the method to uint8 images, too; ``auto``: to those that use
            but a few of their grey levels; ``never``.
        polarity: ``black_hot``: what is warm is dark, turn it round; ``auto``: from the picture,
            steady over time; ``white_hot``.

    Raises:
        ConfigError: an argument is out of range.

    """

    def __init__(  # noqa: PLR0913 - one keyword per setting of the camera
        self,
        method: str = 'percentile',
        low: float | None = None,
        high: float | None = None,
        smoothing: float = 0.9,
        *,
        unit: str = 'raw',
        camera_unit: str = temperature.AUTO_UNIT,
        min_span: float = 0.0,
        clip_limit: float = 2.0,
        tiles: int = 8,
        scale_8bit: str = 'auto',
        polarity: str = 'white_hot',
    ) -> None:
        if method not in SCALING_METHODS:
            names = ', '.join(SCALING_METHODS)
            raise ConfigError(f"thermal scaling '{method}': expected one of {names}")
        if unit not in LIMIT_UNITS:
            names = ', '.join(LIMIT_UNITS)
            raise ConfigError(f"thermal unit '{unit}': expected one of {names}")
        self.method = method
        self.unit = unit
        self.low, self.high = _check_limits(method, unit, low, high)
        self.smoothing = check_number(smoothing, 0.0, 0.9999, 'thermal smoothing')
        self.min_span = check_number(min_span, 0.0, 1e9, 'thermal min_span')
        for name, value, choices in (
            ('camera unit', camera_unit, temperature.UNIT_NAMES),
            ('scale_8bit', scale_8bit, SCALE_8BIT),
            ('polarity', polarity, POLARITIES),
        ):
            if value not in choices:
                raise ConfigError(
                    f"thermal {name} '{value}': expected one of {', '.join(choices)}"
                )
        self.camera_unit, self.scale_8bit, self.polarity = camera_unit, scale_8bit, polarity
        if not isinstance(tiles, int) or not 1 <= tiles <= 64:
            raise ConfigError(f'thermal clahe tiles {tiles!r}: expected 1 to 64')
        clip_limit = check_number(clip_limit, 0.01, 100.0, 'thermal clahe clip_limit')
        self._clahe = cv2.createCLAHE(clip_limit, (tiles, tiles)) if method == 'clahe' else None
        self._limits: tuple[float, float] | None = None
        self._dtype: np.dtype[Any] | None = None
        self._lut: NDArray[np.uint8] | None = None
        self._lut_limits: tuple[float, float] | None = None
        self._guessed: temperature.Unit | None = None
        self._stretches = False
        self._votes, self._skew = 0, 0.0
        self.saturated = 0.0

    @property
    def limits(self) -> tuple[float, float] | None:
        """Return the raw values shown black and white, None before the first image."""
        return self._limits

    def reset(self) -> None:
        """Forget the limits of earlier images."""
        self._limits = None
        self._dtype = None
        self._guessed = None
        self._stretches = False
        self._votes, self._skew = 0, 0.0
        self.saturated = 0.0

    @property
    def image_unit(self) -> temperature.Unit | None:
        """Return what the values of the last image mean, None if that is not known."""
        return temperature.UNITS.get(self.camera_unit, self._guessed)

    def __call__(self, image: ThermalImage) -> UInt8Image:
        """
        Scale one image.

        Args:
            image: [H,W] uint8, uint16 or float32; NaN is shown black, infinities black or white.

        Returns:
            uint8 [H,W]; the image itself if it is uint8 and not to be scaled. ``saturated`` is
            then the share of pixels beyond fixed limits, 0 to 1.

        Raises:
            ImageError: wrong type or shape ('encoding', 'size'); no finite value ('nonfinite').

        """
        check_thermal(image)
        self.saturated = 0.0
        if image.dtype != self._dtype:  # Limits of another encoding mean nothing here.
            self._limits, self._dtype = None, image.dtype
            self._guessed = temperature.guess_unit(image)
        if image.dtype == np.uint8 and not self._scales_8bit(image):
            return self._white_hot(image)
        filled = self._fill_nonfinite(image) if image.dtype == np.float32 else image
        self._limits = self._follow(self._measure(filled))
        if self.method == 'range':
            self.saturated = _share_beyond(filled, self._limits)
        scaled = self._apply(filled)
        return self._white_hot(scaled if self._clahe is None else self._clahe.apply(scaled))

    def _scales_8bit(self, image: UInt8Image) -> bool:
        """Return whether an 8-bit image is scaled like one of more bits."""
        if self.scale_8bit != 'auto':
            return self.scale_8bit == 'always'
        low, high = _percentiles(image, 1.0, 99.0)
        self._stretches = high - low < _SQUEEZED_SPAN[1 if self._stretches else 0]
        if not self._stretches:
            self._limits = None
        return self._stretches

    def _white_hot(self, image: UInt8Image) -> UInt8Image:
        """Return the image with warm things bright."""
        if self.polarity == 'auto':
            self._votes += 1
            self._skew += _local_skew(image)
            inverted = self._skew < -_SKEW_MARGIN * math.sqrt(self._votes)
        else:
            inverted = self.polarity == 'black_hot'
        return cv2.bitwise_not(image) if inverted else image

    def _fill_nonfinite(self, image: ThermalImage) -> ThermalImage:
        """Return image with NaN and infinities replaced by the extremes of the finite values."""
        finite = np.isfinite(image)
        count = int(image.size - np.count_nonzero(finite))
        if count == 0:
            return image
        if count == image.size:
            raise ImageError('nonfinite', 'thermal image has no finite value (all NaN or Inf)')
        values = image[finite]
        low, high = float(values.min()), float(values.max())
        return np.nan_to_num(image, nan=low, posinf=high, neginf=low)

    def _measure(self, image: ThermalImage) -> tuple[float, float]:
        """Return the limits that this image alone asks for, in raw units."""
        if self.method == 'range':
            return self._fixed_limits(image.dtype)
        if self.method == 'minmax':
            low, high, _, _ = cv2.minMaxLoc(cv2.medianBlur(image, 3))
        else:
            low, high = _percentiles(image, self.low, self.high)
        least = self.min_span
        if self.scale_8bit == 'auto' and image.dtype == np.uint8:
            least = max(least, _MIN_8BIT_SPAN)
        if high - low < least:
            middle = 0.5 * (low + high)
            low, high = middle - 0.5 * least, middle + 0.5 * least
        return float(low), float(high)

    def _fixed_limits(self, dtype: np.dtype[Any]) -> tuple[float, float]:
        """Return the limits of ``range`` in raw units of this encoding."""
        if self.unit == 'raw':
            return self.low, self.high
        unit = (
            self.image_unit or temperature.UNITS['centikelvin' if dtype.kind == 'u' else 'celsius']
        )
        return unit.from_celsius(self.low), unit.from_celsius(self.high)

    def _follow(self, new: tuple[float, float]) -> tuple[float, float]:
        """Return limits between the old ones and the new ones."""
        old = self._limits
        if old is None or self.method == 'range' or new[0] > old[1] or new[1] < old[0]:
            return new
        keep = self.smoothing
        return (keep * old[0] + (1 - keep) * new[0], keep * old[1] + (1 - keep) * new[1])

    def _apply(self, image: ThermalImage) -> UInt8Image:
        """Return image mapped by the current limits to uint8."""
        assert self._limits is not None
        low, high = self._limits
        span = high - low
        if not span > 0:
            return np.full(image.shape, _MIDDLE, np.uint8)
        if image.dtype == np.float32:
            # Shift before scaling: float32 keeps few digits of large raw values.
            ramp = np.subtract(image, np.float32(low))
            with np.errstate(over='ignore'):
                np.multiply(ramp, np.float32(255.0 / span), out=ramp)
            np.clip(ramp, 0.0, 255.0, out=ramp)
            return np.rint(ramp, out=ramp).astype(np.uint8)
        if image.dtype == np.uint16 and span >= _DIRECT_SPAN:
            return _scale_counts(image, low, high)
        return np.take(self._table(image.dtype), image, mode='clip')

    def _table(self, dtype: np.dtype[Any]) -> NDArray[np.uint8]:
        """Return the look-up table of an integer encoding for the current limits."""
        count = 1 << (8 * dtype.itemsize)
        if self._lut is None or len(self._lut) != count or self._lut_limits != self._limits:
            assert self._limits is not None
            low, high = self._limits
            ramp = np.arange(count, dtype=np.float32)
            ramp -= np.float32(low)
            ramp *= np.float32(255.0 / (high - low))
            np.clip(ramp, 0.0, 255.0, out=ramp)
            self._lut = np.rint(ramp, out=ramp).astype(np.uint8)
            self._lut_limits = self._limits
        return self._lut


def _share_beyond(image: ThermalImage, limits: tuple[float, float]) -> float:
    """Return the share of pixels of an image beyond two limits."""
    step = max(1, round(float(np.sqrt(image.size / _STATISTICS_PIXELS))))
    sample = image[::step, ::step]
    return float(np.count_nonzero((sample < limits[0]) | (sample > limits[1])) / sample.size)


def _local_skew(image: UInt8Image) -> float:
    """Return the skewness of local contrast, above 0 where small things are bright."""
    small = cv2.resize(image, (160, 120), interpolation=cv2.INTER_AREA).astype(np.float32)
    band = cv2.GaussianBlur(small, (0, 0), 0.8) - cv2.GaussianBlur(small, (0, 0), 5.0)
    deviation = float(band.std())
    if deviation < 0.5:
        return 0.0
    return float((np.clip(band / deviation, -6.0, 6.0) ** 3).mean())


def _check_limits(
    method: str, unit: str, low: float | None, high: float | None
) -> tuple[float, float]:
    """Return the limits a method uses; raises ConfigError where they make no sense."""
    if method == 'minmax':
        return 0.0, 100.0
    if method == 'range':
        if low is None or high is None:
            raise ConfigError(
                f"thermal scaling 'range': low {low} and high {high}, expected two numbers "
                f'in unit {unit}'
            )
        low = check_number(low, -1e9, 1e9, 'thermal low')
        high = check_number(high, -1e9, 1e9, 'thermal high')
    else:
        low = check_number(1.0 if low is None else low, 0, 100, 'thermal low percentile')
        high = check_number(99.0 if high is None else high, 0, 100, 'thermal high percentile')
    if not low < high:
        raise ConfigError(f'thermal low {low:g} and high {high:g}: expected low below high')
    return low, high


def _scale_counts(image: NDArray[np.uint16], low: float, high: float) -> UInt8Image:
    """Return counts mapped to uint8 in one pass, five times as fast as a new look-up table."""
    gain = 255.0 / (high - low)
    base = max(0, math.floor(low))
    # What is below low becomes 0 here and stays 0: what is left of low is less than half a step.
    above = cv2.subtract(np.ascontiguousarray(image), float(base))
    return cv2.convertScaleAbs(above, alpha=gain, beta=(base - low) * gain)


def _percentiles(image: ThermalImage, low: float, high: float) -> tuple[float, float]:
    """Return two percentiles of a regular sample of the image."""
    step = max(1, round(float(np.sqrt(image.size / _STATISTICS_PIXELS))))
    sample = image[::step, ::step].ravel()
    if image.dtype == np.float32:
        # The nearest ranks by one partition: cheaper than two interpolated percentiles.
        ranks = [round((sample.size - 1) * p / 100.0) for p in (low, high)]
        ordered = np.partition(sample, ranks)
        return float(ordered[ranks[0]]), float(ordered[ranks[1]])
    first, last, _, _ = cv2.minMaxLoc(sample)
    bins = [int(last - first) + 1]
    counts = cv2.calcHist([sample], [0], None, bins, [first, last + 1]).ravel().cumsum(dtype=float)
    # The smallest value with at least this many pixels at or below it.
    ranks = [1 + round((sample.size - 1) * p / 100.0) for p in (low, high)]
    lowest, highest = (first + float(np.searchsorted(counts, rank)) for rank in ranks)
    return lowest, highest
