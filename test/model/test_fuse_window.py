"""``mafs fuse --show``: what a window shows, how it ends, and what is said where there is none."""

from __future__ import annotations

from typing import Any

import cv2
from mafs_model.cli import main
from mafs_model.errors import ConfigError
from mafs_model.images.image_files import read_visible, write_png
from mafs_model.sinks import window
import numpy as np
import pytest

RNG = np.random.default_rng(8)


class Screen:
    """Stands for the windows of OpenCV, which the tests' one may lack."""

    def __init__(self) -> None:
        self.shown: list[np.ndarray] = []
        self.keys: list[int] = []
        self.visible = 1.0
        self.closed = 0

    def imshow(self, title: str, picture: np.ndarray) -> None:
        self.shown.append(picture.copy())

    def waitKey(self, delay_ms: int) -> int:  # noqa: N802 - as OpenCV calls it
        assert delay_ms >= 1
        return self.keys.pop(0) if self.keys else -1

    def getWindowProperty(self, *unused: Any) -> float:  # noqa: N802
        return self.visible

    def destroyAllWindows(self) -> None:  # noqa: N802
        self.closed += 1

    def namedWindow(self, *unused: Any) -> None:  # noqa: N802
        pass


@pytest.fixture
def screen(monkeypatch):
    made = Screen()
    for name in ('imshow', 'waitKey', 'getWindowProperty', 'destroyAllWindows', 'namedWindow'):
        monkeypatch.setattr(window.cv2, name, getattr(made, name), raising=False)
    monkeypatch.setattr(window, '_PROBE', '')
    return made


@pytest.fixture
def fuse(tmp_path, capsys):
    for index in (1, 2, 3):
        write_png(tmp_path / 'vi' / f'{index}.png', RNG.integers(0, 256, (48, 64, 3), np.uint8))
        write_png(tmp_path / 'ir' / f'{index}.png', RNG.integers(0, 256, (48, 64), np.uint8))

    def run(*options):
        words = ['--rgb', f'{tmp_path}/vi', '--thermal', f'{tmp_path}/ir', '--quiet']
        code = main(['fuse', *words, '--weights', 'classical', '--device', 'cpu', *options])
        return code, capsys.readouterr().err

    return run


def test_pictures_stay_until_a_key(fuse, screen, tmp_path):
    screen.keys = [-1, -1, ord(' '), ord('n'), 13]
    assert fuse('--show', '--out', str(tmp_path / 'out'), '--picture', 'panels')[0] == 2
    assert fuse('--show', '--out', str(tmp_path / 'out')) == (0, '')
    assert len(screen.shown) == 3
    assert screen.keys == []
    assert screen.shown[0].shape[:2] > (96, 128), 'four panels and a legend'
    assert screen.closed >= 1
    assert len(list((tmp_path / 'out' / 'fused').iterdir())) == 3


def test_nothing_is_written_without_out_and_colours_are_right(fuse, screen, tmp_path):
    screen.keys = [32] * 3
    fuse('--out', str(tmp_path / 'out'))
    before = sorted(tmp_path.rglob('*'))
    assert fuse('--show', '--picture', 'fused') == (0, '')
    assert sorted(tmp_path.rglob('*')) == before
    for index, shown in enumerate(screen.shown, 1):
        expected = read_visible(tmp_path / 'out' / 'fused' / f'{index}.png')
        assert np.array_equal(shown[..., ::-1], expected)


@pytest.mark.parametrize('end', ['q', 'escape', 'closed'])
def test_the_user_ends_it(fuse, screen, end, tmp_path):
    screen.keys = {'q': [32, ord('q')], 'escape': [32, 27], 'closed': [32]}[end]
    if end == 'closed':
        screen.visible = 0.0
    assert fuse('--show', '--out', str(tmp_path / 'out'))[0] == 0
    count = 1 if end == 'closed' else 2
    assert len(screen.shown) == count
    assert len(list((tmp_path / 'out' / 'fused').iterdir())) == count, 'what was shown is kept'


def test_films_go_at_their_rate_without_a_key(screen, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(window.time, 'monotonic', lambda: now[0])

    def wait(delay_ms):
        now[0] += delay_ms / 1e3
        return -1

    monkeypatch.setattr(window.cv2, 'waitKey', wait, raising=False)
    film = window.Window(10.0)
    for _ in range(11):
        now[0] += 0.02  # computing
        film.write('', lambda picture: np.zeros((4, 4), np.uint8))
    assert now[0] == pytest.approx(101.0, abs=0.1)
    start = now[0]
    live = window.Window(None)
    for _ in range(11):
        live.write('', lambda picture: np.zeros((4, 4), np.uint8))
    assert not film.ended
    assert now[0] - start < 0.1, 'a camera is not held up'


@pytest.mark.parametrize(
    ('probe', 'message'),
    [
        ("raise SystemExit('The function is not implemented. Rebuild')", 'has no windows'),
        ('import os; os.abort()', 'is there a display'),
        ("raise SystemExit('cannot open display')", 'is there a display'),
        ('import time; time.sleep(60)', 'no window can be tried'),
    ],
)
def test_one_line_where_there_is_no_window(monkeypatch, probe, message, fuse):
    monkeypatch.setattr(window, '_PROBE', probe)
    if 'sleep' in probe:
        monkeypatch.setattr(window, '_PROBE_TIMEOUT_S', 0.1)
    code, error = fuse('--show')
    assert code == 2
    assert message in error
    assert 'mafs view' in error
    assert error.count('\n') == 1


def test_the_real_probe_agrees_with_this_opencv():
    has_windows = True
    try:
        cv2.namedWindow('test')
        cv2.destroyAllWindows()
    except cv2.error:
        has_windows = False
    if has_windows:
        window.check_windows()
    else:
        with pytest.raises(ConfigError, match='expected opencv-python instead'):
            window.check_windows()


def test_neither_out_nor_show(fuse):
    code, error = fuse()
    assert code == 2
    assert 'no --out: expected a folder, a picture or a video, or --show' in error
