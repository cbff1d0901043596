"""From a rosbag to folders of pairs that training can read."""

from __future__ import annotations

import cv2
from mafs_training.cli import main_data
from mafs_training.datasets.check import check_source
from mafs_training.datasets.spec import SourceSpec
import numpy as np
import pytest

pytest.importorskip('rosbags')

MS = 1_000_000
START = 1_700_000_000 * 1000 * MS


@pytest.fixture
def bag(tmp_path):
    """Ten visible frames at 10 Hz; thermal 16-bit ones 4 ms later, the fifth is missing."""
    from mafs_model.bags.reader import BagWriter

    path = tmp_path / 'bag'
    with BagWriter(path) as writer:
        for index in range(10):
            stamp = START + index * 100 * MS
            visible = np.full((48, 64, 3), 10 * index, np.uint8)
            writer.write_image('/camera/image_raw', stamp, 'rgb', visible, 'rgb8', stamp)
            if index != 4:
                thermal = np.full((48, 64), 29000 + index, np.uint16)
                later = stamp + 4 * MS
                writer.write_image('/thermal/image_raw', later, 'ir', thermal, 'mono16', later)
    return path


def test_pairs_and_values(bag, tmp_path, capsys):
    out = tmp_path / 'data'
    assert main_data(['from-bag', str(bag), '--out', str(out)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith('/camera/image_raw and /thermal/image_raw: 9 pairs, 9 written, 1 ')
    names = sorted(path.name for path in (out / 'vi').iterdir())
    assert names == sorted(path.name for path in (out / 'ir').iterdir())
    expected = [START + i * 100 * MS for i in range(10) if i != 4]
    assert names == [f'{stamp:019d}.png' for stamp in expected]
    last = cv2.imread(str(out / 'ir' / names[-1]), cv2.IMREAD_UNCHANGED)
    assert last.dtype == np.uint16
    assert (last == 29009).all()
    assert (cv2.imread(str(out / 'vi' / names[-1])) == 90).all()
    report = check_source(SourceSpec('generic', str(out)), ('a',))
    assert report.ok
    assert report.pairs == 9


def test_every_and_slop(bag, tmp_path, capsys):
    assert main_data(['from-bag', str(bag), '--out', str(tmp_path / 'a'), '--every', '3']) == 0
    assert len(list((tmp_path / 'a' / 'vi').iterdir())) == 3
    capsys.readouterr()
    assert main_data(['from-bag', str(bag), '--out', str(tmp_path / 'b'), '--slop-ms', '2']) == 2
    error = capsys.readouterr().err
    assert 'no pair of /camera/image_raw and /thermal/image_raw within 2 ms' in error
    command = ['from-bag', str(bag), '--out', str(tmp_path / 'c'), '--slop-ms', '2']
    assert main_data([*command, '--thermal-offset-ms', '-4']) == 0


@pytest.mark.parametrize(
    ('extra', 'message'),
    [
        (['--visible', '/nothing'], '/nothing'),
        (['--every', '0'], 'expected --every >= 1'),
        (['--slop-ms', 'nan'], '--slop-ms from 0'),
        (['--slop-ms', 'inf'], '--slop-ms from 0'),
        (['--thermal-offset-ms', '1e300'], '--thermal-offset-ms below 1e+09'),
    ],
)
def test_errors_are_one_line(bag, tmp_path, capsys, extra, message):
    assert main_data(['from-bag', str(bag), '--out', str(tmp_path / 'd'), *extra]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith('mafs-')
    assert error.count('\n') == 1


def test_nowhere_to_write_is_one_line(bag, tmp_path, capsys):
    file = tmp_path / 'file'
    file.write_text('not a folder')
    pairs = tmp_path / 'pairs'
    assert main_data(['from-bag', str(bag), '--out', str(pairs)]) == 0
    for command in (
        ['from-bag', str(bag), '--out', str(file)],
        ['synthetic', '--count', '1', '--size', '64x64', '--out', str(file)],
        ['pack', str(pairs), '--out', str(file / 'pairs.npz')],
    ):
        capsys.readouterr()
        assert main_data(command) == 2
        last = capsys.readouterr().err.splitlines()[-1]
        assert last.startswith('mafs-')
        assert 'cannot be written' in last


def test_folder_with_images_is_left_alone(bag, tmp_path, capsys):
    out = tmp_path / 'data'
    assert main_data(['from-bag', str(bag), '--out', str(out)]) == 0
    assert main_data(['from-bag', str(bag), '--out', str(out)]) == 2
    assert 'not empty, choose another --out' in capsys.readouterr().err
