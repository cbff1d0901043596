"""Pages of reports: nothing is cut off, wide tables say so, names stay whole."""

from __future__ import annotations

import re

from mafs_training.evaluation.html.charts import (
    bar_chart,
    box_chart,
    heat_map,
    histogram,
    interval_chart,
    LONGEST_NAME,
    shorten,
)
from mafs_training.evaluation.html.page import cell, table
import numpy as np
import pytest

NAMES = ('mafs_t-350ca154', 'a_method_with_a_rather_long_name-9f', 'x')
# Letters of 11 px are at most about so wide in the fonts of a page, on average.
LETTER = 6.2


def drawn():
    values = {name: [0.1, 0.4, 0.2] for name in NAMES}
    yield 'box', box_chart(values, {}, 't')
    yield 'bar', bar_chart(dict.fromkeys(NAMES, 0.5), 't')
    yield 'interval', interval_chart(dict.fromkeys(NAMES, (0.1, 0.0, 0.2)), 't')
    yield 'heat', heat_map(np.eye(3), NAMES, ('a', 'b', 'c'), 't')


@pytest.mark.parametrize(('kind', 'svg'), drawn())
def test_no_name_loses_its_first_letter(kind, svg):
    ends = re.findall(r'<text x="([\d.]+)"[^>]*text-anchor="end"[^>]*>([^<]+)</text>', svg)
    assert [words for _, words in ends] == [shorten(name) for name in NAMES], kind
    for x, words in ends:
        assert float(x) - LETTER * len(words) >= 0, words


@pytest.mark.parametrize(
    'values',
    [
        [100.0, 100.0 + 1.5e-14, 100.0 - 1.5e-14],  # gaps of a recording at a steady rate
        [0.0, 0.0],
        [0.0, 1e-310],
        [-1e9, -1e9 + 1e-7],
        [1e-12, 3e-12],
        [0.0, 1e300],
    ],
)
def test_values_that_hardly_differ_are_drawn(values):
    bars = re.findall(r'<rect x="([\d.]+)"', histogram(values, 't', x_title='ms'))
    assert bars
    assert 'nan' not in histogram(values, 't', x_title='ms')


def test_long_names_keep_both_ends():
    assert shorten('mafs_t-350ca154') == 'mafs_t-350ca154'
    short = shorten('a_method_with_a_rather_long_name-9f')
    assert len(short) == LONGEST_NAME
    assert short.startswith('a_method')
    assert short.endswith('name-9f')


def test_a_wide_table_says_that_it_scrolls():
    row = ('', [cell('1')] * 9)
    assert 'scroll to the right' in table(['x'] * 9, [row])
    assert 'scroll' not in table(['x'] * 3, [('', [cell('1')] * 3)])
