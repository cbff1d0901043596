"""Argument checks of the losses: a wrong shape fails at the door, with both shapes named."""

from __future__ import annotations

from torch import Tensor


def check_image(name: str, value: Tensor, channels: int | None = None) -> None:
    """
    Require a floating point image batch.

    Args:
        name: argument name used in the message.
        value: tensor, expected ``[B,C,H,W]``, floating point.
        channels: required number of channels, any if None.

    Raises:
        TypeError: not a floating point tensor.
        ValueError: wrong rank or number of channels.

    """
    if not value.is_floating_point():
        raise TypeError(f'{name}: expected a floating point tensor, got {value.dtype}')
    if value.ndim != 4:
        raise ValueError(f'{name}: expected shape [B,C,H,W], got {list(value.shape)}')
    if channels is not None and value.shape[1] != channels:
        raise ValueError(f'{name}: expected {channels} channel(s), got shape {list(value.shape)}')


def check_same_shape(name_a: str, a: Tensor, name_b: str, b: Tensor) -> None:
    """
    Require two tensors of one shape.

    Raises:
        ValueError: shapes differ; the message names both.

    """
    if a.shape != b.shape:
        raise ValueError(
            f'{name_a} and {name_b}: expected one shape, got {list(a.shape)} and {list(b.shape)}'
        )


def check_triple(fused: Tensor, visible: Tensor, thermal: Tensor, side: int = 1) -> None:
    """
    Require three single-channel image batches of one shape.

    Args:
        fused: expected ``[B,1,H,W]``.
        visible: expected of the same shape.
        thermal: expected of the same shape.
        side: least height and width, pixels.

    Raises:
        ValueError: shapes differ or are too small.

    """
    check_image('fused', fused, channels=1)
    check_same_shape('fused', fused, 'visible', visible)
    check_same_shape('fused', fused, 'thermal', thermal)
    if min(fused.shape[-2:]) < side:
        raise ValueError(
            f'fused: expected at least {side} pixels a side, got {list(fused.shape[-2:])}'
        )


def check_labels(logits: Tensor, labels: Tensor) -> None:
    """
    Require logits ``[B,C,H,W]`` and integer labels ``[B,H,W]`` of the same size.

    Raises:
        TypeError: labels are not int64.
        ValueError: shapes do not fit.

    """
    check_image('logits', logits)
    if labels.is_floating_point() or labels.dtype.itemsize != 8:
        raise TypeError(f'labels: expected int64 class ids, got {labels.dtype}')
    expected = (logits.shape[0], *logits.shape[2:])
    if tuple(labels.shape) != expected:
        raise ValueError(f'labels: expected shape {list(expected)}, got {list(labels.shape)}')
