"""What all tests need: loggers and signals as Python makes them, and small weights."""

from __future__ import annotations

import logging
from pathlib import Path
import signal

import pytest


def pytest_configure() -> None:
    """Let programs that tests start be interrupted, also where a shell runs pytest with `&`."""
    # Such a shell has SIGINT ignored, and what is ignored stays so in every child.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _loggers_reach_the_root() -> None:
    """
    Undo what the pytest plugins of launch do to every logger made after their import.

    Their class of loggers does not hand records to the root logger, where `caplog` listens.
    """
    logging.setLoggerClass(logging.Logger)
    for name, logger in logging.Logger.manager.loggerDict.items():
        if isinstance(logger, logging.Logger) and name.split('.')[0].startswith('mafs'):
            logger.propagate = True


@pytest.fixture(scope='session')
def small_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a weights file of a network with few channels, decisive logits and 5 classes."""
    torch = pytest.importorskip('torch')
    from mafs_model.checkpoint import build_metadata, save_checkpoint
    from mafs_model.classes import ClassTable
    from mafs_model.network.config import MAFSConfig
    from mafs_model.network.mafs import MAFS

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
