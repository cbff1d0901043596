"""The network variants as ``mafs info`` prints them: a stored table that needs no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypedDict

_TABLE = Path(__file__).parent / 'data' / 'variants.json'


class ModelInfo(TypedDict):
    """
    Figures of one variant.

    Attributes:
        name: variant.
        params_m: parameters in millions, the heads used in training only included.
        gflops: 1e9 floating-point operations for one pair of 640x480, ``2 * gmacs``.
        gmacs: 1e9 multiply-accumulates for one pair of 640x480.

    """

    name: str
    params_m: float
    gflops: float
    gmacs: float


def model_info() -> list[ModelInfo]:
    """Return the figures of each variant, as ``mafs_model.network.cost`` counts them."""
    rows: list[ModelInfo] = json.loads(_TABLE.read_text(encoding='utf-8'))
    return rows
