"""Types that everything shares: images, sizes and modes."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

# 'idle': nothing was wanted, so nothing was computed.
Mode = Literal['fusion', 'visible_only', 'thermal_only', 'classical', 'idle']
Size = tuple[int, int]  # (height, width) in pixels
UInt8Image = NDArray[np.uint8]
ThermalImage = NDArray[Any]  # [H,W] uint8, uint16 or float32, native byte order
