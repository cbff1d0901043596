"""Builds and carries out a training run from its options."""

from __future__ import annotations

import dataclasses
import json
import logging
import math
from pathlib import Path
import sys
from typing import Any, TYPE_CHECKING
import warnings

from mafs_model.errors import ConfigError, DatasetError
from mafs_model.files import check_space, write_text
from mafs_training.option_checks import (
    check_config,
    check_labels,
    choose_monitor,
    option_errors,
)
from mafs_training.options import JointConfig, MAEConfig, PRECISIONS, SSVIFConfig, StageConfig
from mafs_training.teacher_weights import apply_teacher_weights

if TYPE_CHECKING:
    from collections.abc import Mapping

    import lightning.pytorch as pl
    from mafs_model.classes import ClassTable
    from mafs_model.network.mafs import MAFS
    from mafs_training.datasets.store import PairStore
    from mafs_training.interruption import StopRequest
    from mafs_training.stage import Stage
    from torch import Tensor

_log = logging.getLogger(__name__)


@dataclasses.dataclass
class RunResult:
    """
    Outcome of a run.

    Attributes:
        metrics: last value of everything logged.
        steps: optimiser steps done so far.
        weights: exported averaged weights, None if the run has not come to its end.
        best: weights of the best validation, None without validation.
        checkpoint: last checkpoint.

    """

    metrics: dict[str, float]
    steps: int
    weights: Path | None
    best: Path | None
    checkpoint: Path


def apply_dry_run(config: StageConfig) -> None:
    """Shrink a configuration in place to a few steps on small synthetic data."""
    config.data.train = config.data.train or ['synthetic:4?size=128x96']
    config.data.val = config.data.val or ['synthetic:2?size=128x96&seed=90']
    config.data.crop, config.data.batch, config.data.workers = 64, 2, 0
    config.trainer.steps, config.trainer.steps_per_epoch = 4, 2
    config.trainer.accumulate, config.trainer.log_every = 1, 1
    config.trainer.panels_every, config.trainer.panels = 2, 2
    config.trainer.accelerator, config.trainer.devices = 'cpu', 1
    config.trainer.compile = False
    config.optim.warmup_steps = 1
    if isinstance(config, SSVIFConfig):
        config.ssvif.stage1_steps, config.ssvif.ramp_steps = 2, 2


def create_stage(
    config: StageConfig, network: MAFS, classes: ClassTable, class_weights: Tensor | None
) -> Stage:
    """Build the stage that belongs to a configuration."""
    if isinstance(config, MAEConfig):
        from mafs_training.mae import MAEStage

        return MAEStage(config, network.config)
    if isinstance(config, JointConfig):
        from mafs_training.joint import JointStage

        return JointStage(config, network.config, class_weights, classes.ignore_index)
    from mafs_training.ssvif import SSVIFStage

    return SSVIFStage(config, network.config, class_weights, classes.ignore_index)


def create_network(config: StageConfig, num_classes: int) -> MAFS:
    """Build the network, with the weights to start from if there are any."""
    from mafs_model.network.config import create_config
    from mafs_model.network.mafs import MAFS
    from mafs_training.initial import load_initial

    network = MAFS(create_config(config.model.variant, num_classes, **config.model.overrides))
    if config.model.init:
        skipped = load_initial(network, Path(config.model.init))
        _log.info(
            '%s: loaded%s',
            config.model.init,
            f', except {len(skipped)} tensors that do not fit' if skipped else '',
        )
    return network


def load_data(config: StageConfig, classes: ClassTable) -> tuple[PairStore, PairStore]:
    """Read the pairs of training and validation; real images may not be in both."""
    from mafs_training.datasets.store import load_sources, PairStore

    common = (len(classes), classes.ignore_index, config.data.threads)
    labels = not isinstance(config, MAEConfig)
    train = load_sources(config.data.train, *common, labels=labels)
    if not config.data.val:
        return train, PairStore()
    val = load_sources(config.data.val, *common, labels=labels)
    known = {pair.digest for pair in train.pairs}
    shared = [
        pair.name
        for pair in val.pairs
        if pair.digest in known and not pair.name.startswith('synthetic_')
    ]
    if shared:
        raise DatasetError(
            f'{len(shared)} pair(s) of data.val are in data.train as well, first {shared[0]!r}'
        )
    return train, val


