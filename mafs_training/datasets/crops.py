"""Samples of the pairs: random crops for training, whole images for validation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mafs_model.classes import IGNORE_INDEX
from mafs_model.errors import DatasetError
from mafs_training.datasets.packed import PackedPair
from mafs_training.datasets.reading import RawPair
from mafs_training.datasets.store import PairStore
import numpy as np
import torch
from torch import Tensor
import torch.nn.functional as F
from torch.utils.data import Dataset

Sample = dict[str, Any]


def to_tensors(
    visible: np.ndarray,
    thermal: np.ndarray,
    label: np.ndarray | None,
    name: str,
    ignore_index: int = IGNORE_INDEX,
) -> Sample:
    """
    Make a sample from arrays.

    Args:
        visible: uint8 [H,W,3].
        thermal: uint8 [H,W].
        label: uint8 [H,W] or None.
        name: of the pair.
        ignore_index: fills the label if there is none.

    Returns:
        'visible' float [3,H,W] in 0..1, 'thermal' float [1,H,W], 'label' int64 [H,W],
        'labelled' bool, 'name'.

    """
    height, width = thermal.shape
    return {
        'visible': torch.from_numpy(np.ascontiguousarray(visible.transpose(2, 0, 1))) / 255.0,
        'thermal': torch.from_numpy(np.ascontiguousarray(thermal))[None] / 255.0,
        'label': (
            torch.full((height, width), ignore_index)
            if label is None
            else torch.from_numpy(np.ascontiguousarray(label)).long()
        ),
        'labelled': torch.tensor(label is not None),
        'name': name,
    }


def random_window(
    size: tuple[int, int], crop: int, scale: tuple[float, float], rng: np.random.Generator
) -> tuple[int, int, int, int]:
    """
    Draw a square window.

    Args:
        size: (height, width) of the image.
        crop: side of the training crop, pixels.
        scale: range of magnification; the window has side crop / magnification.
        rng: source of randomness.

    Returns:
        Top, left, height, width; the sides are cut to the image.

    """
    magnification = float(np.exp(rng.uniform(np.log(scale[0]), np.log(scale[1]))))
    side = max(8, round(crop / magnification))
    height, width = min(side, size[0]), min(side, size[1])
    top = int(rng.integers(0, size[0] - height + 1))
    left = int(rng.integers(0, size[1] - width + 1))
    return top, left, height, width


def fit(sample: Sample, crop: int, ignore_index: int) -> Sample:
    """Resize a window to crop x crop; a window that is not square is padded, label ignored."""
    height, width = sample['label'].shape
    factor = crop / max(height, width)
    size = (min(crop, max(1, round(height * factor))), min(crop, max(1, round(width * factor))))
    if size != (height, width):
        for key in ('visible', 'thermal'):
            sample[key] = F.interpolate(
                sample[key][None],
                size=size,
                mode='bilinear',
                align_corners=False,
                antialias=factor < 1,
            )[0].clamp(0, 1)
        sample['label'] = F.interpolate(
            sample['label'][None, None].float(), size=size, mode='nearest-exact'
        )[0, 0].long()
    pad = (0, crop - size[1], 0, crop - size[0])
    if any(pad):
        for key in ('visible', 'thermal'):
            sample[key] = F.pad(sample[key][None], pad, mode='replicate')[0]
        sample['label'] = F.pad(sample['label'], pad, value=ignore_index)
    return sample


class CropDataset(Dataset[Sample]):
    """
    Random crops, each a function of (seed, number of the draw).

    Args:
        store: pairs to cut from.
        crop: side of the crop, pixels.
        scale: range of magnification.
        seed: of the run.
        ignore_index: label without class.
        focus: probability that the window is placed around a random labelled pixel of a class
            other than 0, which helps rare classes; 0 for no such choice.

    """

    def __init__(
        self,
        store: PairStore,
        crop: int,
        scale: tuple[float, float],
        seed: int,
        ignore_index: int = IGNORE_INDEX,
        focus: float = 0.0,
    ) -> None:
        if crop < 32 or crop % 4:
            raise DatasetError(f'crop: expected a multiple of 4 of at least 32, got {crop}')
        if not 0 < scale[0] <= scale[1]:
            raise DatasetError(f'scale: expected 0 < low <= high, got {scale}')
        self.store, self.crop, self.scale, self.seed = store, crop, scale, seed
        self.ignore_index, self.focus = ignore_index, focus

    def __len__(self) -> int:
        return len(self.store)

    def __getitem__(self, key: tuple[int, int]) -> Sample:
        index, draw = key
        pair = self.store.pairs[index]
        rng = np.random.default_rng((self.seed, draw))
        top, left, height, width = random_window(pair.size, self.crop, self.scale, rng)
        if pair.labelled and self.focus > 0 and rng.random() < self.focus:
            top, left = self._around_object(pair, height, width, rng) or (top, left)
        part = pair.window(slice(top, top + height), slice(left, left + width))
        sample = to_tensors(part.visible, part.thermal, part.label, part.name, self.ignore_index)
        return fit(sample, self.crop, self.ignore_index)

    def _around_object(
        self, pair: RawPair | PackedPair, height: int, width: int, rng: np.random.Generator
    ) -> tuple[int, int] | None:
        """Top and left of a window that holds a random pixel of a random object class."""
        label = pair.label_image()
        assert label is not None
        classes = np.unique(label)
        classes = classes[(classes != 0) & (classes != self.ignore_index)]
        if not classes.size:
            return None
        rows, columns = np.nonzero(label == rng.choice(classes))
        chosen = int(rng.integers(rows.size))
        top = int(np.clip(rows[chosen] - rng.integers(height), 0, label.shape[0] - height))
        left = int(np.clip(columns[chosen] - rng.integers(width), 0, label.shape[1] - width))
        return top, left


class ImageDataset(Dataset[Sample]):
    """Whole images in order, without any change; for validation."""

    def __init__(self, store: PairStore, ignore_index: int = IGNORE_INDEX) -> None:
        self.store, self.ignore_index = store, ignore_index

    def __len__(self) -> int:
        return len(self.store)

    def __getitem__(self, index: int) -> Sample:
        pair = self.store.pairs[index].window()
        return to_tensors(pair.visible, pair.thermal, pair.label, pair.name, self.ignore_index)


def collate(samples: Sequence[Sample]) -> dict[str, Tensor | list[str]]:
    """Stack samples of one size to a batch; 'name' becomes 'names'."""
    batch: dict[str, Tensor | list[str]] = {
        key: torch.stack([sample[key] for sample in samples])
        for key in ('visible', 'thermal', 'label', 'labelled')
    }
    batch['names'] = [sample['name'] for sample in samples]
    return batch
