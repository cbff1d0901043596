"""The one definition of inference: numpy images in, numpy images out."""

from __future__ import annotations

from mafs_model.types import Outputs, Prediction

__all__ = ['Outputs', 'Prediction']
