"""Temperature scaling: one number that makes probabilities mean what they say."""

from __future__ import annotations

from mafs_model.errors import DatasetError
import numpy as np
from numpy.typing import NDArray

Logits = NDArray[np.float32]
Labels = NDArray[np.integer]

SMALLEST, LARGEST = 0.01, 1000.0
_STEPS = 40  # halvings of the range of log T: far below the last digit of the result
_CHUNK = 1 << 18


def fit_temperature(logits: Logits, targets: Labels) -> float:
    """
    Return the temperature T at which softmax(logits / T) is most likely.

    The mean negative log-likelihood is convex in 1/T, so its derivative has one zero, found by
    bisection: no step size, no start value. Classes are unchanged, for T is positive.

    Args:
        logits: float32 [N, C].
        targets: class ids [N], 0..C-1.

    Returns:
        T, from 0.01 to 1000.

    Raises:
        DatasetError: no pixel, or the best T is outside that range: logits and targets do not
            belong together, or every pixel is right.

    Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017, section 4.2.

    """
    if len(targets) == 0:
        raise DatasetError('no labelled pixel to fit a temperature to')
    # In 1/T the slope rises: negative where the network should be more certain.
    low, high = np.log(1 / LARGEST), np.log(1 / SMALLEST)
    if _slope(logits, targets, np.exp(low)) >= 0 or _slope(logits, targets, np.exp(high)) <= 0:
        raise DatasetError(
            f'no temperature from {SMALLEST:g} to {LARGEST:g} fits: the logits say nothing about '
            'the labels, or are right everywhere'
        )
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if _slope(logits, targets, np.exp(middle)) < 0:
            low = middle
        else:
            high = middle
    return float(np.exp(-(low + high) / 2))


def likelihood(logits: Logits, targets: Labels, temperature: float = 1.0) -> float:
    """Return the mean negative log-likelihood of targets, nats a pixel; nan without pixels."""
    if len(targets) == 0:
        return float('nan')
    total = 0.0
    for start in range(0, len(targets), _CHUNK):
        z = logits[start : start + _CHUNK].astype(np.float64) / temperature
        z -= z.max(axis=1, keepdims=True)
        own = np.take_along_axis(z, targets[start : start + _CHUNK, None].astype(int), 1)[:, 0]
        total += float((np.log(np.exp(z).sum(axis=1)) - own).sum())
    return total / len(targets)


def confidence(logits: Logits, temperature: float = 1.0) -> NDArray[np.float64]:
    """Return the probability of the most probable class, float64 [N]."""
    parts = [np.zeros(0)]
    for start in range(0, len(logits), _CHUNK):
        z = logits[start : start + _CHUNK].astype(np.float64) / temperature
        parts.append(1 / np.exp(z - z.max(axis=1, keepdims=True)).sum(axis=1))
    return np.concatenate(parts)


def _slope(logits: Logits, targets: Labels, inverse: float) -> float:
    """Return the derivative of the mean negative log-likelihood in 1/T."""
    total = 0.0
    for start in range(0, len(targets), _CHUNK):
        raw = logits[start : start + _CHUNK].astype(np.float64)
        weights = np.exp(inverse * (raw - raw.max(axis=1, keepdims=True)))
        expected = (weights * raw).sum(axis=1) / weights.sum(axis=1)
        own = np.take_along_axis(raw, targets[start : start + _CHUNK, None].astype(int), 1)[:, 0]
        total += float((expected - own).sum())
    return total / len(targets)
