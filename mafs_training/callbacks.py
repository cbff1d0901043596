"""Sample panels and the progress bar of a run."""

from __future__ import annotations

from datetime import timedelta
import logging
from pathlib import Path
import time
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import TQDMProgressBar
from mafs_model.files import write_bytes
from mafs_training.datasets.crops import collate, ImageDataset
from mafs_training.datasets.store import PairStore
import numpy as np
import torch
from torch import Tensor

_log = logging.getLogger(__name__)
_SHOWN = ('loss', 'fusion', 'segmentation', 'teacher', 'consistency', 'cross', 'agreement')


def encode_png(image: Tensor) -> bytes:
    """Encode an RGB picture [3,H,W] in 0..1 as PNG."""
    import cv2

    array = (image.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    done, data = cv2.imencode('.png', np.ascontiguousarray(array[..., ::-1]))
    if not done:
        raise ValueError(f'image of shape {list(image.shape)} cannot be encoded')
    return data.tobytes()


class PanelCallback(pl.Callback):
    """
    Writes what the averaged network makes of some pairs every so many steps.

    Args:
        folder: where the PNG files go; TensorBoard gets them too.
        store: pairs to choose from, evenly spread.
        every: optimiser steps between panels.
        count: pairs per panel.
        ignore_index: label without class.

    """

    def __init__(
        self, folder: Path, store: PairStore, every: int, count: int, ignore_index: int
    ) -> None:
        self.folder, self.every = folder, every
        dataset = ImageDataset(store, ignore_index)
        chosen = np.unique(np.linspace(0, len(store) - 1, count).round().astype(int))
        self.samples = [dataset[int(index)] for index in chosen]
        self._last = 0

    @torch.no_grad()
    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_index: int,
    ) -> None:
        """Write a panel if it is time."""
        step = trainer.global_step
        if step == self._last or step % self.every or not trainer.is_global_zero:
            return
        self._last = step
        was_training = module.stage.training
        module.stage.eval()
        rows = []
        for sample in self.samples:
            one = collate([sample])
            moved = {k: v.to(module.device) for k, v in one.items() if isinstance(v, Tensor)}
            rows.append(module.stage.panel(module.ema.module, moved))
        module.stage.train(was_training)
        width = max(row.shape[-1] for row in rows)
        picture = torch.cat(
            [torch.nn.functional.pad(row, (0, width - row.shape[-1])) for row in rows], dim=1
        )
        data = encode_png(picture)
        write_bytes(self.folder / f'step_{step:07d}.png', data)
        _to_tensorboard(trainer, data, (picture.shape[1], picture.shape[2]), step)


def _to_tensorboard(trainer: pl.Trainer, data: bytes, size: tuple[int, int], step: int) -> None:
    """Hand an encoded picture to the TensorBoard logger, if there is one."""
    from lightning.pytorch.loggers import TensorBoardLogger

    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            from tensorboard.compat.proto.summary_pb2 import Summary

            image = Summary.Image(
                height=size[0], width=size[1], colorspace=3, encoded_image_string=data
            )
            writer = logger.experiment._get_file_writer()
            writer.add_summary(Summary(value=[Summary.Value(tag='samples', image=image)]), step)


class ShortProgressBar(TQDMProgressBar):
    """The bar of Lightning with the names of losses and task weights cut to what is needed."""

    def get_metrics(
        self, trainer: pl.Trainer, module: pl.LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """Drop the version and the prefix 'train/'."""
        items = super().get_metrics(trainer, module)
        items.pop('v_num', None)
        return {
            str(key).removeprefix('train/').replace('weight_', 'w_'): value
            for key, value in items.items()
        }


class EpochLines(pl.Callback):
    """One line per epoch in the log: what a run in the background shows instead of a bar."""

    def __init__(self) -> None:
        self._begin = 0.0
        self._batches = 0
        self._train_s = 0.0
        self._call_began = 0.0, 0  # clock and step

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Start the clocks; a run that goes on in mid epoch has no start of that epoch."""
        self._begin = time.perf_counter()
        self._call_began = self._begin, trainer.global_step

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Start the clock of the epoch."""
        self._begin, self._batches = time.perf_counter(), 0

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Count what this call has trained of the epoch."""
        self._batches += 1

    def _left(self, trainer: pl.Trainer) -> str:
        """Say how long the rest takes at the pace of this call, validations included."""
        clock, step = self._call_began
        done = trainer.global_step - step
        rest = float(trainer.estimated_stepping_batches) - trainer.global_step
        seconds = (time.perf_counter() - clock) * rest / max(1, done)
        return f'{timedelta(seconds=round(seconds))} left' if rest > 0 else 'done'

    def on_validation_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Training steps of the epoch are done."""
        self._train_s = time.perf_counter() - self._begin

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Write the line; crops per second without the validation."""
        seconds = self._train_s or time.perf_counter() - self._begin
        self._train_s = 0.0
        options = module.config.data
        crops = self._batches * options.batch * trainer.world_size
        rate = crops / max(1e-9, seconds)
        for logger in trainer.loggers:
            logger.log_metrics({'crops_per_s': rate}, trainer.global_step)
        numbers = {
            str(k).removeprefix('train/'): float(v)
            for k, v in trainer.callback_metrics.items()
            if str(k).removeprefix('train/') in _SHOWN
            or str(k).startswith(('val/miou', 'val/fusion', 'val/loss', 'train/weight_'))
        }
        if not trainer.is_global_zero:
            return
        text = ' '.join(f'{name} {value:.4g}' for name, value in numbers.items())
        _log.info(
            'epoch %d/%d step %d %s %.1f crops/s, %s',
            trainer.current_epoch + 1,
            trainer.max_epochs,
            trainer.global_step,
            text,
            rate,
            self._left(trainer),
        )


class EpochLimit(pl.Callback):
    """
    Ends a call after some epochs, so that a long run can be cut into pieces and resumed.

    Args:
        epochs: of this call, not of the run.

    """

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs
        self._done = 0

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Count, and ask the trainer to stop."""
        self._done += 1
        if self._done >= self.epochs:
            trainer.should_stop = True
