"""Engines: what turns one pair of prepared images into fused image, labels and confidence."""

from __future__ import annotations

from mafs_model.runtime.engine import Engine
from mafs_model.runtime.environment import forbid_telemetry
from mafs_model.runtime.factory import create_engine
from mafs_model.types import BACKENDS, PRECISIONS

forbid_telemetry()

__all__ = ['BACKENDS', 'Engine', 'PRECISIONS', 'create_engine']
