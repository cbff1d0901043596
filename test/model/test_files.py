"""Files are replaced as a whole or not at all."""

from __future__ import annotations

import os
import shutil
import stat

from mafs_model.errors import CheckpointError, MafsError
from mafs_model.files import check_space, previous_of, replacing, write_bytes, write_text
import pytest


def test_new_file_and_folder(tmp_path):
    path = tmp_path / 'a' / 'b' / 'file.txt'
    write_text(path, 'grüße')
    assert path.read_text(encoding='utf-8') == 'grüße'
    assert [p.name for p in path.parent.iterdir()] == ['file.txt']


def test_the_one_before_is_kept(tmp_path):
    path = tmp_path / 'last.ckpt'
    for content in (b'1', b'2', b'3'):
        write_bytes(path, content, previous=True)
    assert (path.read_bytes(), previous_of(path).read_bytes()) == (b'3', b'2')
    assert sorted(p.name for p in tmp_path.iterdir()) == ['last.ckpt', 'last.previous.ckpt']


def test_without_hard_links(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise OSError(1, 'Operation not permitted')

    monkeypatch.setattr(os, 'link', refuse)
    test_the_one_before_is_kept(tmp_path)


@pytest.mark.parametrize('fault', [OSError(28, 'No space left on device'), KeyboardInterrupt()])
def test_a_fault_in_the_middle_leaves_the_old_file(tmp_path, fault):
    path = tmp_path / 'file.bin'
    write_bytes(path, b'old')
    expected = MafsError if isinstance(fault, OSError) else KeyboardInterrupt
    with pytest.raises(expected), replacing(path) as beside:  # noqa: PT012
        beside.write_bytes(b'ne')
        raise fault
    assert path.read_bytes() == b'old'
    assert [p.name for p in tmp_path.iterdir()] == ['file.bin']


def test_the_usual_mode_and_no_link_followed(tmp_path):
    elsewhere = tmp_path / 'elsewhere'
    elsewhere.write_text('theirs')
    path = tmp_path / 'file'
    path.symlink_to(elsewhere)
    write_text(path, 'ours')
    assert (path.read_text(), elsewhere.read_text()) == ('ours', 'theirs')
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask


def test_nothing_written_is_an_error(tmp_path):
    with pytest.raises(MafsError, match='cannot be written'), replacing(tmp_path / 'x'):
        pass
    assert list(tmp_path.iterdir()) == []


def test_room_is_checked_first(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=3_000_000)
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: usage)
    write_bytes(tmp_path / 'small', b'x')
    with pytest.raises(CheckpointError, match='3 MB free, expected at least 11 MB'):
        check_space(tmp_path, 10_000_000, CheckpointError)
    with pytest.raises(MafsError, match='3 MB free'):
        write_bytes(tmp_path / 'large', bytes(2_500_000))
    assert [p.name for p in tmp_path.iterdir()] == ['small']


def test_a_place_that_cannot_be(tmp_path):
    (tmp_path / 'file').write_text('x')
    with pytest.raises(MafsError, match="file/below': cannot be written: "):
        write_bytes(tmp_path / 'file' / 'below', b'x')


def test_a_bag_is_replaced_when_the_new_one_is_whole(tmp_path):
    from mafs_model.bags.reader import open_bag
    from mafs_model.bags.writer import BagWriter
    import numpy as np

    path = tmp_path / 'bag'

    def write(value, overwrite, fault=None):
        with BagWriter(path, overwrite=overwrite) as bag:
            bag.write_image('/a', 1, 'a', np.full((4, 4), value, np.uint8), 'mono8')
            if fault:
                raise fault

    def first():
        with open_bag(path) as bag:
            return [int(i.image[0, 0]) for i in bag.images(kinds={'/a': 'thermal'})]

    write(1, False)
    with pytest.raises(RuntimeError):
        write(2, True, RuntimeError())
    assert first() == [1]
    write(3, True)
    assert first() == [3]
    assert [p.name for p in tmp_path.iterdir()] == ['bag']
    assert sorted(p.name for p in path.iterdir()) == ['bag.mcap', 'metadata.yaml']
