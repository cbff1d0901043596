"""Fusion of tensors of torch where they are: nothing is copied back from a GPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mafs_model.errors import ConfigError, ImageError
from mafs_model.images.preprocessing import check_size
from mafs_model.regrouping import Regrouping
from mafs_model.runtime.engine import Engine, mode_of, takes_tensors
from mafs_model.types import Mode, Size
import torch
from torch import Tensor

_CHANNELS = 3
_MODES: dict[str, Mode] = {
    'fusion': 'fusion', 'visible_only': 'visible_only', 'thermal_only': 'thermal_only'
}  # fmt: skip


@dataclass(frozen=True)
class TensorPrediction:
    """
    The results for one pair or a batch of pairs, on the device of the predictor.

    Attributes:
        fused: uint8 [H,W,3] RGB.
        labels: uint8 [H,W] class ids.
        confidence: uint8 [H,W] probability of the labels, 255 = 1.
        mode: which cameras were used.

    Batches have an axis B before these.

    """

    fused: Tensor
    labels: Tensor
    confidence: Tensor
    mode: Mode


def predict_tensors(
    engine: Engine, regrouping: Regrouping | None, visible: Any, thermal: Any
) -> TensorPrediction:
    """
    Compute fused image, labels and confidence of tensors.

    Args:
        engine: one of torch.
        regrouping: of the classes, None for those of the network.
        visible: uint8 [H,W,3], [3,H,W], or with an axis B before; None: missing.
        thermal: uint8 [H,W], [1,H,W], [B,H,W] or [B,1,H,W] on the same grid; None: missing.

    Raises:
        ConfigError: the engine computes arrays only.
        ImageError: no such tensors.
        DeviceError: the device failed.

    """
    if not takes_tensors(engine):
        raise ConfigError(
            f"tensors with backend '{engine.backend}': expected backend 'torch', 'torch-compile' "
            "or 'cuda-graph', others compute arrays"
        )
    if visible is None and thermal is None:
        raise ImageError('data', 'no image: expected a visible or a thermal image')
    images = [_visible(visible), _thermal(thermal)]
    given = [image for image in images if image is not None]
    if len({tuple(image.shape[:3]) for image in given}) > 1:
        raise ImageError(
            'size',
            f'visible tensor is {tuple(visible.shape)} and thermal tensor {tuple(thermal.shape)}, '
            'expected one grid and one number of images: register and resize them before',
        )
    _check_sides((int(given[0].shape[1]), int(given[0].shape[2])))
    visible_batch, thermal_batch = images
    fused, labels, confidence = engine.infer_tensors(visible_batch, thermal_batch)
    if regrouping is not None:
        table = torch.from_numpy(regrouping.new_labels).to(labels.device)
        labels = table[labels.long()]
    if _is_single(visible, thermal):
        fused, labels, confidence = fused[0], labels[0], confidence[0]
    return TensorPrediction(fused, labels, confidence, _MODES[mode_of(visible, thermal)])


def _is_single(visible: Tensor | None, thermal: Tensor | None) -> bool:
    """Return whether there is no axis of a batch."""
    if visible is not None:
        return visible.dim() == 3
    assert thermal is not None
    return thermal.dim() == 2 or (thermal.dim() == 3 and thermal.shape[0] == 1)


def _visible(image: Any) -> Tensor | None:
    """Return a visible tensor as [B,H,W,3]; raises ImageError."""
    if image is None:
        return None
    checked = _checked(image, 'visible', 'uint8 (height, width, 3)')
    if checked.dim() == 3:
        checked = checked.unsqueeze(0)
    if checked.dim() == 4 and checked.shape[-1] != _CHANNELS:
        checked = checked.permute(0, 2, 3, 1)
    if checked.dim() != 4 or checked.shape[-1] != _CHANNELS or not checked.shape[0]:
        raise ImageError(
            'encoding',
            f'visible tensor has shape {tuple(image.shape)}, expected (height, width, 3) or '
            '(3, height, width), or a batch of these',
        )
    return checked


def _thermal(image: Any) -> Tensor | None:
    """Return a thermal tensor as [B,H,W]; raises ImageError."""
    if image is None:
        return None
    checked = _checked(image, 'thermal', 'uint8 (height, width)')
    if checked.dim() == 4 and checked.shape[1] == 1:
        checked = checked.squeeze(1)
    if checked.dim() == 2:
        checked = checked.unsqueeze(0)
    if checked.dim() != 3 or not checked.shape[0]:
        raise ImageError(
            'encoding',
            f'thermal tensor has shape {tuple(image.shape)}, expected (height, width), or a batch '
            'of these',
        )
    return checked


def _checked(image: Any, camera: str, expected: str) -> Tensor:
    """Return what is a tensor of bytes; raises ImageError."""
    if not isinstance(image, Tensor) or image.dtype != torch.uint8:
        kind = image.dtype if isinstance(image, Tensor) else type(image).__name__
        raise ImageError('encoding', f'{camera} image is {kind}, expected a tensor, {expected}')
    return image


def _check_sides(size: Size) -> None:
    """Raise ImageError for sides that no image has."""
    try:
        check_size(size, 'tensor')
    except ConfigError as error:
        raise ImageError('size', str(error)) from None
