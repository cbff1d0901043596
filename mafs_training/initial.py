"""Weights to start a stage from, out of another stage or another number of classes."""

from __future__ import annotations

from pathlib import Path

from mafs_model.errors import CheckpointError
import torch
from torch import nn, Tensor

_PREFIXES = ('ema.module.', 'network.')
# Most of a network's training is in what feeds it: another one learns on the same features.
_FUSION_DECODER = 'fusion_decoder.'


def read_network_state(path: Path) -> dict[str, Tensor]:
    """
    Read the tensors of a network.

    Args:
        path: exported .safetensors, or a checkpoint of mafs-train, of which the averaged weights
            are taken; read without running code.

    Raises:
        CheckpointError: missing, unreadable or without a network.

    """
    if not path.is_file():
        raise CheckpointError(f'model.init: {path}: no such file')
    if path.suffix == '.safetensors':
        from mafs_model.checkpoint import load_checkpoint

        return load_checkpoint(path).state_dict
    try:
        content = torch.load(path, map_location='cpu', weights_only=True)
        state = content['state_dict']
    except Exception as error:  # noqa: BLE001 - torch.load raises a dozen unrelated kinds
        raise CheckpointError(
            f'model.init: {path}: no checkpoint of mafs-train: {str(error).splitlines()[0][:120]}'
        ) from None
    for prefix in _PREFIXES:
        found = {
            key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)
        }
        if found:
            return found
    raise CheckpointError(f'model.init: {path}: no network inside')


def load_initial(network: nn.Module, path: Path) -> list[str]:
    """
    Load all tensors that fit.

    Args:
        network: what is initialised.
        path: see `read_network_state`.

    Returns:
        Names of what stays untrained: heads, if the number of classes differs, and the whole
        fusion decoder, if the file holds one of another kind.

    Raises:
        CheckpointError: names are missing, or most shapes differ: another architecture.

    """
    state = read_network_state(path)
    own = network.state_dict()
    decoder = [name for name in own if name.startswith(_FUSION_DECODER)]
    fresh = [] if set(decoder) <= set(state) else decoder
    own = {name: value for name, value in own.items() if name not in fresh}
    missing = sorted(set(own) - set(state))
    skipped = [name for name in own if name in state and state[name].shape != own[name].shape]
    if missing or len(skipped) > len(own) // 4:
        raise CheckpointError(
            f'model.init: {path}: another architecture: {len(missing)} tensors missing'
            f'{" (" + missing[0] + ", ...)" if missing else ""}, {len(skipped)} of another shape'
        )
    network.load_state_dict(
        {name: state[name] for name in own if name not in skipped}, strict=False
    )
    return [*fresh, *skipped]
