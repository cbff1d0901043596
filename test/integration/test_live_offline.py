"""The same bag through the live node and offline: the same pairs, the same pixels."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
from mafs_model.bags.reader import BagWriter
import numpy as np
import pytest

pytestmark = pytest.mark.ros

START, PERIOD = 1_700_000_000_000_000_000, 1_000_000_000 // 15
COUNT = 24
SHAPE = (96, 128)


def write_bag(path: Path) -> Path:
    """Two cameras at 15 Hz with jitter and losses; 16-bit thermal whose range drifts."""
    rng = np.random.default_rng(6)
    scene = cv2.GaussianBlur(rng.uniform(0, 255, SHAPE), (0, 0), 4)
    scene = (scene - scene.min()) / np.ptp(scene)
    messages = []
    for index in range(COUNT):
        moved = np.roll(scene, 2 * index, axis=1)
        visible = np.dstack([moved * 200, moved * 150 + 20, 255 - moved * 180]).astype(np.uint8)
        thermal = (29000 + 60 * index + 1500 * moved**2).astype(np.uint16)
        stamp = START + index * PERIOD
        if index not in (5, 6):
            messages.append((stamp + int(rng.normal(0, 1e6)), '/cam/rgb', visible, 'rgb8'))
        if index != 11:
            messages.append(
                (stamp + 5_000_000 + int(rng.normal(0, 1e6)), '/cam/thermal', thermal, 'mono16')
            )
    with BagWriter(path) as bag:
        for stamp, topic, image, encoding in sorted(messages, key=lambda m: m[0]):
            bag.write_image(topic, stamp, 'camera', image, encoding, stamp)
    return path


@pytest.fixture
def weights(tmp_path):
    """Write a network of random weights, so that labels and confidence are not empty."""
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
    path = tmp_path / 'random.safetensors'
    save_checkpoint(
        path,
        model.eval().state_dict(),
        build_metadata(model.config.to_dict(), ClassTable.load('mfnet')),
    )
    return path


def test_live_and_offline_agree(ros_domain, monkeypatch, tmp_path, weights, capsys):
    pytest.importorskip('torchmetrics', reason='needs the extra train')
    from mafs_training.evaluation.cli import main

    monkeypatch.setenv('ROS_DOMAIN_ID', str(ros_domain))
    bag = write_bag(tmp_path / 'bag')
    code = main(
        [
            'bag',
            str(bag),
            '--rgb-topic',
            '/cam/rgb',
            '--thermal-topic',
            '/cam/thermal',
            '--weights',
            str(weights),
            '--device',
            'cpu',
            '--backend',
            'torch',
            '--threads',
            '1',
            '--live',
            '--quiet',
            '--metrics-every',
            '100',
            '--json',
            str(tmp_path / 'out.json'),
        ]
    )
    printed = capsys.readouterr()
    assert code == 0, printed.err
    live = json.loads((tmp_path / 'out.json').read_text())['live']
    # Frames 5 and 6 of one and 11 of the other camera are missing; all others pair.
    assert live['offline_pairs'] == COUNT - 3
    assert live['unexpected'] == 0
    assert live['different'] == 0
    # Everything that the node processed was compared, the network's labels included.
    assert live['processed'] + live['dropped'] == live['offline_pairs']
    assert live['compared'] + live['lost'] == 3 * live['processed']
    assert live['identical'] == live['compared'] > 0
    # What is missing was counted by the node as overtaken, or lost on the way to it.
    assert live['dropped'] <= live['node_drops'].get('overtaken', 0) + 2 * live['frames_lost']
    assert 'live: ' in printed.out


def test_a_failing_node_is_one_line_and_its_log(ros_domain, monkeypatch, tmp_path, capsys):
    pytest.importorskip('torchmetrics', reason='needs the extra train')
    from mafs_demo.replay.session import NodeOptions
    from mafs_training.evaluation.cli import main

    monkeypatch.setenv('ROS_DOMAIN_ID', str(ros_domain))
    monkeypatch.setattr(NodeOptions, 'command', lambda self: ['mafs_ros.no_such_module'])
    bag = write_bag(tmp_path / 'bag')
    assert (
        main(
            [
                'bag',
                str(bag),
                '--weights',
                'classical',
                '--live',
                '--quiet',
                '--metrics-every',
                '100',
            ]
        )
        == 2
    )
    error = capsys.readouterr().err
    lines = [line for line in error.splitlines() if line.startswith('mafs-eval: ')]
    assert len(lines) == 1
    assert '--live: fusion_node ended early' in lines[0]
    # What its log said last stands below, indented.
    assert 'No module named mafs_ros.no_such_module' in error
