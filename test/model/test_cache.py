"""The cache folder: shared by processes, bounded, and never executed when damaged."""

from __future__ import annotations

import os
from pathlib import Path
import subprocess
import sys
import threading
import time

from mafs_model import cli
from mafs_model.errors import CheckpointError
from mafs_model.prediction import Outputs
from mafs_model.runtime import cache
from mafs_model.runtime.cache import CACHE_VARIABLE, LIMIT_VARIABLE
from mafs_model.runtime.factory import build_engine
from mafs_model.runtime.graph_checksums import check_graph, write_checksums
from mafs_model.runtime.openvino_engine import read_blob, write_blob
import numpy as np
import pytest

NAME = '0123456789abcdef-fusion-64x96'
IMAGES = np.full((64, 96, 3), 90, np.uint8), np.full((64, 96), 60, np.uint8)


def aged(path: Path, age_s: float, size: int = 1000) -> Path:
    path.write_bytes(bytes(size))
    os.utime(path, (time.time() - age_s,) * 2)
    return path


def test_what_was_used_longest_ago_goes_first(tmp_path, monkeypatch):
    monkeypatch.setenv(LIMIT_VARIABLE, '0.0025')
    old, middle, new = (
        aged(tmp_path / f'{i}{NAME[1:]}.blob', age) for i, age in ((1, 90), (2, 50), (3, 10))
    )
    cache.touch(old)
    cache.prune(tmp_path)
    assert old.exists()
    assert new.exists()
    assert not middle.exists()


def test_nothing_of_others_is_removed(tmp_path):
    keep = [aged(tmp_path / name, 9e6) for name in ('thesis.bin', 'x.blob', '.hidden', 'a.json')]
    target = aged(tmp_path.parent / 'elsewhere.blob', 9e6)
    link = tmp_path / f'{NAME}.blob'
    link.symlink_to(target)
    ours = [aged(tmp_path / f'{NAME}{end}', 9e6) for end in ('.xml', '.bin', '.xml.sha256')]
    part = aged(tmp_path / f'.{NAME}.0123456789abcdef.part.blob', 9e6)
    assert cache.state(tmp_path).files == 4
    assert cache.clear(tmp_path).files == 4
    assert not any(path.exists() for path in (*ours, part))
    assert all(path.exists() for path in (*keep, target))
    assert link.is_symlink()


def test_abandoned_parts_are_removed_and_fresh_ones_left(tmp_path):
    old = aged(tmp_path / f'.{NAME}.0123456789abcdef.part.blob', 9000)
    fresh = aged(tmp_path / f'.{NAME}.fedcba9876543210.part.blob', 1)
    cache.prune(tmp_path)
    assert not old.exists()
    assert fresh.exists()


@pytest.mark.parametrize('text', ['many', '-1', 'nan', '1e99'])
def test_a_wrong_limit_counts_as_unsaid(monkeypatch, caplog, text):
    monkeypatch.setenv(LIMIT_VARIABLE, text)
    assert cache.limit_bytes() == cache.DEFAULT_LIMIT_MB * 1e6
    assert f"{LIMIT_VARIABLE} '{text}': expected megabytes" in caplog.text


def test_one_at_a_time_holds_a_lock(tmp_path):
    inside, most = [], []

    def work() -> None:
        with cache.locked(tmp_path / NAME):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.01)
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert most == [1] * 8


def test_without_a_place_for_locks_the_work_is_done_all_the_same(tmp_path):
    with cache.locked(tmp_path / 'missing' / NAME):
        done = True
    assert done


def test_damaged_compiled_graphs_are_not_executed(tmp_path):
    path = tmp_path / 'a.blob'
    assert read_blob(path) is None
    write_blob(path, b'compiled' * 100)
    assert read_blob(path) == b'compiled' * 100
    content = bytearray(path.read_bytes())
    for place in (0, 40, len(content) - 1):
        damaged = bytearray(content)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        assert read_blob(path) is None
    path.write_bytes(content[:20])
    assert read_blob(path) is None