def run(config: StageConfig, command: str | None = None) -> RunResult:
    """
    Train.

    Args:
        config: all options.
        command: the command line, for the metadata of the weights.

    Returns:
        What came out.

    Raises:
        MafsError: an option, a data set or a checkpoint is unusable; a non-finite loss; a signal
            has ended the run, which is saved.

    """
    if config.trainer.dry_run:
        apply_dry_run(config)
    apply_teacher_weights(config)
    check_config(config)
    import lightning.pytorch as pl

    # advertisements and notes that say nothing about the run; its import sets the level
    logging.getLogger('lightning.pytorch').setLevel(logging.WARNING)
    warnings.filterwarnings('ignore', module=r'lightning\.pytorch')
    from mafs_model.checkpoint import build_metadata
    from mafs_training.checkpointing import expected_bytes
    from mafs_training.class_tables import choose_classes
    from mafs_training.data_module import class_counts, PairDataModule
    from mafs_training.interruption import StopRequest
    from mafs_training.lightning_module import TrainingModule
    from mafs_training.resuming import check_resume, find_resume, resumed_place
    from mafs_training.supervision import enet_weights
    import torch

    options = config.trainer
    out = Path(options.out)
    resume = find_resume(options.resume, out)
    prepare_folder(out, resume, options.dry_run)
    if options.threads:
        torch.set_num_threads(options.threads)
    classes = choose_classes(config)
    pl.seed_everything(options.seed, workers=True, verbose=False)
    network = create_network(config, len(classes))
    train, val = load_data(config, classes)
    check_labels(config, train, len(classes))
    weights = None
    if not isinstance(config, MAEConfig) and config.segmentation.class_weighting == 'enet':
        weights = enet_weights(class_counts(train, len(classes)))
    with option_errors('options of the stage'):
        stage = create_stage(config, network, classes, weights)
    monitor = choose_monitor(config, stage, network, classes, val)
    if options.channels_last:
        network.to(memory_format=torch.channels_last)

    per_epoch = min(options.steps_per_epoch, options.steps)
    epochs = -(-options.steps // per_epoch)
    values = json.loads(json.dumps(dataclasses.asdict(config)))  # lists for tuples
    metadata = build_metadata(
        network.config.to_dict(),
        classes,
        data=train.description,
        command=command,
        extra={'stage': stage.name, 'options': values},
    )
    module = TrainingModule(network, stage, config, classes, epochs * per_epoch, metadata)
    place = (0, 0)
    if resume is not None:
        check_resume(resume, module, metadata)
        epoch, done, steps = resumed_place(resume)
        place = (epoch, done)
        _log.info(
            'continuing %s: step %d of %d, epoch %d of %d',
            resume,
            steps,
            epochs * per_epoch,
            min(place[0] + 1, epochs),
            epochs,
        )
    check_space(out, expected_bytes(module), ConfigError)
    write_options(out, values)
    if options.compile:
        stage.compile(network)
    data = PairDataModule(
        config.data,
        train,
        val,
        per_epoch * options.accumulate,
        options.seed,
        classes.ignore_index,
        resumed=place,
    )
    stop = StopRequest()
    with option_errors('trainer'):
        trainer = create_trainer(
            config, monitor, epochs, val if len(val) else train, classes.ignore_index, stop
        )
    with stop:
        trainer.fit(
            module,
            data,
            ckpt_path=None if resume is None else str(resume),
            weights_only=None if resume is None else True,
        )
    return finish(trainer, module, out, epochs)


def prepare_folder(out: Path, resume: Path | None, dry_run: bool) -> None:
    """Create the folder of the run; never in that of another."""
    if resume is None and (out / 'checkpoints' / 'last.ckpt').exists() and not dry_run:
        raise ConfigError(
            f'trainer.out: {out} holds a run already; choose another folder, or '
            '--trainer.resume auto'
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f'trainer.out: {out}: {error.strerror or error}') from None


def write_options(out: Path, values: Mapping[str, Any]) -> None:
    """Write the options of the run to its folder."""
    import yaml

    write_text(out / 'config.yaml', yaml.safe_dump(values, sort_keys=False), error=ConfigError)


def create_trainer(
    config: StageConfig,
    monitor: tuple[str | None, str],
    epochs: int,
    samples: PairStore,
    ignore_index: int,
    stop: StopRequest,
) -> pl.Trainer:
    """Build the Lightning trainer with its loggers and callbacks."""
    from lightning.pytorch import Trainer
    from lightning.pytorch.callbacks import Callback, LearningRateMonitor, ModelCheckpoint
    from lightning.pytorch.loggers import CSVLogger, Logger
    from mafs_training.callbacks import (
        EpochLimit,
        EpochLines,
        PanelCallback,
        ShortProgressBar,
    )
    from mafs_training.checkpointing import LastCheckpoint, SafeCheckpointIO

    options, out = config.trainer, Path(config.trainer.out)
    folder = out / 'checkpoints'
    callbacks: list[Callback] = [
        LearningRateMonitor('step'),
        # both are written when the epoch is complete; the last one holds the state of the best
        *(
            []
            if monitor[0] is None
            else [
                ModelCheckpoint(
                    folder,
                    'best',
                    monitor=monitor[0],
                    mode=monitor[1],
                    save_on_train_epoch_end=True,
                    enable_version_counter=False,
                    auto_insert_metric_name=False,
                )
            ]
        ),
        LastCheckpoint(folder / 'last.ckpt', options.checkpoint_minutes, options.accumulate, stop),
    ]
    if options.panels_every:
        callbacks.append(
            PanelCallback(
                out / 'panels', samples, options.panels_every, options.panels, ignore_index
            )
        )
    bar = options.progress and sys.stderr.isatty()
    callbacks.append(ShortProgressBar(options.log_every) if bar else EpochLines())
    if options.stop_epochs:
        callbacks.append(EpochLimit(options.stop_epochs))
    # a resumed run writes beside the curves of the part before it, not over them
    parts = len(list(out.glob('csv*')))
    loggers: list[Logger] = [CSVLogger(out, name='', version=f'csv_{parts}' if parts else 'csv')]
    loggers += _tensorboard(out)
    return Trainer(
        accelerator=options.accelerator,
        devices=options.devices,
        strategy='ddp_find_unused_parameters_true' if options.devices > 1 else 'auto',
        precision=PRECISIONS[options.precision],
        logger=loggers,
        callbacks=callbacks,
        max_epochs=epochs,
        accumulate_grad_batches=options.accumulate,
        gradient_clip_val=config.optim.clip_norm or None,
        log_every_n_steps=options.log_every,
        enable_progress_bar=bar,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        sync_batchnorm=options.sync_batchnorm,
        default_root_dir=out,
        plugins=[SafeCheckpointIO()],
    )


def _tensorboard(out: Path) -> list[Any]:
    """TensorBoard logger, if the package is installed."""
    from lightning.pytorch.loggers import TensorBoardLogger

    try:
        return [TensorBoardLogger(out, name='', version='tensorboard')]
    except ModuleNotFoundError:
        _log.warning('tensorboard is not installed: curves only in %s', out / 'csv')
        return []


def finish(trainer: pl.Trainer, module: Any, out: Path, epochs: int) -> RunResult:
    """Export the weights of a finished run."""
    from mafs_model.checkpoint import convert_lightning, save_checkpoint

    last = out / 'checkpoints' / 'last.ckpt'
    metrics = {str(k): float(v) for k, v in trainer.callback_metrics.items()}
    weights = best = None
    if trainer.current_epoch >= epochs and trainer.is_global_zero:
        weights = out / 'final.safetensors'
        scores = {
            k: round(v, 6) for k, v in metrics.items() if k.startswith('val/') and math.isfinite(v)
        }
        save_checkpoint(
            weights, module.ema.module.state_dict(), {**module.metadata, 'metrics': scores}
        )
        if (out / 'checkpoints' / 'best.ckpt').is_file():
            best = out / 'best.safetensors'
            convert_lightning(out / 'checkpoints' / 'best.ckpt', best, prefix='ema.module.')
    return RunResult(metrics, trainer.global_step, weights, best, last)


def command_line() -> str:
    """Return the command line of this process with the program's bare name."""
    return ' '.join([Path(sys.argv[0]).name, *sys.argv[1:]])
