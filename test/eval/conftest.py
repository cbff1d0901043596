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
    images = [cv2.imread(str(HERE / 'data' / f'{name}.png'), cv2.IMREAD_GRAYSCALE)
              for name in ('fused', 'ir', 'vi')]
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
