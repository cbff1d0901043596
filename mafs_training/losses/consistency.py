"""Consistency of two class predictions of the same pixels."""

from __future__ import annotations

import math

from mafs_training.losses.check import check_image, check_same_shape
from torch import Tensor
import torch.nn.functional as F


def consistency_loss(
    student: Tensor, teacher: Tensor, temperature: float, weight: Tensor | None = None
) -> Tensor:
    r"""
    Temperature-scaled Kullback-Leibler divergence to a teacher that gets no gradient.

    .. math:: \tau^2 \, \frac{\sum_i w_i \, \mathrm{KL}(p^t_i \,\|\, p^s_i)}{\sum_i w_i},
              \quad p = \mathrm{softmax}(z / \tau)

    Args:
        student: logits [B,C,H,W]; the only argument that receives a gradient.
        teacher: logits of the same shape.
        temperature: softens both distributions, > 0.
        weight: confidence per pixel [B,H,W] >= 0, or None for a plain mean.

    Returns:
        Scalar >= 0, 0 for equal distributions or if all weights are 0.

    Raises:
        ValueError: shapes differ or the temperature is not positive.

    Source: MAFS, teacher-student consistency of the logit maps; the factor: Hinton et al. (2015).

    """
    check_image('student', student)
    check_same_shape('student', student, 'teacher', teacher)
    if temperature <= 0:
        raise ValueError(f'temperature: expected > 0, got {temperature}')
    log_student = (student.float() / temperature).log_softmax(1)
    log_teacher = (teacher.detach().float() / temperature).log_softmax(1)
    divergence = F.kl_div(log_student, log_teacher, reduction='none', log_target=True).sum(1)
    if weight is None:
        return temperature**2 * divergence.mean()
    if weight.shape != divergence.shape:
        raise ValueError(
            f'weight: expected shape {list(divergence.shape)}, got {list(weight.shape)}'
        )
    weight = weight.detach()
    return temperature**2 * (divergence * weight).sum() / weight.sum().clamp_min(1e-6)


def confidence_weight(logits: Tensor, threshold: float) -> Tensor:
    r"""
    Confidence of a prediction, one minus its normalised entropy, 0 below a threshold.

    :math:`w = 1 - H(p)/\log C`, set to 0 where :math:`\max p` is below the threshold.

    Args:
        logits: [B,C,H,W].
        threshold: least top probability that counts, 0..1.

    Returns:
        Weight [B,H,W], 0..1, without gradient.

    """
    log_p = logits.detach().float().log_softmax(1)
    p = log_p.exp()
    entropy = -(p * log_p).sum(1)
    weight = 1 - entropy / math.log(max(2, logits.shape[1]))
    return weight.clamp(0, 1) * (p.amax(1) >= threshold)
