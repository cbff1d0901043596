"""Types that everything shares: images, sizes, modes and the names of choices."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

# 'idle': nothing was wanted, so nothing was computed.
Mode = Literal['fusion', 'visible_only', 'thermal_only', 'classical', 'idle']
Size = tuple[int, int]  # (height, width) in pixels
UInt8Image = NDArray[np.uint8]
ThermalImage = NDArray[Any]  # [H,W] uint8, uint16 or float32, native byte order
Backend = Literal[
    'auto', 'torch', 'torch-compile', 'cuda-graph', 'onnxruntime', 'openvino', 'tensorrt'
]
Picture = Literal['fused', 'labels', 'colors', 'overlay', 'panels']  # of a result
Precision = Literal['auto', 'fp32', 'fp16', 'bf16', 'int8']
