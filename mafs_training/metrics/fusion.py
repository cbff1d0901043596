"""
The fusion metrics: one table that measurement, reports, documents and tests come from.

A new metric is a function and one row here; `python -m mafs_training.metrics.docs` then brings
docs/metrics.md up to date.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from mafs_training.metrics.detail import thermal_kept, visible_kept
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


class Triple:
    """
    The fused image of one pair and its sources, with what several metrics share.

    Args:
        fused: uint8 [H, W] or [H, W, 3] RGB, 0..255, or a Plane.
        thermal: thermal image of the same size, uint8 or a Plane.
        visible: visible image of the same size, uint8 or a Plane.

    Raises:
        ImageError: wrong dtype or different sizes.

    """

    def __init__(self, fused: ImageLike, thermal: ImageLike, visible: ImageLike) -> None:
        self.planes = as_planes(fused, thermal, visible)
        self.fused, self.thermal, self.visible = self.planes

    @cached_property
    def similarities(self) -> list[float]:
        """SSIM summed over both sources for the data ranges 2 and 255."""
        sources = (self.thermal, self.visible)
        return [sum(row) for row in similarities(self.fused, sources, (PUBLISHED_RANGE, 255.0))]

    @cached_property
    def edge_transfers(self) -> tuple[float, float]:
        """Qabf as the suite and as the paper has it."""
        return edge_transfers(self.fused, self.thermal, self.visible)


@dataclass(frozen=True)
class FusionMetric:
    """
    One fusion metric.

    Attributes:
        name: key in tables and documents.
        measure: its value for a pair; not a number where it is undefined.
        meaning: a few words for reports.
        formula: what it computes, for docs/metrics.md.
        conventions: constants and conventions, for docs/metrics.md.
        source: where it was published.
        lower: whether less is better.
        variant: the same quantity under the convention of the paper rather than of the
            published tables; measured only when asked for.

    """

    name: str
    measure: Callable[[Triple], float]
    meaning: str
    formula: str
    conventions: str
    source: str
    lower: bool = False
    variant: bool = False


TABLE: tuple[FusionMetric, ...] = (
    FusionMetric(
        'EN',
        lambda pair: entropy(pair.fused),
        'entropy, bit',
        '-sum p log2 p',
        '256-bin histogram of F; bits',
        'Roberts et al., J. Appl. Remote Sensing 2, 2008',
    ),
    FusionMetric(
        'SD',
        lambda pair: standard_deviation(pair.fused),
        'standard deviation',
        'sqrt(mean (F - mean F)^2)',
        'population form, divided by N',
        'Rao, Meas. Sci. Technol. 8, 1997',
    ),
    FusionMetric(
        'SF',
        lambda pair: spatial_frequency(pair.fused),
        'spatial frequency',
        'sqrt(RF^2 + CF^2)',
        'RF^2, CF^2: mean squared horizontal and vertical difference, each over the differences '
        'that exist',
        'Eskicioglu and Fisher, IEEE Trans. Commun. 43, 1995',
    ),
    FusionMetric(
        'AG',
        lambda pair: average_gradient(pair.fused),
        'average gradient',
        'mean sqrt((gx^2 + gy^2) / 2)',
        'central differences, one-sided at the border',
        'Cui et al., Opt. Commun. 341, 2015',
    ),
    FusionMetric(
        'MI',
        lambda pair: mutual_information(*pair.planes),
        'mutual information, nat',
        'I(F;T) + I(F;V)',
        'every grey level a bin; natural logarithm (nats)',
        'Qu et al., Electron. Lett. 38, 2002',
    ),
    FusionMetric(
        'SCD',
        lambda pair: correlation_of_differences(*pair.planes),
        'sum of correlations of differences',
        'r(T, F - V) + r(V, F - T)',
        'r: Pearson correlation. Undefined where F is a source itself',
        'Aslantas and Bendes, AEU 69, 2015',
    ),
    FusionMetric(
        'VIF',
        lambda pair: visual_information(*pair.planes),
        'visual information fidelity',
        'VIFp(T,F) + VIFp(V,F)',
        'pixel domain, 4 scales, Gaussian windows of 17, 9, 5, 3 pixels, sigma = side / 5, no '
        'padding, halving by every second pixel after smoothing; noise variance 2; epsilon 1e-10. '
        'Called VIFF in many tables',
        'Sheikh and Bovik, IEEE TIP 15, 2006; Han et al., Inf. Fusion 14, 2013',
    ),
    FusionMetric(
        'Qabf',
        lambda pair: pair.edge_transfers[0],
        'edge transfer',
        'sum_S sum Q_SF g_S / sum_S sum g_S',
        'see below',
        'Xydeas and Petrovic, Electron. Lett. 36, 2000',
    ),
    FusionMetric(
        'SSIM',
        lambda pair: pair.similarities[0],
        'structural similarity, published constants',
        'SSIM(F,T) + SSIM(F,V), at most 2',
        '7x7 uniform window, sample covariance (n - 1), K1 = 0.01, K2 = 0.03, mean over windows '
        'inside the image, data range 2',
        'Wang et al., IEEE TIP 13, 2004',
    ),
    FusionMetric(
        'SSIM255',
        lambda pair: pair.similarities[1],
        'structural similarity, 0-255 constants',
        'the same',
        'data range 255',
        'the same',
    ),
    FusionMetric(
        'CC',
        lambda pair: correlation(*pair.planes),
        'correlation',
        '(r(F,T) + r(F,V)) / 2',
        'undefined where an image is constant',
        'Deshmukh and Bhosale, IJIP 4, 2010',
    ),
    FusionMetric(
        'PSNR',
        lambda pair: peak_signal_to_noise(*pair.planes),
        'peak signal to noise, dB',
        '10 log10(max(F)^2 / MSE)',
        "the peak is F's own maximum; infinite (no value) where F equals both sources",
        'as the suite',
    ),
    FusionMetric(
        'MSE',
        lambda pair: mean_squared_error(*pair.planes),
        'squared error, lower is better',
        '(mean (F - T)^2 + mean (F - V)^2) / 2',
        'grey values squared',
        'as the suite',
        lower=True,
    ),
    FusionMetric(
        'visible_kept',
        lambda pair: visible_kept(*pair.planes),
        'visible detail kept where the thermal image is brighter',
        '<d_F, d_V> / <d_V, d_V>',
        'd: image minus its Gaussian (1.5 px). Over pixels where T - V > 15 (both smoothed, 4 '
        'px), abs(d_V) > 4 and abs(d_V) > 1.5 abs(d_T); undefined with 200 such pixels or fewer. '
        '1: kept, 0: lost',
        'this project',
    ),
    FusionMetric(
        'thermal_kept',
        lambda pair: thermal_kept(*pair.planes),
        'thermal detail kept where the visible image is brighter',
        '<d_F, d_T> / <d_T, d_T>',
        'the same with the roles exchanged: glare',
        'this project',
    ),
    FusionMetric(
        'Qabf_XP',
        lambda pair: pair.edge_transfers[1],
        'edge transfer after the paper',
        'as Qabf',
        'the ratio of equal strengths is 1; see below',
        'as Qabf',
        variant=True,
    ),
    FusionMetric(
        'MI_bits',
        lambda pair: mutual_information(*pair.planes, base=2),
        'mutual information, bit',
        'MI / ln 2',
        'bits',
        'as MI',
        variant=True,
    ),
)

METRICS = {metric.name: metric for metric in TABLE}
FUSION_METRICS = tuple(metric.name for metric in TABLE if not metric.variant)
VARIANTS = tuple(metric.name for metric in TABLE if metric.variant)
LOWER_IS_BETTER = frozenset(metric.name for metric in TABLE if metric.lower)


def fusion_metrics(
    fused: ImageLike,
    thermal: ImageLike,
    visible: ImageLike,
    *,
    names: Sequence[str] = FUSION_METRICS,
) -> dict[str, float]:
    """
    Measure one fused image against its two sources.

    Args:
        fused: uint8 [H, W] or [H, W, 3] RGB, 0..255, or a Plane.
        thermal: thermal image of the same size, uint8 or a Plane.
        visible: visible image of the same size, uint8 or a Plane.
        names: metrics of TABLE that are wanted.

    Returns:
        metric name to value; not a number where a metric is undefined.

    Raises:
        ImageError: wrong dtype, different sizes, or smaller than 41x41 pixels.

    """
    pair = Triple(fused, thermal, visible)
    return {name: METRICS[name].measure(pair) for name in names}
