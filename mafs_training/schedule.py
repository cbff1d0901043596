"""Schedules as pure functions of the step, so that a resumed run needs no state of theirs."""

from __future__ import annotations

import math


def cosine_with_warmup(step: int, total: int, warmup: int, minimum: float) -> float:
    """
    Learning rate factor: linear up over ``warmup`` steps, then half a cosine down to ``minimum``.

    Args:
        step: 0-based step.
        total: number of steps of the run, >= 1.
        warmup: steps of the ramp, 0 <= warmup.
        minimum: factor at the end, 0..1.

    Returns:
        Factor in (0, 1].

    """
    if step < warmup:
        return (step + 1) / warmup
    progress = min(1.0, (step - warmup) / max(1, total - warmup))
    return minimum + (1 - minimum) * 0.5 * (1 + math.cos(math.pi * progress))


def sigmoid_ramp(step: int, length: int) -> float:
    """
    Ramp of a self-supervised weight, exp(-5 (1 - x)^2) with x = step / length clipped to 0..1.

    Source: Laine and Aila, Temporal ensembling (2017), section 2.1.
    """
    if length <= 0:
        return 1.0
    x = min(1.0, max(0.0, step / length))
    return math.exp(-5 * (1 - x) ** 2)


def dynamic_weight(
    step: int, length: int, fusion: float, consistency: float, ratio: float, maximum: float
) -> float:
    r"""
    Weight of the self-supervised task, :math:`\lambda = r(t) \min(\lambda_{max}, \rho L_f / L_c)`.

    The ramp r keeps early, unreliable predictions quiet; the quotient holds the weighted
    consistency loss at the share ``ratio`` of the fusion loss, whatever their scales, so that
    neither drowns the other.

    Args:
        step: steps since the self-supervised task began.
        length: steps of the ramp.
        fusion: smoothed fusion loss.
        consistency: smoothed consistency loss.
        ratio: wished quotient of weighted consistency and fusion loss.
        maximum: bound of the quotient.

    Returns:
        Weight >= 0, a plain number: it takes no gradient.

    Source: SSVIF, dynamic weight adjustment; its formula is not public to us, this one is ours
        (docs/method_training.md).

    """
    if consistency <= 0:
        return sigmoid_ramp(step, length) * maximum
    return sigmoid_ramp(step, length) * min(maximum, ratio * fusion / consistency)
