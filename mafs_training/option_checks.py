"""What is checked of a run before its first step: option values, labels, the metric to watch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
import logging
from typing import TYPE_CHECKING

from mafs_model.errors import ConfigError, DatasetError
from mafs_training.limits import check_limits
from mafs_training.options import JointConfig, MAEConfig, SSVIFConfig, StageConfig

if TYPE_CHECKING:
    from mafs_model.classes import ClassTable
    from mafs_model.network.mafs import MAFS
    from mafs_training.datasets.store import PairStore
    from mafs_training.stage import Stage

_log = logging.getLogger(__name__)

_LABELS_WANTED = (
    'expected a source with labels (a folder of them in the layout of the source, or '
    '?labels=FOLDER)'
)


def check_config(config: StageConfig) -> None:
    """Raise ConfigError for an option, or several together, that cannot be used."""
    for section in fields(config):
        check_limits(section.name, getattr(config, section.name))
    if isinstance(config, MAEConfig) and config.mask.patch_px[1] >= config.data.crop:
        raise ConfigError(
            f'mask.patch_px is {config.mask.patch_px}, expected less than data.crop '
            f'({config.data.crop})'
        )
    if config.trainer.sync_batchnorm and config.trainer.accelerator in ('cpu', 'mps'):
        raise ConfigError(
            f'trainer.sync_batchnorm is True, expected false with trainer.accelerator '
            f'{config.trainer.accelerator}: normalisation is synchronised on CUDA devices only'
        )
    if not isinstance(config, MAEConfig) and config.segmenter.kind == 'onnx':
        share = config.teacher.shape_fusion if isinstance(config, JointConfig) else 1
        if share or config.segmenter.trainable:
            raise ConfigError(
                f'{config.segmenter.weights}: a graph of ONNX has no gradient: expected '
                'mafs-train joint with --teacher.shape_fusion 0'
            )
    if not config.data.train:
        raise ConfigError(
            'data.train is empty, expected a source such as msrs:/data/MSRS (or use --dry-run)'
        )


@contextmanager
def option_errors(what: str) -> Iterator[None]:
    """
    Turn the refusal of something that is built from options into one line for the user.

    Args:
        what: which options, for the message.

    Raises:
        ConfigError: instead of ValueError and of Lightning's own error for a configuration.

    """
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    try:
        yield
    except (MisconfigurationException, ModuleNotFoundError, ValueError) as error:
        raise ConfigError(f'{what}: ' + ' '.join(str(error).split())[:300]) from None


def has_labels(store: PairStore, num_classes: int) -> bool:
    """Return whether any pair has a pixel with a class."""
    return any(bool(pair.label_counts()[:num_classes].any()) for pair in store.pairs)


def check_labels(config: StageConfig, train: PairStore, num_classes: int) -> None:
    """
    Refuse a run whose stage learns classes, with nothing to learn them from.

    Args:
        config: all options.
        train: pairs to train on.
        num_classes: ids from this one on are no classes.

    Raises:
        DatasetError: no pair has a label, and no loaded segmenter takes its place.

    """
    drawn = config.data.labelled_fraction != 0
    if isinstance(config, MAEConfig) or (drawn and has_labels(train, num_classes)):
        return
    loaded = config.segmenter.kind != 'fresh'
    if isinstance(config, SSVIFConfig):
        if config.ssvif.mode == 'prototypes' or loaded:
            return
        instead = '--ssvif.mode prototypes'
    else:
        kept = bool(config.model.only) and 'segmentation_decoder' not in config.model.only
        if (config.teacher.enabled and loaded) or (kept and not config.teacher.enabled):
            return
        instead = '--model.only \'["fusion_decoder"]\' --teacher.enabled false'
    raise DatasetError(
        f'data.train: none of {len(train)} pairs has a label to learn the classes from, '
        f'{_LABELS_WANTED}, a loaded segmenter (--segmenter.kind), or {instead}'
        if drawn
        else 'data.labelled_fraction is 0: no pair to learn the classes from, expected more than '
        f'0, a loaded segmenter (--segmenter.kind), or {instead}'
    )


def choose_monitor(
    config: StageConfig, stage: Stage, network: MAFS, classes: ClassTable, val: PairStore
) -> tuple[str | None, str]:
    """
    Decide which metric picks the best checkpoint.

    Args:
        config: all options.
        stage: what is trained, with the metric it would choose.
        network: what is trained; restored to training mode.
        classes: class table of the labels.
        val: pairs of the validation.

    Returns:
        Name of the metric, None without validation; 'min' or 'max'.

    Raises:
        ConfigError: the metric that was asked for does not come out of the validation.

    """
    wanted = config.trainer.monitor
    if not len(val):
        if wanted:
            raise ConfigError(
                f'trainer.monitor is {wanted!r}, but data.val is empty: expected a source of '
                'pairs to validate on'
            )
        return None, 'min'
    if wanted:
        _check_monitor(wanted, stage, network, classes, has_labels(val, len(classes)))
        return wanted, _mode(wanted)
    if stage.monitor == 'val/miou' and not has_labels(val, len(classes)):
        _log.warning(
            'data.val: none of %d pairs has a label; the best checkpoint is the one with the '
            'least val/fusion, not with the largest val/miou',
            len(val),
        )
        return 'val/fusion', 'min'
    return stage.monitor, stage.monitor_mode


def _mode(metric: str) -> str:
    """Whether more of a metric is better: scores are, losses are not."""
    return 'max' if any(word in metric for word in ('iou', 'psnr', 'agreement')) else 'min'


def _check_monitor(
    wanted: str, stage: Stage, network: MAFS, classes: ClassTable, labelled: bool
) -> None:
    """Raise ConfigError for a metric that will not be there."""
    names, scores = _logged(stage, network, classes)
    if wanted in scores and not labelled:
        raise ConfigError(
            f'trainer.monitor is {wanted!r}, but no pair of data.val has a label, {_LABELS_WANTED}'
        )
    if wanted not in (*names, *scores):
        raise ConfigError(
            f'trainer.monitor is {wanted!r}, expected one of {", ".join((*names, *scores))}'
        )


def _logged(stage: Stage, network: MAFS, classes: ClassTable) -> tuple[list[str], list[str]]:
    """Return names of what a run logs: always, and only with labels."""
    import torch

    side = 64
    batch = {
        'visible': torch.zeros(1, 3, side, side),
        'thermal': torch.zeros(1, 1, side, side),
        'label': torch.zeros(1, side, side, dtype=torch.int64),
        'labelled': torch.ones(1, dtype=torch.bool),
    }
    modes = {module: module.training for root in (stage, network) for module in root.modules()}
    try:
        stage.eval()
        network.eval()
        with torch.no_grad():
            names = ['train/loss', *(f'val/{name}' for name in stage.validate(network, batch, 0))]
            has_classes = stage.logits(network, batch) is not None
    finally:
        for module, mode in modes.items():
            module.training = mode
    scores = ['val/miou', *(f'val/iou_{item.name}' for item in classes.classes)]
    return names, scores if has_classes else []
