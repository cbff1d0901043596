"""Decides which pair is drawn at which place of a run, as a function of seed and place alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mafs_model.errors import DatasetError
import numpy as np
from torch.utils.data import Sampler


class DrawStream:
    """
    Endless sequence of indices: one shuffled pass after the other, reproducible at any place.

    Args:
        indices: what is drawn.
        weights: copies of each index per pass; the fraction is drawn anew in every pass.
        seed: of the shuffling.

    """

    def __init__(self, indices: Sequence[int], weights: Sequence[float], seed: int) -> None:
        if not indices:
            raise DatasetError('no pair to draw from')
        self.indices = np.asarray(indices)
        scale = min(weights)
        self.copies = np.asarray(weights, dtype=np.float64) / scale
        self.seed = seed
        # the number of draws per pass is fixed, so that place -> pass is a division
        self.length = int(np.floor(self.copies).sum() + np.floor((self.copies % 1).sum()))
        self._pass = -1
        self._order = self.indices

    def _shuffle(self, number: int) -> None:
        rng = np.random.default_rng((self.seed, number))
        whole = np.repeat(self.indices, np.floor(self.copies).astype(int))
        fraction = self.copies % 1
        extra = self.length - whole.size
        if extra:
            chosen = rng.choice(self.indices, extra, replace=False, p=fraction / fraction.sum())
            whole = np.concatenate([whole, chosen])
        self._order = rng.permutation(whole)
        self._pass = number

    def __getitem__(self, place: int) -> int:
        number, offset = divmod(place, self.length)
        if number != self._pass:
            self._shuffle(number)
        return int(self._order[offset])


class DrawSampler(Sampler[tuple[int, int]]):
    """
    Yields (index of the pair, number of the draw) for one epoch of fixed length.

    An epoch is a number of steps, not a pass over the data. The n-th draw of a run depends on
    seed and n only: a resumed run, or one with another number of workers, draws the same.

    Args:
        labelled: indices of pairs with a label.
        unlabelled: indices of pairs without.
        weights: per pair, see `DrawStream`.
        batch: batch size of one process.
        steps: batches per epoch and process.
        labelled_fraction: share of each batch drawn from labelled pairs, 0: from none of them,
            1: from them alone; None: all alike.
        seed: of the run.
        rank: of this process.
        world: number of processes.
        resumed: epoch in which a run is continued, and its batches that are done.

    """

    def __init__(
        self,
        labelled: Sequence[int],
        unlabelled: Sequence[int],
        weights: Sequence[float],
        *,
        batch: int,
        steps: int,
        labelled_fraction: float | None = None,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
        resumed: tuple[int, int] = (0, 0),
    ) -> None:
        self.batch, self.steps, self.rank, self.world = batch, steps, rank, world
        self.epoch, self._resumed = resumed[0], resumed
        if labelled_fraction is None or not labelled or not unlabelled:
            groups = [(sorted([*labelled, *unlabelled]), batch)]
        elif labelled_fraction in (0, 1):
            groups = [(list(labelled if labelled_fraction else unlabelled), batch)]
        else:
            # between 0 and 1: at least one of each kind, or the group would never be drawn
            count = min(max(1, round(labelled_fraction * batch)), max(1, batch - 1))
            groups = [(list(labelled), count), (list(unlabelled), batch - count)]
        self.groups = [
            (DrawStream(indices, [weights[i] for i in indices], seed * 7919 + number), count)
            for number, (indices, count) in enumerate(groups)
            if count
        ]

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; called by the trainer."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.batch * self.steps

    def __iter__(self) -> Iterator[tuple[int, int]]:
        epoch, done = self._resumed
        for step in range(done if self.epoch == epoch else 0, self.steps):
            block = (self.epoch * self.steps + step) * self.world + self.rank
            offset = 0
            for stream, count in self.groups:
                for item in range(count):
                    yield stream[block * count + item], block * self.batch + offset
                    offset += 1
