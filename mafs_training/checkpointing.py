"""Checkpoints of a run: written so that none is lost, every few minutes and after each epoch."""

from __future__ import annotations

import io
import logging
from pathlib import Path
import time
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO
from mafs_model.errors import CheckpointError
from mafs_model.files import write_bytes
from mafs_training.interruption import InterruptedRunError, StopRequest
import torch
from torch import nn

_log = logging.getLogger(__name__)
_COPIES = 5  # last and best, the one before each, and the one being written


def expected_bytes(module: nn.Module) -> int:
    """Return the room that the checkpoints of a run take: weights, average and two of AdamW."""
    tensors = [*module.parameters(), *module.buffers()]
    trained = sum(p.nbytes for p in module.parameters() if p.requires_grad)
    return _COPIES * (sum(tensor.nbytes for tensor in tensors) + 2 * trained)


class SafeCheckpointIO(TorchCheckpointIO):
    """Writes checkpoints beside, synchronised and renamed; the one before is kept."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Write a checkpoint; CheckpointError if there is no room, and the old one stays."""
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        write_bytes(Path(path), buffer.getbuffer(), previous=True, error=CheckpointError)


class LastCheckpoint(Checkpoint):
    """
    Keeps ``last.ckpt`` up to date, with or without a validation, and saves when asked to stop.

    After an epoch it is written when the validation is done; within one, after a whole optimiser
    step. All processes of a run do the same at the same step.

    Args:
        path: file of the checkpoint.
        minutes: time between checkpoints within an epoch; 0: after every step.
        accumulate: batches per optimiser step.
        stop: whether a signal has come.

    """

    def __init__(self, path: Path, minutes: float, accumulate: int, stop: StopRequest) -> None:
        self.path, self.seconds, self.accumulate, self.stop = path, 60 * minutes, accumulate, stop
        self._saved_at = time.monotonic()

    def on_sanity_check_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Take the signals back from Lightning, which has just taken them."""
        self.stop.listen()

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Start the clock; there may have been no sanity check."""
        self.stop.listen()
        self._saved_at = time.monotonic()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_index: int,
    ) -> None:
        """Save if it is time, within an epoch: its last step is saved after the validation."""
        done = batch_index + 1
        if done % self.accumulate or done >= trainer.num_training_batches:
            return
        due = time.monotonic() - self._saved_at >= self.seconds
        due, number = self._agree(trainer, due)
        if due or number:
            self._save(trainer)
        self._end(trainer, number)

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Save the epoch."""
        _, number = self._agree(trainer, True)
        self._save(trainer)
        if trainer.current_epoch + 1 < (trainer.max_epochs or 0):
            self._end(trainer, number)

    def _agree(self, trainer: pl.Trainer, due: bool) -> tuple[bool, int]:
        """Whether the first process finds it time, and the signal that any of them has got."""
        if trainer.world_size == 1:
            return due, self.stop.number
        wishes = torch.tensor(
            [float(due and trainer.is_global_zero), float(self.stop.number)],
            device=trainer.strategy.root_device,
        )
        time_is_up, number = trainer.strategy.reduce(wishes, reduce_op='max').tolist()
        return bool(time_is_up), int(number)

    def _save(self, trainer: pl.Trainer) -> None:
        trainer.save_checkpoint(self.path)
        self._saved_at = time.monotonic()

    def _end(self, trainer: pl.Trainer, number: int) -> None:
        if not number:
            return
        line = (
            f'step {trainer.global_step} saved to {self.path}; continue with --trainer.resume auto'
        )
        if trainer.is_global_zero:
            _log.info(line)
        raise InterruptedRunError(number, line)
