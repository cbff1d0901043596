"""The checkpoint that a run continues, and whether it belongs to that run."""

from __future__ import annotations

from collections.abc import Mapping
import json
import logging
from pathlib import Path
from typing import Any

from mafs_model.errors import CheckpointError, ConfigError
from mafs_model.files import previous_of
import torch
from torch import nn

_log = logging.getLogger(__name__)

# what decides the shape of the optimiser's state and where in the run an epoch lies
_SAME = ('model.variant', 'model.only', 'trainer.steps_per_epoch', 'trainer.accumulate')


def find_resume(text: str, out: Path) -> Path | None:
    """
    Find the checkpoint to continue.

    Args:
        text: option ``trainer.resume``.
        out: folder of the run.

    Returns:
        The checkpoint; None for a new run.

    Raises:
        ConfigError: there is no such checkpoint; for 'auto', only if the folder holds a run that
            would silently begin anew.

    """
    if not text:
        return None
    if text != 'auto':
        if not Path(text).is_file():
            raise ConfigError(f'trainer.resume: {text}: no such checkpoint')
        return Path(text)
    last = out / 'checkpoints' / 'last.ckpt'
    for path in (last, previous_of(last)):
        if path.is_file():
            return path
    if any(out.glob('csv*/metrics.csv')):
        raise ConfigError(
            f'trainer.resume auto: {out} holds metrics of a run, but no checkpoint to continue: '
            'remove the folder or choose another --trainer.out to begin anew'
        )
    _log.info('trainer.resume auto: no run in %s yet, a new one begins', out)
    return None


def resumed_place(path: Path) -> tuple[int, int, int]:
    """
    Read where a checkpoint of `check_resume` stands.

    Returns:
        Epoch that is continued, its batches that are done, optimiser steps so far.

    """
    content = torch.load(path, map_location='cpu', weights_only=True, mmap=True)
    loops = content['loops']['fit_loop']
    epoch = loops['epoch_progress']['current']
    batches = loops['epoch_loop.batch_progress']
    complete = epoch['processed'] == epoch['ready']
    done = 0 if complete else batches['current']['processed']
    return epoch['processed'], done, int(content['global_step'])


def check_resume(path: Path, module: nn.Module, metadata: Mapping[str, Any]) -> None:
    """
    Refuse a checkpoint that is damaged or of another kind of run.

    Args:
        path: checkpoint of mafs-train; read without running code.
        module: what its weights are for.
        metadata: of this run, with 'stage' and 'options'.

    Raises:
        CheckpointError: not readable, or made with another stage, architecture, class table or
            other options on which its state depends; the message names the first difference.

    """
    where = f'trainer.resume: {path}'
    kept = previous_of(path)
    other = f'; the one before is {kept}' if kept.is_file() else ''
    try:
        content = torch.load(path, map_location='cpu', weights_only=True, mmap=True)
        state, known = content['state_dict'], json.loads(content['mafs'])
        differences = _differences(known, metadata)
    except Exception as error:  # noqa: BLE001 - torch.load raises a dozen unrelated kinds
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise CheckpointError(
            f'{where}: no complete checkpoint of mafs-train ({reason}){other}; weights are loaded '
            'with --model.init'
        ) from None
    for what, then, now in differences:
        if then != now:
            raise CheckpointError(
                f'{where}: made with {what} {then!r}, now {now!r}; expected the same'
            )
    own = module.state_dict()
    names = sorted(set(own) ^ set(state)) or [
        name for name in own if own[name].shape != state[name].shape
    ]
    if names:
        raise CheckpointError(
            f'{where}: another network, teacher or class table: {len(names)} tensors differ, '
            f'first {names[0]}'
        )


def _differences(
    known: Mapping[str, Any], metadata: Mapping[str, Any]
) -> list[tuple[str, object, object]]:
    """List what must be the same: what it is, its value then, its value now."""

    def class_names(values: Mapping[str, Any]) -> str:
        return ', '.join(item['name'] for item in values['classes']['classes'])

    def option(values: Mapping[str, Any], name: str) -> object:
        section, _, field = name.partition('.')
        return values['options'][section].get(field)

    return [
        ('stage', known['stage'], metadata['stage']),
        ('classes', class_names(known), class_names(metadata)),
        *((name, option(known, name), option(metadata, name)) for name in _SAME),
    ]
