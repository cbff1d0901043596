"""The calibration file: what is written is read, and nothing else is."""

from __future__ import annotations

from mafs_model.calibration.calibration import Calibration, Latency
from mafs_model.calibration.cameras import Camera, Extrinsics
from mafs_model.errors import ConfigError, MafsError
import numpy as np
import pytest
import yaml


def full():
    matrix = np.array([[500.0, 0, 160], [0, 500, 120], [0, 0, 1]])
    return Calibration(
        (240, 320),
        (480, 640),
        Camera((240, 320), matrix, np.array([-0.3, 0.1, 0, 0, 0.0])),
        Camera((480, 640), np.diag([2.0, 2.0, 1.0]) @ matrix, np.zeros(5)),
        Extrinsics(np.eye(3), np.array([-0.05, 0.0, 0.0])),
        np.diag([2.0, 2.0, 1.0]),
        Latency(-0.12, 0.004, 12.0, 30.0),
        {'scene_margin': 12.5},
    )


def test_what_is_saved_is_loaded(tmp_path):
    path = tmp_path / 'deep' / 'rig.yaml'
    full().save(path)
    loaded = Calibration.load(path)
    assert loaded.to_dict() == full().to_dict() | {
        'date': loaded.date, 'software': loaded.software,
    }  # fmt: skip
    assert loaded.latency == Latency(-0.12, 0.004, 12.0, 30.0)
    assert loaded.thermal.size == (240, 320)
    assert 'time offset -120.0 ms' in loaded.describe()


def test_parts_may_be_missing():
    only = Calibration((240, 320), None)
    assert Calibration.from_dict(only.to_dict()).to_dict() == only.to_dict()


def change(path, value):
    """Return a function that sets a key of nested values, or removes it."""

    def apply(data):
        *steps, last = path
        for step in steps:
            data = data[step]
        if value is KeyError:
            del data[last]
        else:
            data[last] = value

    return apply


@pytest.mark.parametrize(
    ('path', 'value', 'words'),
    [
        (['format'], 2, 'format 2, expected 1'),
        (['format'], True, 'format True'),
        (['format'], KeyError, 'missing format'),
        (['more'], 1, 'unknown keys: more'),
        (['thermal', 'width'], KeyError, 'thermal: missing width'),
        (['thermal', 'width'], 320.5, 'expected whole numbers'),
        (['thermal', 'width'], 10**9, 'expected whole sides'),
        (['thermal', 'matrix'], [1, 2, 3], '3 numbers, expected 9'),
        (['thermal', 'matrix'], [[-5, 0, 1], [0, 5, 1], [0, 0, 1]], 'positive focal lengths'),
        (['thermal', 'matrix'], 'K', 'expected a list of numbers'),
        (['thermal', 'matrix'], [[[[1]]]] * 9, 'numbers only'),
        (['thermal', 'matrix'], [10**400] * 9, 'finite'),
        (['thermal', 'distortion'], [0.1] * 7, '7 coefficients'),
        (['thermal', 'distortion'], [float('nan')] * 5, 'finite'),
        (['thermal', 'distortion'], [0.1] * 10_000, 'expected a list of numbers'),
        (['thermal', 'distortion'], KeyError, 'matrix and distortion, or neither'),
        (['thermal'], KeyError, 'expected a matrix of both cameras'),
        (['extrinsics', 'rotation'], [[2, 0, 0], [0, 1, 0], [0, 0, 1]], 'no rotation matrix'),
        (['extrinsics', 'rotation'], [[-1, 0, 0], [0, 1, 0], [0, 0, 1]], 'no rotation matrix'),
        (['extrinsics', 'translation_m'], [1000, 0, 0], 'at most 100'),
        (['homography'], [[0] * 3] * 3, 'not invertible'),
        (['homography'], [[1, 2], [3, 4]], 'expected 9'),
        (['latency', 'offset_s'], 'late', 'expected a number'),
        (['latency', 'offset_s'], float('nan'), 'expected a number'),
        (['latency', 'interval_s'], -1, 'from 0'),
        (['latency'], 3, 'latency: expected'),
        (['scores'], ['a'], 'named numbers'),
        (['scores'], {'a': 'b'}, 'expected a number'),
        (['date'], 'x\n' * 3, 'a line of at most'),
        (['software'], 'y' * 500, 'a line of at most'),
    ],
)
def test_other_values_are_refused_by_name(tmp_path, path, value, words):
    data = full().to_dict()
    change(path, value)(data)
    file = tmp_path / 'rig.yaml'
    file.write_text(yaml.safe_dump(data))
    with pytest.raises(ConfigError, match=words) as caught:
        Calibration.load(file)
    assert str(caught.value).startswith(f"calibration file '{file}'")
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('', 'expected format'),
        ('just text', 'expected format'),
        ('[' * 5000, 'not (valid|plain) YAML'),
        ('a: !!python/object:os.system x', 'not valid YAML'),
        ('date: 2026-13-45\n', 'not plain YAML|month|missing format'),
        ('x' * (1 << 21), 'larger than'),
    ],
)
def test_what_is_no_calibration_is_refused(tmp_path, text, words):
    file = tmp_path / 'rig.yaml'
    file.write_text(text)
    with pytest.raises(ConfigError, match=words):
        Calibration.load(file)


def test_missing_and_unwritable_files_are_one_line(tmp_path):
    with pytest.raises(ConfigError, match='no such file'):
        Calibration.load(tmp_path / 'none.yaml')
    (tmp_path / 'file').write_text('')
    with pytest.raises(MafsError, match='cannot be written'):
        full().save(tmp_path / 'file' / 'rig.yaml')
