"""Small untrained weights for the tests of checkpoints, runtimes and the command line."""

from __future__ import annotations

import pytest


@pytest.fixture(scope='session')
def small_weights(tmp_path_factory):
    """Return a weights file of a network with few channels, decisive logits and 5 classes."""
    from mafs_model.checkpoint import build_metadata, save_checkpoint
    from mafs_model.classes import ClassTable
    from mafs_model.network.config import MAFSConfig
    from mafs_model.network.mafs import MAFS
    import torch

    torch.manual_seed(3)
    config = MAFSConfig(
        variant='small',
        num_classes=5,
        widths=(16, 16, 16, 16),
        depths=(0, 0, 0, 0),
        modulation_width=8,
        fusion_width=8,
        segmentation_width=16,
        head_width=16,
    )
    network = MAFS(config).eval()
    with torch.no_grad():
        for name, value in network.named_parameters():
            if 'classify' in name:
                value.normal_(std=0.5)  # untouched logits are so close that rounding decides
        for name, value in network.named_buffers():
            if name.endswith('running_mean'):
                value.normal_(std=0.05)
            if name.endswith('running_var'):
                value.uniform_(0.8, 1.2)
    path = tmp_path_factory.mktemp('weights') / 'small.safetensors'
    save_checkpoint(
        path,
        network.state_dict(),
        build_metadata(config.to_dict(), ClassTable.load('pst900'), extra={'temperature': 1.5}),
    )
    return path