@pytest.mark.parametrize('names', [['g.onnx'], ['g.xml', 'g.bin'], ['g.engine', 'g.engine.json']])
def test_every_byte_of_a_graph_is_covered(tmp_path, names):
    for name in names:
        (tmp_path / name).write_bytes(name.encode() * 50)
    graph = tmp_path / names[0]
    assert not check_graph(graph), 'graphs of earlier versions have no checksums'
    write_checksums(graph)
    assert check_graph(graph)
    for name in names:
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[:-1] + b'?')
        with pytest.raises(CheckpointError, match=rf'{name}.*sha256 is .* changed or damaged'):
            check_graph(graph)
        (tmp_path / name).write_bytes(whole)
    (tmp_path / names[-1]).unlink()
    with pytest.raises(CheckpointError, match='cannot be read'):
        check_graph(graph)


@pytest.fixture
def cached(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    return tmp_path


def infer(weights):
    engine = build_engine(weights, backend='openvino', precision='fp32', device='cpu', threads=1)
    try:
        return engine.infer(*IMAGES, Outputs())
    finally:
        engine.close()


def test_compiled_graphs_come_back_and_damaged_ones_are_made_again(
    small_weights, cached, monkeypatch
):
    pytest.importorskip('openvino', reason='openvino is not installed')
    first = infer(small_weights)
    (blob,) = cached.glob('*.blob')
    before = blob.read_bytes()
    again = infer(small_weights)
    assert np.array_equal(first.fused, again.fused)
    assert np.array_equal(first.labels, again.labels)
    blob.write_bytes(before[:-100] + bytes(100))
    third = infer(small_weights)
    assert np.array_equal(first.fused, third.fused)
    assert blob.read_bytes() == before or read_blob(blob) is not None


def test_an_altered_graph_in_the_cache_is_made_again(small_weights, cached, caplog):
    pytest.importorskip('openvino', reason='openvino is not installed')
    first = infer(small_weights)
    for blob in cached.glob('*.blob'):
        blob.unlink()
    (weights,) = cached.glob('*.bin')
    content = bytearray(weights.read_bytes())
    content[len(content) // 2 :: 64] = bytes(len(content[len(content) // 2 :: 64]))
    weights.write_bytes(content)
    again = infer(small_weights)
    assert 'made again' in caplog.text
    assert np.array_equal(first.labels, again.labels)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_processes_that_start_together_share_an_empty_cache(small_weights, cached):
    pytest.importorskip('openvino', reason='openvino is not installed')
    code = (
        'import sys, hashlib, numpy as np\n'
        'from pathlib import Path\n'
        'from mafs_model.prediction import Outputs\n'
        'from mafs_model.runtime.factory import build_engine\n'
        "e = build_engine(Path(sys.argv[1]), backend='openvino', precision='fp32', "
        "device='cpu', threads=1)\n"
        'r = e.infer(np.full((64, 96, 3), 90, np.uint8), np.full((64, 96), 60, np.uint8), '
        'Outputs())\n'
        'print(hashlib.sha256(r.fused.tobytes()).hexdigest())\n'
    )
    started = [
        subprocess.Popen(
            [sys.executable, '-c', code, str(small_weights)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    ended = [(process.communicate(timeout=800), process.returncode) for process in started]
    assert [code for _, code in ended] == [0, 0, 0], ended
    assert len({out for (out, _), _ in ended}) == 1
    assert not list(cached.glob('.*.part.*'))


def test_the_command_shows_and_clears(cached, capsys, monkeypatch):
    aged(cached / f'{NAME}.blob', 10, 2_000_000)
    assert cli.main(['cache']) == 0
    assert '1 files, 2.0 MB of at most' in capsys.readouterr().out
    assert cli.main(['cache', '--clear']) == 0
    assert '1 files, 2.0 MB removed' in capsys.readouterr().out
    assert list(cached.iterdir()) == []
    monkeypatch.delenv(CACHE_VARIABLE)
    assert cli.main(['cache']) == 2
    assert 'names no folder' in capsys.readouterr().err
