"""The pairing benchmark: its simulation, its figures, its output."""

from __future__ import annotations

import json

import pytest

camera_streams = pytest.importorskip('camera_streams')
import pairing as benchmark  # noqa: E402


def test_streams_are_deterministic_and_keep_their_order():
    messages = camera_streams.simulate(300, seed=4)
    assert messages == camera_streams.simulate(300, seed=4)
    assert messages != camera_streams.simulate(300, seed=5)
    for stream in ('visible', 'thermal'):
        stamps = [m.stamp_ns for m in messages if m.stream == stream]
        assert stamps == sorted(set(stamps))
        assert 280 <= len(stamps) < 300


@pytest.mark.parametrize('jitter', benchmark.JITTERS)
@pytest.mark.parametrize('slop_s', benchmark.SLOPS_S)
def test_nearest_finds_the_true_partners_at_every_slop(jitter, slop_s):
    messages = camera_streams.simulate(2000, **benchmark.JITTERS[jitter])
    pairs, _ = benchmark.nearest(messages, slop_s)
    numbers = [{m.index for m in messages if m.stream == s} for s in ('visible', 'thermal')]
    true = sum(visible == thermal for visible, thermal in pairs)
    assert true / len(pairs) >= 0.995
    # At 8 ms some true partners are not mutually nearest: nobody could tell them by stamps.
    found = 0.995 if jitter == 'normal 2 ms' else 0.98
    assert true / len(numbers[0] & numbers[1]) >= found


def test_against_message_filters():
    if benchmark.methods()['message_filters approximate'] is None:
        pytest.skip('message_filters is not installed')
    rows = benchmark.measure(2000, 0)
    share = {(r['jitter'], r['slop_s'], r['method']): r['true_share'] for r in rows}
    for (jitter, slop_s, method), value in share.items():
        if method != 'nearest':
            assert share[jitter, slop_s, 'nearest'] >= value - 0.003
    assert share['normal 2 ms', 0.1, 'message_filters approximate'] < 0.9


def test_prints_a_table_and_writes_json(tmp_path, capsys):
    assert benchmark.main(['--count', '200', '--json', str(tmp_path / 'rows.json')]) == 0
    rows = json.loads((tmp_path / 'rows.json').read_text())
    assert len(rows) == 12
    table = capsys.readouterr().out
    assert table.count('nearest') == 6
    for row in rows:
        assert row['method'] in table
        assert ('pairs' in row) or 'not installed' in table
