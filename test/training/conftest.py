"""Small data sets and networks for the tests of the training package."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

TINY = (
    '{"widths": [16, 24, 32, 48], "segmentation_width": 32, "fusion_width": 16, '
    '"modulation_width": 16, "head_width": 16}'
)


def make_pair(seed: int, size=(96, 96), classes=4):
    """One pair, objects hot and dark on bright cold textured ground: RGB, thermal, label."""
    rng = np.random.default_rng(seed)
    height, width = size
    yy, xx = np.mgrid[:height, :width] / max(size)
    visible = np.stack([0.4 + 0.4 * yy, 0.4 + 0.3 * xx, 0.4 + 0 * xx], axis=2)
    visible += 0.05 * np.sin(20 * xx + seed)[..., None]
    thermal = 0.15 + 0.05 * yy
    label = np.zeros(size, np.uint8)
    for index in range(1, classes):
        top, left = 4 * rng.integers(1, height // 8, 2)
        rows, columns = 4 * rng.integers(5, 9, 2)
        label[top : top + rows, left : left + columns] = index
    for index in range(1, classes):
        inside = label == index
        thermal = np.where(inside, 0.5 + 0.12 * index, thermal)
        visible[inside] *= 0.3
    return ((visible.clip(0, 1) * 255).astype(np.uint8), (thermal * 255).astype(np.uint8), label)


def write_pairs(
    root, count, *, seed=0, size=(96, 96), folders=('vi', 'ir', 'label'), label_every=1
):
    """Write pairs 0.png, 1.png ... below ``root``; every n-th has a label."""
    for folder in folders:
        if folder:
            (root / folder).mkdir(parents=True, exist_ok=True)
    for index in range(count):
        visible, thermal, label = make_pair(seed + index, size)
        cv2.imwrite(str(root / folders[0] / f'{index}.png'), visible[..., ::-1])
        cv2.imwrite(str(root / folders[1] / f'{index}.png'), thermal)
        if folders[2] and index % label_every == 0:
            cv2.imwrite(str(root / folders[2] / f'{index}.png'), label)
    return root


@pytest.fixture
def pairs():
    """Access to `make_pair` and `write_pairs` from tests."""

    class Pairs:
        make = staticmethod(make_pair)
        write = staticmethod(write_pairs)

    return Pairs


@pytest.fixture
def tiny_architecture():
    """Smallest sensible network: four classes, a fraction of mafs_t."""
    from mafs_model.network.config import create_config

    return create_config(
        'mafs_t',
        4,
        widths=(16, 24, 32, 48),
        segmentation_width=32,
        fusion_width=16,
        modulation_width=16,
        head_width=16,
    )


@pytest.fixture
def tiny_arguments(tmp_path):
    """Command line of a short run on eight pairs, half of them labelled."""
    train = write_pairs(tmp_path / 'train', 8, label_every=2)
    val = write_pairs(tmp_path / 'val', 2, seed=50)
    return [
        '--data.train',
        f'["generic:{train}"]',
        '--data.val',
        f'["generic:{val}"]',
        '--data.crop',
        '64',
        '--data.batch',
        '2',
        '--trainer.steps',
        '6',
        '--trainer.steps_per_epoch',
        '2',
        '--trainer.panels_every',
        '0',
        '--trainer.log_every',
        '1',
        '--trainer.accelerator',
        'cpu',
        '--optim.warmup_steps',
        '2',
        '--model.overrides',
        TINY,
    ]
