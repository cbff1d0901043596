"""VIF: pixel-domain visual information fidelity of a fused image with both sources, summed."""

from __future__ import annotations

from mafs_training.metrics.plane import (
    as_planes,
    gaussian_valid,
    ImageLike,
    MIN_SIDE,
    Plane,
    require_side,
)
import numpy as np

NOISE_VARIANCE = 2.0
EPSILON = 1e-10


def visual_information(fused: ImageLike, thermal: ImageLike, visible: ImageLike) -> float:
    """
    VIF (VIFF in the field's tables): fidelity to each source, summed over both.

    Four scales; Gaussian windows of 17, 9, 5 and 3 pixels, sigma a fifth of the side, no
    padding; visual noise variance 2. A constant source gives 1.

    Source: Sheikh and Bovik, IEEE Trans. Image Processing 15 (2006), pixel-domain form; used
    for fusion after Han et al., Information Fusion 14 (2013).
    """
    f, t, v = as_planes(fused, thermal, visible)
    return fidelity(t, f) + fidelity(v, f)


def fidelity(reference: Plane, distorted: Plane) -> float:
    """Information the distorted image keeps, relative to what the reference carries."""
    require_side(reference, MIN_SIDE, 'VIF')
    kept = carried = 0.0
    levels = zip(reference.vif_levels, distorted.vif_levels, strict=True)
    for scale, ((x, mean_x, var_x), (y, mean_y, var_y)) in enumerate(levels):
        covariance = gaussian_valid(x * y, scale) - mean_x * mean_y
        gain = covariance / (var_x + EPSILON)
        noise = var_y - gain * covariance
        # Where a variance vanishes, nothing is transmitted; what is left of y is noise.
        flat_x, flat_y = var_x < EPSILON, var_y < EPSILON
        gain[flat_x | flat_y] = 0.0
        noise[flat_x] = var_y[flat_x]
        noise[flat_y] = 0.0
        # An inverted copy counts as noise only.
        inverted = gain < 0
        noise[inverted] = var_y[inverted]
        gain[inverted] = 0.0
        np.maximum(noise, EPSILON, out=noise)
        signal = np.where(flat_x, 0.0, var_x)
        kept += float(np.sum(np.log1p(gain * gain * signal / (noise + NOISE_VARIANCE))))
        carried += float(np.sum(np.log1p(signal / NOISE_VARIANCE)))
    return kept / carried if carried > 0 else 1.0
