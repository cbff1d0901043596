"""What the numbers of a thermal image mean: units, and which of them an image is in."""

from __future__ import annotations

from dataclasses import dataclass

from mafs_model.types import Float32Image, ThermalImage, UInt8Image
import numpy as np

AUTO_UNIT = 'auto'
_KELVIN = -273.15
# Where the middle of a scene lies that people and robots look at, degrees Celsius. The integer
# units below do not overlap in it.
_PLAUSIBLE = (-40.0, 90.0)


@dataclass(frozen=True)
class Unit:
    """
    A linear unit of temperature.

    Attributes:
        name: as parameters and camera files call it.
        scale: degrees Celsius per step.
        offset: degrees Celsius at 0.
        text: as messages say it.

    """

    name: str
    scale: float
    offset: float
    text: str

    def to_celsius(self, value: float) -> float:
        """Return degrees Celsius of a value of the image."""
        return self.scale * value + self.offset

    def from_celsius(self, celsius: float) -> float:
        """Return the value of the image that means a temperature."""
        return (celsius - self.offset) / self.scale


UNITS: dict[str, Unit] = {
    unit.name: unit
    for unit in (
        Unit('centikelvin', 0.01, _KELVIN, '0.01 K per count'),
        Unit('decikelvin', 0.1, _KELVIN, '0.1 K per count'),
        Unit('kelvin_25', 0.04, _KELVIN, '0.04 K per count'),
        Unit('kelvin_2_5', 0.4, _KELVIN, '0.4 K per count'),
        Unit('kelvin_64', 1.0 / 64.0, _KELVIN, '1/64 K per count'),
        Unit('decicelsius_100', 0.1, -100.0, '0.1 C per count, 1000 at 0 C'),
        Unit('kelvin', 1.0, _KELVIN, 'kelvin'),
        Unit('celsius', 1.0, 0.0, 'degrees Celsius'),
        Unit('decicelsius', 0.1, 0.0, '0.1 C per count'),
        Unit('centicelsius', 0.01, 0.0, '0.01 C per count'),
    )
}
UNIT_NAMES: tuple[str, ...] = (AUTO_UNIT, *UNITS)
# In the order in which they are tried. Small numbers are degrees; counts of cameras that measure
# no temperature fit none, or one by chance, which only limits in degrees Celsius would show.
_OF_COUNTS = ('centikelvin', 'kelvin_64', 'kelvin_25', 'decikelvin', 'decicelsius_100')
_OF_FLOATS = ('celsius', 'kelvin', *_OF_COUNTS)


def guess_unit(image: ThermalImage) -> Unit | None:
    """
    Return the unit in which the middle of an image is a temperature of everyday life.

    Args:
        image: [H,W] uint8, uint16 or float32.

    Returns:
        None if there is none, and for 8-bit images, whose values are grey levels.

    """
    if image.dtype == np.uint8:
        return None
    step = max(1, round((image.size / 4096) ** 0.5))
    sample = image[::step, ::step]
    if image.dtype.kind == 'f':
        sample = sample[np.isfinite(sample)]
    if not sample.size:
        return None
    middle = float(np.median(sample))
    for name in _OF_FLOATS if image.dtype.kind == 'f' else _OF_COUNTS:
        if _PLAUSIBLE[0] <= UNITS[name].to_celsius(middle) <= _PLAUSIBLE[1]:
            return UNITS[name]
    return None


def celsius_image(counts: ThermalImage, unit: Unit, outside: UInt8Image | None) -> Float32Image:
    """
    Return the temperature of every pixel.

    Args:
        counts: [H,W] in the values of the camera.
        unit: what these values mean.
        outside: uint8 [H,W], not 0 where the thermal camera does not look; None: nowhere.

    Returns:
        float32 [H,W], degrees Celsius; NaN where nothing was measured.

    """
    with np.errstate(invalid='ignore'):  # a signalling NaN is no temperature, and no news
        celsius = counts.astype(np.float32)
        celsius *= np.float32(unit.scale)
        celsius += np.float32(unit.offset)
    unknown = ~np.isfinite(celsius)
    if outside is not None:
        unknown |= outside != 0
    celsius[unknown] = np.nan
    return celsius
