from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
import pytest

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope='session')
def triple() -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Drawn fused, thermal and visible image, uint8 [96, 128]."""
    images = [
        cv2.imread(str(HERE / 'data' / f'{name}.png'), cv2.IMREAD_GRAYSCALE)
        for name in ('fused', 'ir', 'vi')
    ]
    assert all(image is not None for image in images)
    return images[0], images[1], images[2]


@pytest.fixture(scope='session')
def shared_data() -> Path:
    """Folder with real pairs and golden values; the test is skipped where it is absent."""
    default = HERE.parents[1].parent / 'shared'
    folder = Path(os.environ.get('MAFS_SHARED_DATA', default))
    if not (folder / 'golden' / 'fusion_metrics.json').is_file():
        pytest.skip('no reference data: set MAFS_SHARED_DATA or place it in ../shared')
    return folder


@pytest.fixture(scope='session')
def weights(tmp_path_factory) -> Path:
    """Write a network of random weights for MFNet's nine classes."""
    from mafs_model.checkpoint import build_metadata, save_checkpoint
    from mafs_model.classes import ClassTable
    from mafs_model.network.config import create_config
    from mafs_model.network.mafs import MAFS
    import torch

    torch.manual_seed(5)
    model = MAFS(create_config('mafs_t', num_classes=9))
    for name, parameter in model.named_parameters():
        if 'classify' in name:  # untouched ones give one class everywhere
            torch.nn.init.normal_(parameter, std=0.5)
    path = tmp_path_factory.mktemp('weights') / 'random.safetensors'
    save_checkpoint(
        path,
        model.eval().state_dict(),
        build_metadata(model.config.to_dict(), ClassTable.load('mfnet')),
    )
    return path
