"""Every message of the package is known to its bags."""

from __future__ import annotations

from pathlib import Path
import re

from mafs_model.bags.writer import BagWriter
from mafs_ros.own_types import OWN_TYPES, register_own_types
import pytest

MESSAGES = Path(__file__).resolve().parents[2] / 'msg'


def test_every_message_is_named_after_those_it_is_made_of() -> None:
    assert sorted(OWN_TYPES) == sorted(path.stem for path in MESSAGES.glob('*.msg'))
    for index, name in enumerate(OWN_TYPES):
        words = set(re.findall(r'^(\w+)', (MESSAGES / f'{name}.msg').read_text(), re.MULTILINE))
        assert not words & set(OWN_TYPES[index:])


def test_bags_know_them(tmp_path: Path) -> None:
    pytest.importorskip('rosbags')
    with BagWriter(tmp_path / 'bag') as bag:
        register_own_types(bag)
