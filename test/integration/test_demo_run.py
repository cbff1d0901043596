"""The demo as a user runs it: three processes over DDS, its results, its end, its errors."""

from __future__ import annotations

import json
import os
from pathlib import Path
import signal
import subprocess
import sys
import time

import cv2
from mafs_demo.mark import MARK
from mafs_demo.topics import IMAGE_TOPICS, STATUS_TOPIC
from mafs_model.bags.reader import open_bag
import numpy as np
import pytest

pytestmark = pytest.mark.ros
DEADLINE_S = 120.0


@pytest.fixture(scope='module')
def environment(ros_domain):
    return {**os.environ, 'ROS_DOMAIN_ID': str(ros_domain), 'OMP_NUM_THREADS': '1'}


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    """Small images of a bright square that moves; in thermal it is warm."""
    root = tmp_path_factory.mktemp('images')
    for name in ('vi', 'ir'):
        (root / name).mkdir()
    noise = np.random.default_rng(0).integers(0, 60, (72, 96, 3), dtype=np.uint8)
    for index in range(8):
        visible, thermal = noise.copy(), np.full((36, 48), 29000, np.uint16)
        visible[20:40, 8 * index : 8 * index + 20] = 200
        thermal[10:20, 4 * index : 4 * index + 10] = 30500
        cv2.imwrite(str(root / 'vi' / f'{index}.png'), visible)
        cv2.imwrite(str(root / 'ir' / f'{index}.png'), thermal)
    return root


def start(environment, *arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, '-m', 'mafs_demo', *arguments],
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def run(environment, *arguments: str) -> tuple[int, str]:
    process = start(environment, *arguments)
    try:
        output, _ = process.communicate(timeout=DEADLINE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return process.returncode, output


def processes_of(out: Path) -> list[str]:
    """Return the command lines of all processes of a demo with this result folder."""
    found = []
    for entry in Path('/proc').iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / 'cmdline').read_bytes().replace(b'\0', b' ')
                settings = (entry / 'environ').read_bytes()  # the node's log goes to the folder
                state = (entry / 'stat').read_text().rpartition(')')[2].split()[0]
            except (OSError, IndexError):
                continue
            if str(out).encode() in command + settings and state != 'Z':
                found.append(command.decode())
    return found


@pytest.fixture(scope='module')
def finished(environment, folder, tmp_path_factory) -> tuple[Path, str]:
    """One complete run; several tests look at what it left."""
    out = tmp_path_factory.mktemp('run') / 'demo'
    command = ('--images', str(folder), '--duration', '3', '--rate', '20')
    # A machine that stops for longer than the queues of a camera last takes images: not the demo.
    for _ in range(3):
        code, output = run(environment, *command, '--weights', 'classical', '--out', str(out))
        assert code == 0, output
        summary = json.loads((out / 'summary.json').read_text())
        if not any(summary['frames_lost_in_transport'].values()):
            break
    return out, output


def test_run_pairs_true_partners_and_loses_nothing(finished):
    out, output = finished
    summary = json.loads((out / 'summary.json').read_text())
    assert summary['frames_lost_in_transport'] == {'visible': 0, 'thermal': 0}
    assert summary['outputs_lost_in_transport'] == 0
    assert summary['match_rate'] >= 0.97
    assert summary['true_partner_share'] >= 0.99
    assert summary['offset_ms']['max'] <= summary['slop_ms']
    assert summary['pairs_fused'] + summary['drops'].get('overtaken', 0) == summary['pairs']
    assert summary['latency_ms']['p50'] > 0
    assert (summary['mode'], summary['device']) == ('classical', 'cpu')
    assert 'match rate' in output
    assert 'classical fusion, label images are empty' in output


