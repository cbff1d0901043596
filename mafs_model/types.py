"""
Types that everything shares: images, sizes, modes and the names of choices.

Nothing heavy is imported here, so that command lines can show the choices.
"""

from __future__ import annotations

from typing import get_args, Literal, TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from typing import Any

    import numpy as np
    from numpy.typing import NDArray

UInt8Image: TypeAlias = 'NDArray[np.uint8]'
Float32Image: TypeAlias = 'NDArray[np.float32]'
ThermalImage: TypeAlias = 'NDArray[Any]'  # [H,W] uint8, uint16 or float32, native byte order
Size = tuple[int, int]  # (height, width) in pixels

# 'idle': nothing was wanted, so nothing was computed.
Mode = Literal['fusion', 'visible_only', 'thermal_only', 'classical', 'idle']
Backend = Literal[
    'auto', 'torch', 'torch-compile', 'cuda-graph', 'onnxruntime', 'openvino', 'tensorrt'
]
Precision = Literal['auto', 'fp32', 'fp16', 'bf16', 'int8']
Picture = Literal['fused', 'labels', 'colors', 'overlay', 'panels']  # of a result
Layout = Literal['visible-left', 'thermal-left', 'visible-top', 'thermal-top']
ScalingMethod = Literal['percentile', 'range', 'minmax', 'clahe']  # of thermal images
LimitUnit = Literal['raw', 'celsius']  # of the limits of a scaling

BACKENDS: tuple[Backend, ...] = get_args(Backend)
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
PICTURES: tuple[Picture, ...] = get_args(Picture)
LAYOUTS: tuple[Layout, ...] = get_args(Layout)
SCALING_METHODS: tuple[ScalingMethod, ...] = get_args(ScalingMethod)
LIMIT_UNITS: tuple[LimitUnit, ...] = get_args(LimitUnit)
