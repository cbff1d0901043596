"""Networks of other people, from files, as something that can be called."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mafs_model.errors import ConfigError
import numpy as np

_KINDS = {
    'tensor(float)': np.float32,
    'tensor(float16)': np.float16,
    'tensor(uint8)': np.uint8,
}


def fill_shape(shape: list[Any], size: tuple[int, int], what: str) -> tuple[int, ...]:
    """
    Return the shape of an input with what the file leaves open filled in.

    Args:
        shape: as the file has it, [B,C,H,W], [B,H,W,C] or [B,H,W]; text, None or -1: open.
        size: height and width of the images.
        what: names the input in errors.

    Raises:
        ConfigError: it is no shape of one image, or fixed to another size.

    """
    known = [n if isinstance(n, int) and n > 0 else None for n in shape]
    if len(known) == 3:
        known, channels = [known[0], 1, *known[1:]], 'none'
    elif len(known) == 4:
        channels = 'last' if known[3] in (1, 3, 4) and known[1] not in (1, 3, 4) else 'first'
        if channels == 'last':
            known = [known[0], known[3], known[1], known[2]]
    else:
        raise ConfigError(f'{what}: shape {shape}, expected [B,C,H,W], [B,H,W,C] or [B,H,W]')
    batch, depth, height, width = known
    if batch not in (None, 1) or (height or size[0], width or size[1]) != size:
        raise ConfigError(
            f'{what}: shape {shape} is fixed, expected one image of {size[1]}x{size[0]}'
        )
    if depth is None:
        raise ConfigError(f'{what}: shape {shape} leaves the number of channels open')
    return {'first': (1, depth, *size), 'last': (1, *size, depth), 'none': (1, *size)}[channels]


def load_onnx(path: Path, size: tuple[int, int], threads: int) -> Callable[[], Any]:
    """
    Return a call of an ONNX file on random images, by ONNX Runtime on the CPU.

    Args:
        path: of the file; weights beside it are read, nothing in it is run.
        size: height and width of the images.
        threads: of the CPU.

    Raises:
        ConfigError: it cannot be read, or takes something else than images.

    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(path, options, providers=['CPUExecutionProvider'])
    except Exception as error:
        raise ConfigError(f'{path}: not an ONNX file that can be run ({error})') from error
    random = np.random.default_rng(0)
    images = {}
    for port in session.get_inputs():
        if port.type not in _KINDS:
            raise ConfigError(
                f'{path}: input {port.name} is {port.type}, expected {", ".join(_KINDS)}'
            )
        shape = fill_shape(port.shape, size, f'{path}: input {port.name}')
        kind = _KINDS[port.type]
        scale = 255 if kind is np.uint8 else 1
        images[port.name] = (random.random(shape) * scale).astype(kind)
    return lambda: session.run(None, images)
