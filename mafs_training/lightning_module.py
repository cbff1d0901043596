"""Joins network, stage, averaged weights and schedule for the Lightning trainer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import io
import json
import logging
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from mafs_model.classes import ClassTable
from mafs_model.errors import ConfigError, MafsError
from mafs_model.files import write_bytes
from mafs_model.network.fusion_decoder import PyramidDecoder
from mafs_model.network.mafs import MAFS
from mafs_training.augment import augment
from mafs_training.confusion import ConfusionMeter
from mafs_training.ema import AveragedNetwork
from mafs_training.options import StageConfig
from mafs_training.schedule import cosine_with_warmup
from mafs_training.stage import Batch, Stage
import torch
from torch import nn, Tensor

_log = logging.getLogger(__name__)
_ON_BAR = ('loss', 'fusion', 'segmentation', 'teacher', 'visible', 'thermal', 'cross')


class NonFiniteLossError(MafsError):
    """The loss became NaN or infinite; the message names the file with the batch."""


def parameter_groups(
    modules: Sequence[nn.Module],
    weight_decay: float,
    lr: float,
    careful: nn.Module | None = None,
    careful_lr: float = 1.0,
) -> list[dict[str, Any]]:
    """
    Split trainable parameters by weight decay and learning rate.

    Kernels and matrices decay; vectors and scalars do not: a vector is a bias or a normalisation,
    which it makes no sense to pull to zero.

    Args:
        modules: what is trained.
        weight_decay: of kernels and matrices.
        lr: learning rate.
        careful: a part of ``modules`` that starts from a good solution.
        careful_lr: its learning rate, share of ``lr``.

    """
    apart = {id(p) for p in careful.parameters()} if careful is not None else set()
    trained = [p for module in modules for p in module.parameters() if p.requires_grad]
    groups = [
        {
            'params': [p for p in trained if (id(p) in apart) is slow and (p.ndim >= 2) is decays],
            'weight_decay': weight_decay if decays else 0.0,
            'lr': lr * (careful_lr if slow else 1.0),
        }
        for slow in (False, True)
        for decays in (True, False)
    ]
    return [group for group in groups if group['params']]


def kept_parts(network: nn.Module, only: Sequence[str]) -> list[nn.Module]:
    """
    Return the parts of a network that are not trained.

    Args:
        network: its direct children are the parts.
        only: names of those that are trained; empty: all.

    Raises:
        ConfigError: unknown name.

    """
    parts = dict(network.named_children())
    unknown = sorted(set(only) - set(parts))
    if unknown:
        raise ConfigError(
            f'model.only: no part {unknown[0]!r}, expected some of {", ".join(parts)}'
        )
    return [part for name, part in parts.items() if only and name not in only]


def prepare_batch(batch: Batch, config: StageConfig, ignore_index: int) -> Batch:
    """Augment a batch, and bring its images into the memory format of the network."""
    batch = augment(batch, config.augment, ignore_index)
    if not config.trainer.channels_last:
        return batch
    return {
        key: value.contiguous(memory_format=torch.channels_last)
        if isinstance(value, Tensor) and value.ndim == 4
        else value
        for key, value in batch.items()
    }


class TrainingModule(pl.LightningModule):
    """
    One stage of training.

    Args:
        network: what is trained.
        stage: losses and training-only modules.
        config: options of the run.
        classes: class table of the labels.
        total_steps: optimiser steps of the whole run.
        metadata: JSON values that go into checkpoints under the key 'mafs'.

    """

    def __init__(
        self,
        network: MAFS,
        stage: Stage,
        config: StageConfig,
        classes: ClassTable,
        total_steps: int,
        metadata: Mapping[str, Any],
    ) -> None:
        super().__init__()
        self.network, self.stage = network, stage
        self._kept = kept_parts(network, config.model.only)
        for module in [*stage.frozen(network), *self._kept]:
            module.requires_grad_(False)
        for module in self._kept:
            module.eval()  # before the averaged copy is made
        self.ema = AveragedNetwork(network, config.trainer.ema)
        self.config, self.classes, self.total_steps = config, classes, total_steps
        self.metadata = dict(metadata)
        self._meter = ConfusionMeter(len(classes), classes.ignore_index)

    def train(self, mode: bool = True) -> TrainingModule:
        """Set the mode of everything but parts that keep their statistics."""
        super().train(mode)
        for module in self._kept:
            module.eval()
        return self

    def step_number(self, batch_index: int) -> int:
        """Batches before this one in the run, whether resumed or not."""
        return self.current_epoch * int(self.trainer.num_training_batches) + batch_index

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Seed, augment, let the stage compute its loss, stop if that is not finite."""
        trainer = self.config.trainer
        number = self.step_number(batch_index)
        # all randomness of a step follows from its number: resuming needs no other state
        torch.manual_seed((trainer.seed * 1_000_003 + number) * 4096 + self.global_rank)
        batch = prepare_batch(batch, self.config, self.classes.ignore_index)
        result = self.stage.training_step(self.network, batch, number // trainer.accumulate)
        if not bool(torch.isfinite(result.loss)):
            self._stop_on_non_finite(batch, result.logs, number)
        numbers = self.stage.after_step(self._average(result.tasks))
        values = {'loss': result.loss.detach(), **result.logs, **numbers}
        for name, value in values.items():
            on_bar = name in _ON_BAR or name.startswith('weight_')
            self.log(f'train/{name}', value, prog_bar=on_bar, batch_size=batch['visible'].shape[0])
        return result.loss

    def _average(self, tasks: Mapping[str, Tensor | None]) -> dict[str, Tensor | None]:
        """Mean of each task's loss over the processes that have it."""
        if self.trainer.world_size == 1 or not tasks:
            return dict(tasks)
        names = sorted(tasks)
        table = torch.zeros(2, len(names), device=self.device)
        for column, name in enumerate(names):
            value = tasks[name]
            if value is not None:
                table[0, column], table[1, column] = value, 1.0
        table = self.trainer.strategy.reduce(table, reduce_op='sum')
        return {
            name: table[0, column] / table[1, column] if table[1, column] > 0 else None
            for column, name in enumerate(names)
        }

    def _stop_on_non_finite(self, batch: Batch, logs: Mapping[str, Tensor], number: int) -> None:
        path = Path(self.config.trainer.out) / f'nonfinite_step{number}_rank{self.global_rank}.pt'
        content = io.BytesIO()
        torch.save(
            {
                'step': number,
                'names': batch.get('names'),
                'batch': {k: v.cpu() for k, v in batch.items() if isinstance(v, Tensor)},
                'logs': {k: float(v) for k, v in logs.items()},
            },
            content,
        )
        write_bytes(path, content.getbuffer())
        bad = [name for name, value in logs.items() if not bool(torch.isfinite(value))]
        raise NonFiniteLossError(
            f'step {number}: the loss is not finite ({", ".join(bad) or "sum of finite terms"}); '
            f'batch saved to {path}'
        )

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Average the weights after each optimiser step, before anything is saved."""
        super().optimizer_step(*args, **kwargs)
        self.ema.update(self.network)

    def on_validation_epoch_start(self) -> None:
        """Forget the scores of the last validation."""
        self._meter = ConfusionMeter(len(self.classes), self.classes.ignore_index)

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Losses and confusion matrix of the averaged network."""
        network = self.ema.module
        values = self.stage.validate(network, batch, batch_index)
        for name, value in values.items():
            self.log(
                f'val/{name}',
                value,
                batch_size=batch['visible'].shape[0],
                prog_bar=f'val/{name}' == self.stage.monitor,
            )
        if bool(batch['labelled'].any()):
            logits = self.stage.logits(network, batch)
            if logits is not None:
                self._meter.add_images(logits.argmax(1), batch['label'])

    def on_validation_epoch_end(self) -> None:
        """Log the scores that are computed over all images."""
        if not int(self._meter.matrix.sum()):
            return
        self.log('val/miou', self._meter.mean_iou(), prog_bar=True)
        for item, value in zip(self.classes.classes, self._meter.iou().tolist(), strict=True):
            self.log(f'val/iou_{item.name}', value)

    def configure_optimizers(self) -> dict[str, Any]:
        """AdamW, and a learning rate that is a function of the step."""
        options = self.config.optim
        decoder = self.network.fusion_decoder
        optimizer = torch.optim.AdamW(
            parameter_groups(
                [self.network, self.stage],
                options.weight_decay,
                options.lr,
                decoder if isinstance(decoder, PyramidDecoder) else None,
                options.fusion_decoder_lr,
            ),
            betas=(0.9, 0.99),
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer,
            lambda step: cosine_with_warmup(
                step, self.total_steps, options.warmup_steps, options.min_lr
            ),
        )
        return {
            'optimizer': optimizer,
            'lr_scheduler': {'scheduler': schedule, 'interval': 'step'},
        }

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the description that makes the checkpoint convertible."""
        checkpoint['mafs'] = json.dumps(self.metadata)
