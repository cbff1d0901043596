"""Numbers from outside: what counts as one, and that nobody has an own idea of it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
import re

from mafs_model.errors import ConfigError
from mafs_model.numeric import check_number, is_finite, is_number, is_whole
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
HUGE = 10**400  # No float holds it.


@pytest.mark.parametrize('value', [0, -3, 2.5, np.float32(2), np.int64(7), Fraction(1, 3)])
def test_numbers(value):
    assert is_number(value)
    assert is_finite(value)
    assert check_number(value, -3, 7, 'depth') == pytest.approx(float(value))


@pytest.mark.parametrize('value', [True, False, None, '3', b'3', 1j, [1], np.bool_(1), np.ones(2)])
def test_what_is_no_number(value):
    assert not is_number(value)
    assert not is_finite(value)
    assert not is_whole(value)


@pytest.mark.parametrize('value', [HUGE, -HUGE, float('inf'), float('-inf'), float('nan')])
def test_numbers_that_no_float_holds(value):
    assert is_number(value)
    assert not is_finite(value)


def test_whole_numbers():
    assert is_whole(3)
    assert is_whole(HUGE)
    assert not is_whole(3.0)


@pytest.mark.parametrize('value', [True, '5', None, -0.1, 9.1, HUGE, float('nan')])
def test_refusal_names_value_and_limits(value):
    with pytest.raises(ConfigError, match=r'^depth .*: expected a number from 0 to 9$'):
        check_number(value, 0, 9, 'depth')


def test_no_second_home():
    own = [
        str(path.relative_to(ROOT))
        for path in sorted(ROOT.glob('mafs_*/**/*.py'))
        if path.name != 'numeric.py'
        and re.search(
            r'isinstance\([^()]*, (\(int, float|int \| float)|not isinstance\([^()]*, bool\) and',
            path.read_text('utf-8'),
        )
    ]
    assert not own, f'mafs_model/numeric.py says what a number is, so does {own}'
