"""What the page of ``mafs view`` can change, checked."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from mafs_model.defaults import OPACITY
from mafs_model.errors import ConfigError
from mafs_model.numeric import check_number
from mafs_model.types import Picture, PICTURES

# What a page may show besides the pictures of a result.
SHOWN: tuple[str, ...] = (*PICTURES, 'thermal', 'visible')
_BOUNDS = {
    'opacity': (0.0, 1.0),
    'min_confidence': (0.0, 1.0),
    'thermal_low': (0.0, 49.0),
    'thermal_high': (51.0, 100.0),
}


@dataclass(frozen=True)
class ViewSettings:
    """
    The state of the controls.

    Attributes:
        picture: one of :data:`SHOWN`.
        opacity: weight of the class colours, 0 to 1.
        min_confidence: pixels whose class is less probable stay clear, 0 to 1.
        thermal_low: percentile of the thermal image that becomes black, 0 to 49.
        thermal_high: percentile that becomes white, 51 to 100.
        playing: go on to the next pair by itself.

    """

    picture: Picture | str = 'panels'
    opacity: float = OPACITY
    min_confidence: float = 0.0
    thermal_low: float = 1.0
    thermal_high: float = 99.0
    playing: bool = True

    def changed(self, values: Any) -> ViewSettings:
        """
        Return the settings with some of them changed.

        Args:
            values: mapping of names to values, as it came from the page.

        Raises:
            ConfigError: no mapping, an unknown name, or a value out of range.

        """
        if not isinstance(values, dict):
            raise ConfigError(f'settings are {type(values).__name__}, expected a JSON object')
        known = {f.name for f in fields(self)}
        for name, value in values.items():
            if name not in known:
                raise ConfigError(f'setting {name!r}: expected one of {", ".join(sorted(known))}')
            if name == 'playing':
                if not isinstance(value, bool):
                    raise ConfigError(f'playing {value!r}: expected true or false')
            elif name == 'picture':
                if value not in SHOWN:
                    raise ConfigError(f'picture {value!r}: expected one of {", ".join(SHOWN)}')
            else:
                check_number(value, *_BOUNDS[name], name)
        return replace(self, **values)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)
