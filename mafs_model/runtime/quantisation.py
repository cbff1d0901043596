"""Calibration of a graph to int8 with NNCF."""

from __future__ import annotations

from collections.abc import Sequence
import logging
from typing import Any

from mafs_model.errors import ConfigError
from mafs_model.extras import missing
from mafs_model.types import UInt8Image
import numpy as np

# Left in float (capital letters: ONNX types): the arithmetic of attention between its
# convolutions, the fusion decoder but for its wide convolutions, and what stands around the parts
# of the network: colours, crops and rounding of the images themselves. Rounding the fused image
# once more cost 3 % of its SSIM and Qabf and saved nothing.
FLOAT_SCOPES = (
    r'.*/attention/[A-Z][^/]*',
    r'.*/fusion_decoder/(?!hidden[./]).*',
    r'/network/[A-Z][^/]*',
    r'/[A-Z][^/]*',
)
MIN_PAIRS = 8


def quantise(
    model: Any, pairs: Sequence[tuple[UInt8Image, UInt8Image]], input_names: Sequence[str]
) -> Any:
    """
    Return an int8 version of a graph.

    Args:
        model: OpenVINO model or ONNX ModelProto.
        pairs: visible uint8 [H,W,3] and thermal uint8 [H,W] images, all of one size.
        input_names: names of the graph's inputs.

    Raises:
        DeviceError: NNCF is not installed.
        ConfigError: too few pairs.

    """
    try:
        import nncf  # type: ignore[import-untyped,import-not-found]
    except ImportError:
        raise missing('int8', 'nncf') from None
    if len(pairs) < MIN_PAIRS:
        raise ConfigError(f'int8: {len(pairs)} calibration pairs, expected at least {MIN_PAIRS}')
    nncf.set_log_level(logging.ERROR)

    def feed(pair: tuple[UInt8Image, UInt8Image]) -> dict[str, UInt8Image]:
        given = {'visible': pair[0][None], 'thermal': pair[1][None]}
        return {name: np.ascontiguousarray(given[name]) for name in input_names}

    return nncf.quantize(
        model,
        nncf.Dataset(list(pairs), feed),
        subset_size=len(pairs),
        ignored_scope=nncf.IgnoredScope(patterns=list(FLOAT_SCOPES), validate=False),
    )
