"""The layer profile adds up and names the parts of the network."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from benchmarks import layers
import pytest


@pytest.mark.parametrize(
    ('name', 'part'),
    [
        ('/network/encoder/stages.0/thermal/conv/Conv', 'encoder/stages.0'),
        ('/network/fusion_decoder/DepthToSpace', 'fusion_decoder'),
        ('/Cast_4', 'pixels in and out'),
        ('fused', 'pixels in and out'),
    ],
)
def test_nodes_are_counted_for_their_part(name: str, part: str) -> None:
    assert layers.part_of(name) == part


def test_shares_are_of_everything() -> None:
    printed = layers.table('parts', Counter({'a': 6.0, 'b': 3.0, 'c': 1.0}), top=2)
    assert printed.splitlines() == ['parts: 10.0 ms', '  60.0 %  a', '  30.0 %  b']


def test_profiles_the_graph_that_comes_with_us(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip('openvino')
    assert layers.main(['--size', '64', '96', '--rounds', '1', '--top', '30']) == 0
    printed = capsys.readouterr().out
    for part in ('encoder/stages.0', 'segmentation_decoder/', 'pixels in and out', 'Convolution'):
        assert part in printed


def test_missing_graph_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert layers.main(['--graph', str(tmp_path / 'none.xml')]) == 2
    assert capsys.readouterr().err == f'layers: {tmp_path}/none.xml is not a file\n'