def test_run_leaves_pictures_bag_and_logs(finished):
    out, _ = finished
    assert {path.name for path in out.iterdir()} >= {
        'bag',
        'contact_sheet.png',
        'summary.json',
        'logs',
    }
    assert not (out / 'work').exists()
    summary = json.loads((out / 'summary.json').read_text())
    sheet = cv2.imread(str(out / 'contact_sheet.png'))
    assert sheet.shape[1] > 1900
    with open_bag(out / 'bag') as bag:
        fused = list(bag.images(IMAGE_TOPICS['fused'] + '/compressed'))
        assert len(fused) == summary['pairs_fused'] == bag.topics[STATUS_TOPIC].count
        assert fused[0].image.shape == (72, 96, 3)
        labels = next(bag.images(IMAGE_TOPICS['labels'] + '/compressed'))
        assert labels.image.max() == 0
        assert bag.damage is None
    assert 'no network weights' in (out / 'logs' / 'fusion_node.log').read_text()


def test_bag_of_a_run_can_be_played_again(finished, environment, tmp_path):
    out, _ = finished
    code, output = run(
        environment,
        '--bag',
        str(out / 'bag'),
        '--duration',
        '1',
        '--weights',
        'classical',
        '--no-movie',
        '--out',
        str(tmp_path / 'demo'),
    )
    assert code == 0, output
    summary = json.loads((tmp_path / 'demo' / 'summary.json').read_text())
    assert summary['true_partner_share'] is None
    assert summary['match_rate'] >= 0.97
    assert not (tmp_path / 'demo' / 'demo.mp4').exists()


def test_refused_parameter_ends_in_one_clear_line(environment, folder, tmp_path):
    code, output = run(
        environment,
        '--images',
        str(folder),
        '--duration',
        '1',
        '--weights',
        str(tmp_path / 'none.safetensors'),
        '--out',
        str(tmp_path / 'demo'),
    )
    assert code == 2
    (line,) = [line for line in output.splitlines() if line.startswith('demo: ')]
    assert 'none.safetensors' in line
    assert 'Traceback' not in output
    assert processes_of(tmp_path) == []


def test_node_that_dies_is_reported_with_its_log(environment, folder, tmp_path):
    code, output = run(
        environment,
        '--images',
        str(folder),
        '--duration',
        '1',
        '-p',
        'sync.slop:=[1',
        '--out',
        str(tmp_path / 'demo'),
    )
    assert code == 2
    assert 'demo: fusion_node ended early' in output
    assert str(tmp_path / 'demo' / 'logs' / 'fusion_node.log') in output


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_interrupt_while_playing_leaves_no_process(environment, folder, tmp_path, number):
    process = start(
        environment,
        '--images',
        str(folder),
        '--duration',
        '30',
        '--rate',
        '5',
        '--weights',
        'classical',
        '--out',
        str(tmp_path / 'demo'),
    )
    try:
        for line in process.stdout:
            if line.startswith('playing'):
                break
        assert len(processes_of(tmp_path)) >= 4, 'the command and its three children'
        process.send_signal(number)
        output, _ = process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 130
        assert output.strip().endswith('demo: interrupted')
        assert processes_of(tmp_path) == []
        assert {path.name for path in (tmp_path / 'demo').iterdir()} == {'logs', MARK}
    finally:
        process.kill()


def test_killed_demo_leaves_no_process(environment, folder, tmp_path):
    process = start(
        environment,
        '--images',
        str(folder),
        '--duration',
        '30',
        '--rate',
        '5',
        '--weights',
        'classical',
        '--out',
        str(tmp_path / 'demo'),
    )
    for line in process.stdout:
        if line.startswith('playing'):
            break
    process.kill()
    process.communicate(timeout=DEADLINE_S)
    deadline = time.monotonic() + DEADLINE_S
    while processes_of(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert processes_of(tmp_path) == []


def test_environment_without_messages_is_explained(environment, folder, tmp_path):
    bare = {
        key: value
        for key, value in environment.items()
        if key not in ('AMENT_PREFIX_PATH', 'PYTHONPATH')
    }
    bare['PYTHONPATH'] = str(Path(__file__).resolve().parents[2])
    code, output = run(bare, '--images', str(folder), '--out', str(tmp_path / 'demo'))
    assert code == 2
    assert 'the demo needs ROS 2 and the built package' in output
