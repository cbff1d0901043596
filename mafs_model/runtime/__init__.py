"""Engines: what turns one pair of prepared images into fused image, labels and confidence."""

from __future__ import annotations

from mafs_model.runtime.engine import Engine, EngineOutput
from mafs_model.runtime.factory import BACKENDS, create_engine, PRECISIONS
from mafs_model.runtime.no_telemetry import forbid_telemetry

forbid_telemetry()

__all__ = ['BACKENDS', 'Engine', 'EngineOutput', 'PRECISIONS', 'create_engine']
