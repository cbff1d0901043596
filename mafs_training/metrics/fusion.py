"""All fusion metrics of one pair at once, intermediate results shared."""

from __future__ import annotations

from mafs_training.metrics.intensity import (
    average_gradient,
    correlation,
    correlation_of_differences,
    entropy,
    mean_squared_error,
    mutual_information,
    peak_signal_to_noise,
    spatial_frequency,
    standard_deviation,
)
from mafs_training.metrics.plane import as_planes, ImageLike
from mafs_training.metrics.qabf import edge_transfers
from mafs_training.metrics.ssim import PUBLISHED_RANGE, similarities
from mafs_training.metrics.vif import visual_information

FUSION_METRICS = (
    'EN',
    'SD',
    'SF',
    'AG',
    'MI',
    'SCD',
    'VIF',
    'Qabf',
    'SSIM',
    'SSIM255',
    'CC',
    'PSNR',
    'MSE',
)

# The same quantity under the convention of the paper rather than of the published tables.
VARIANTS = ('Qabf_XP', 'MI_bits')

LOWER_IS_BETTER = frozenset({'MSE'})


def fusion_metrics(
    fused: ImageLike, thermal: ImageLike, visible: ImageLike, *, variants: bool = False
) -> dict[str, float]:
    """
    Every metric of FUSION_METRICS for one fused image and its two sources.

    Args:
        fused: uint8 [H, W] or [H, W, 3] RGB, 0..255, or a Plane.
        thermal: thermal image of the same size, uint8 or a Plane.
        visible: visible image of the same size, uint8 or a Plane.
        variants: add the keys of VARIANTS.

    Returns:
        metric name to value; not a number where a metric is undefined.

    Raises:
        ImageError: wrong dtype, different sizes, or smaller than 41x41 pixels.

    """
    f, t, v = as_planes(fused, thermal, visible)
    published, scaled = similarities(f, (t, v), (PUBLISHED_RANGE, 255.0))
    qabf, qabf_xp = edge_transfers(f, t, v)
    values = {
        'EN': entropy(f),
        'SD': standard_deviation(f),
        'SF': spatial_frequency(f),
        'AG': average_gradient(f),
        'MI': mutual_information(f, t, v),
        'SCD': correlation_of_differences(f, t, v),
        'VIF': visual_information(f, t, v),
        'Qabf': qabf,
        'SSIM': sum(published),
        'SSIM255': sum(scaled),
        'CC': correlation(f, t, v),
        'PSNR': peak_signal_to_noise(f, t, v),
        'MSE': mean_squared_error(f, t, v),
    }
    if variants:
        values['Qabf_XP'] = qabf_xp
        values['MI_bits'] = mutual_information(f, t, v, base=2)
    return values
