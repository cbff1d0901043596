"""Loaders of training and validation for the Lightning trainer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lightning.pytorch as pl
from mafs_training.datasets.crops import collate, CropDataset, ImageDataset
from mafs_training.datasets.sampling import DrawSampler
from mafs_training.datasets.store import PairStore
from mafs_training.options import DataOptions
import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader


class PairDataModule(pl.LightningDataModule):
    """
    Crops for training, whole images for validation.

    Args:
        options: of the data.
        train: pairs to train on.
        val: pairs to validate on; empty: no validation.
        steps: batches per epoch and process.
        seed: of the run.
        ignore_index: label without class.
        resumed: epoch, and batches of it that are done, of a resumed run.

    """

    def __init__(
        self,
        options: DataOptions,
        train: PairStore,
        val: PairStore,
        steps: int,
        seed: int,
        ignore_index: int,
        resumed: tuple[int, int] = (0, 0),
    ) -> None:
        super().__init__()
        self.options, self.train, self.val = options, train, val
        self.steps, self.seed, self.ignore_index = steps, seed, ignore_index
        self.resumed = resumed

    def train_dataloader(self) -> DataLoader[dict[str, Any]]:
        """Loader of one epoch of crops; each process has its own share."""
        options = self.options
        labelled = self.train.labelled
        known = set(labelled)
        fraction = options.labelled_fraction
        sampler = DrawSampler(
            labelled,
            [i for i in range(len(self.train)) if i not in known],
            self.train.weights,
            batch=options.batch,
            steps=self.steps,
            labelled_fraction=None if fraction < 0 else fraction,
            seed=self.seed,
            rank=self.trainer.global_rank if self.trainer else 0,
            world=self.trainer.world_size if self.trainer else 1,
            resumed=self.resumed,
        )
        dataset = CropDataset(
            self.train, options.crop, options.scale, self.seed, self.ignore_index, options.focus
        )
        return DataLoader(
            dataset,
            batch_size=options.batch,
            sampler=sampler,
            collate_fn=collate,
            num_workers=options.workers,
            persistent_workers=options.workers > 0,
            drop_last=True,
        )

    def val_dataloader(self) -> DataLoader[dict[str, Any]] | Sequence[Any]:
        """Loader of whole images, one at a time, since sizes differ."""
        if not len(self.val):
            return []
        return DataLoader(
            ImageDataset(self.val, self.ignore_index), batch_size=1, collate_fn=collate
        )


def class_counts(store: PairStore, num_classes: int) -> NDArray[np.int64]:
    """Labelled pixels per class [C] over all pairs, weighted as they are drawn."""
    counts = np.zeros(num_classes, dtype=np.float64)
    for pair, weight in zip(store.pairs, store.weights, strict=True):
        counts += weight * pair.label_counts()[:num_classes]
    return counts.astype(np.int64)
