"""Segmentation metrics from one confusion matrix pooled over all images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from mafs_model.errors import ImageError
import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
Float = NDArray[np.float64]
Which = Literal['all', 'present']


def confusion_counts(
    prediction: NDArray[Any], target: NDArray[Any], num_classes: int, ignore_index: int = 255
) -> Counts:
    """
    Count pixels by target and predicted class.

    Args:
        prediction: class ids, integer [H, W], 0..num_classes-1, or `ignore_index` where
            nothing was predicted, which counts as a miss of the target class.
        target: class ids, integer [H, W]; pixels equal to `ignore_index` are left out.
        num_classes: number of classes C.
        ignore_index: value of pixels without a label.

    Returns:
        int64 [C, C + 1]: rows are targets, columns predictions, the last column 'nothing'.

    Raises:
        ImageError: sizes differ, not an integer image, or a value outside the class table.

    """
    check_labels(prediction, num_classes, ignore_index, 'prediction')
    check_labels(target, num_classes, ignore_index, 'label')
    if prediction.shape != target.shape:
        raise ImageError(
            'size',
            (
                f'prediction and label must have the same size, got {_size(prediction)} '
                f'and {_size(target)}'
            ),
        )
    labelled = target != ignore_index
    columns = prediction[labelled].astype(np.int64)
    columns[columns == ignore_index] = num_classes
    cells = target[labelled].astype(np.int64) * (num_classes + 1) + columns
    counts = np.bincount(cells, minlength=num_classes * (num_classes + 1))
    return counts.reshape(num_classes, num_classes + 1).astype(np.int64)


def check_labels(labels: NDArray[Any], num_classes: int, ignore_index: int, what: str) -> None:
    """
    Check that an array is a label image of the class table.

    Raises:
        ImageError: not two-dimensional, not integer, or a value outside the table.

    """
    if labels.ndim != 2 or labels.dtype.kind not in 'iu':
        raise ImageError(
            'encoding',
            (
                f'{what} must be an integer image [H, W] of class ids, '
                f'got {labels.dtype} {list(labels.shape)}'
            ),
        )
    values = np.unique(labels)
    wrong = values[((values < 0) | (values >= num_classes)) & (values != ignore_index)]
    if wrong.size:
        listed = ', '.join(str(int(value)) for value in wrong[:5])
        raise ImageError(
            'data',
            (
                f'{what} has values outside the class table: {listed} '
                f'(expected 0..{num_classes - 1} or {ignore_index} = ignored)'
            ),
        )


class ConfusionMatrix:
    """
    Pooled confusion matrix and the scores read from it.

    Args:
        num_classes: number of classes C.
        ignore_index: target value of pixels that are left out.

    Source: mean intersection over union as in Everingham et al., IJCV 88 (2010): intersection
    and union are summed over all images before they are divided.

    """

    def __init__(self, num_classes: int, ignore_index: int = 255) -> None:
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.counts: Counts = np.zeros((num_classes, num_classes + 1), np.int64)

    def add_image(self, prediction: NDArray[Any], target: NDArray[Any]) -> Counts:
        """Add one image; its own counts are returned. Raises as `confusion_counts` does."""
        counts = confusion_counts(prediction, target, self.num_classes, self.ignore_index)
        self.counts += counts
        return counts

    @property
    def iou(self) -> Float:
        """Intersection over union per class, nan where the class occurs nowhere."""
        return iou_of_counts(self.counts)

    @property
    def accuracy(self) -> Float:
        """Share of a class's pixels that are found (recall), nan where it has none."""
        return _divide(_hits(self.counts), self.counts.sum(axis=1))

    @property
    def precision(self) -> Float:
        """Share of the pixels predicted as a class that are it, nan where none is predicted."""
        return _divide(_hits(self.counts), self.counts[:, : self.num_classes].sum(axis=0))

    @property
    def pixel_accuracy(self) -> float:
        """Share of labelled pixels that are right, nan without labelled pixels."""
        return float(_divide(_hits(self.counts).sum(), self.counts.sum()))

    def mean_iou(self, which: Which = 'all', *, background: bool = True) -> float:
        """Mean of the class IoUs; see `mean_iou_of_counts`."""
        return float(mean_iou_of_counts(self.counts, which, background=background))

    def mean_accuracy(self) -> float:
        """Mean of the accuracies of the classes that have labelled pixels."""
        values = self.accuracy
        return float(np.nanmean(values)) if np.isfinite(values).any() else float('nan')


def iou_of_counts(counts: NDArray[Any]) -> Float:
    """IoU per class of counts [..., C, C + 1], float64 [..., C]; nan where nothing occurs."""
    classes = counts.shape[-2]
    hits = _hits(counts)
    union = counts.sum(axis=-1) + counts[..., :classes].sum(axis=-2) - hits
    return _divide(hits, union)


def mean_iou_of_counts(
    counts: NDArray[Any], which: Which = 'all', *, background: bool = True
) -> Float:
    """
    Mean IoU of counts [..., C, C + 1].

    Args:
        counts: pixel counts, rows targets, columns predictions.
        which: 'all': every class of the table; one that occurs neither in labels nor in
            predictions counts as 0. 'present': only the classes that occur in either.
        background: False leaves class 0 out of the mean (its pixels still count against the
            other classes).

    Returns:
        float64 [...], nan where no class is left.

    """
    if which not in ('all', 'present'):
        raise ValueError(f"which must be 'all' or 'present', got {which!r}")
    iou = iou_of_counts(counts)
    if not background:
        iou = iou[..., 1:]
    if which == 'all':
        return np.asarray(np.nan_to_num(iou).mean(axis=-1))
    present = np.isfinite(iou)
    return _divide(np.nan_to_num(iou).sum(axis=-1), present.sum(axis=-1))


def _hits(counts: NDArray[Any]) -> NDArray[Any]:
    return np.diagonal(counts, axis1=-2, axis2=-1)


def _divide(numerator: Any, denominator: Any) -> Float:
    """Quotient, nan where the denominator is zero."""
    numerator = np.asarray(numerator, np.float64)
    denominator = np.asarray(denominator, np.float64)
    quotient = np.full(np.broadcast(numerator, denominator).shape, np.nan)
    return np.divide(numerator, denominator, out=quotient, where=denominator != 0)


def _size(image: NDArray[Any]) -> str:
    return f'{image.shape[1]}x{image.shape[0]}'


def iou_statistics(names: Sequence[str]) -> dict[str, Callable[[NDArray[Any]], Float]]:
    """
    Return what is told of labels: functions of pooled counts [..., C, C + 1] by name.

    Args:
        names: of the classes.

    Returns:
        'mIoU' over all classes, 'mIoU_present' over those that occur, and 'IoU NAME' of each.

    """

    def of_class(index: int) -> Callable[[NDArray[Any]], Float]:
        return lambda counts: np.asarray(iou_of_counts(counts)[..., index])

    return {
        'mIoU': lambda counts: mean_iou_of_counts(counts, 'all'),
        'mIoU_present': lambda counts: mean_iou_of_counts(counts, 'present'),
        **{f'IoU {name}': of_class(index) for index, name in enumerate(names)},
    }
