"""Registration and time of one recording: each is found with the help of the other."""

from __future__ import annotations

from types import SimpleNamespace

from mafs_calibration import joint
from mafs_model.errors import CalibrationError
import numpy as np
import pytest

TRUE_S = -0.136


class Drive:
    """A recording whose registration is as wrong as its time, and time a third of that."""

    def __init__(self, monkeypatch, refuse=False, never=False):
        self.asked, self.refuse, self.never = [], refuse, never
        monkeypatch.setattr(joint, 'register', self.register)
        monkeypatch.setattr(joint, 'measure', self.measure)

    def pairs(self, count, offset_s):
        self.asked.append(offset_s)
        return [SimpleNamespace(visible=offset_s, thermal=offset_s)] * count

    def register(self, visible, thermal):
        return SimpleNamespace(homography=np.diag([1 + (visible[0] - TRUE_S), 1.0, 1.0]))

    def measure(self, source, registration):
        if self.refuse:
            raise CalibrationError('not enough motion')
        wrong = registration.homography[0, 0] - 1
        offset = TRUE_S + wrong / 3 if not self.never else self.asked[-1] + 1
        return SimpleNamespace(latency=SimpleNamespace(offset_s=offset, interval_s=0.004))


def test_the_time_is_corrected_until_it_settles(monkeypatch):
    drive = Drive(monkeypatch)
    found, pairs, offset = joint.register_recording(drive, 0.0)
    assert offset == pytest.approx(TRUE_S, abs=0.01)
    assert found.homography[0, 0] == pytest.approx(1.0, abs=0.02)
    assert pairs[0].visible == offset, 'the pairs are those of the registration'
    assert len(drive.asked) == 4


def test_a_right_time_is_taken_at_once(monkeypatch):
    drive = Drive(monkeypatch)
    assert joint.register_recording(drive, TRUE_S)[2] == TRUE_S
    assert drive.asked == [TRUE_S]


def test_without_motion_the_first_pairs_count(monkeypatch):
    drive = Drive(monkeypatch, refuse=True)
    assert joint.register_recording(drive, 0.0)[2] == 0.0
    assert drive.asked == [0.0]


def test_what_never_settles_ends(monkeypatch):
    drive = Drive(monkeypatch, never=True)
    joint.register_recording(drive, 0.0)
    assert len(drive.asked) == 4
