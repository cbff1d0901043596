"""
Mutated files of every kind: each parser answers with its own error, soon and without a traceback.

Short in the test suite; long by ``MAFS_FUZZ_ROUNDS=20000 pytest test/model/test_fuzz_parsers.py``.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
import random
import time

from mafs_model.checkpoint import build_metadata, load_model, save_checkpoint
from mafs_model.classes import ClassTable
from mafs_model.errors import MafsError
from mafs_model.images.registration import Registration
from mafs_model.metadata import METADATA_KEY
from mafs_model.network.config import create_config, MAFSConfig
from mafs_model.network.mafs import MAFS
from mafs_model.yaml_files import read_yaml
from mafs_training.datasets.packed import read_pack, write_pack
from mafs_training.datasets.reading import RawPair
from mafs_training.datasets.spec import parse_source, SourceSpec
import numpy as np
import pytest

ROUNDS = int(os.environ.get('MAFS_FUZZ_ROUNDS', '40'))
LONGEST_S = 2.0  # of the processor's time, for one file
PIECES = (
    b'[' * 3000, b'{a: ' * 500, b'9' * 5000, b'-1', b'1e999', b'.nan', b'null', b'\0', b'\xff\xfe',
    b'"', b': ', b'!!python/name:os.system', b'&a [*a]', b'2024-99-99', b'18446744073709551616',
    b'true', b'[]', b'{}', b'',
)  # fmt: skip
VALUES = (
    None, True, -1, 0, 1, 2**31, 2**63, 10**40, 1e308, float('nan'), '', 'x' * 300, [], [0] * 40,
    {}, {'a': 1}, [2**63, 0], 'mafs_t',
)  # fmt: skip


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Return bytes with a few of them changed, removed, doubled or replaced by a nasty piece."""
    data = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(data) + 1)
        length = rng.choice((1, 1, 4, 16, 200))
        kind = rng.randrange(5)
        if kind == 0 and data:
            data[place % len(data)] = rng.randrange(256)
        elif kind == 1:
            del data[place : place + length]
        elif kind == 2:
            data[place:place] = data[place : place + length]
        elif kind == 3:
            data[place : place + length] = rng.choice(PIECES)
        else:
            del data[place:]
    return bytes(data)


def changed(value: object, rng: random.Random) -> object:
    """Return plain values with one of them, at any depth, replaced or removed."""
    if isinstance(value, dict) and value and rng.random() < 0.8:
        key = rng.choice(sorted(value))
        kept = dict(value)
        if rng.random() < 0.2:
            del kept[key]
        else:
            kept[key] = changed(value[key], rng)
        return kept
    if isinstance(value, list) and value and rng.random() < 0.6:
        place = rng.randrange(len(value))
        return [*value[:place], changed(value[place], rng), *value[place + 1 :]]
    return rng.choice(VALUES)


def survives(read, *arguments) -> None:
    """Call a parser; whatever it says, it is its own error, and soon."""
    begin = time.process_time()
    try:
        read(*arguments)
    except MafsError as error:
        assert len(str(error).splitlines()) == 1, str(error)  # noqa: PT017
    assert time.process_time() - begin < LONGEST_S


def yaml_of_classes(folder: Path) -> bytes:
    return b'dataset: mine\nignore_index: 255\nclasses:\n' + b''.join(
        f'  - {{id: {i}, name: c{i}, color: [{i}, 2, 3]}}\n'.encode() for i in range(4)
    )


def yaml_of_registration(folder: Path) -> bytes:
    path = folder / 'r.yaml'
    Registration(np.eye(3), thermal_size=(48, 64), visible_size=(48, 64)).save(path)
    return path.read_bytes()


def pack(folder: Path) -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    write_pack(folder, [RawPair('a', image, image[..., 0], image[..., 0])])


def pack_index(folder: Path) -> bytes:
    pack(folder)
    return (folder / 'index.json').read_bytes()


def pack_shard(folder: Path) -> bytes:
    pack(folder)
    return (folder / 'pairs-00000.safetensors').read_bytes()


def read_first(path: Path) -> None:
    """Read a pack as far as the images of its first pair."""
    read_pack(path.parent, SourceSpec('pack', str(path.parent)), 4)[0].window()


def weights(folder: Path) -> bytes:
    config = create_config('mafs_t', 4, widths=[16, 24, 32, 48], segmentation_width=32)
    table = ClassTable.load('mfnet')
    save_checkpoint(
        folder / 'w.safetensors',
        MAFS(config).state_dict(),
        build_metadata(config.to_dict(), table),
    )
    return (folder / 'w.safetensors').read_bytes()


FILES = {
    'classes.yaml': (yaml_of_classes, ClassTable.load),
    'plain.yaml': (yaml_of_classes, lambda path: read_yaml(path, 'file')),
    'registration.yaml': (yaml_of_registration, Registration.load),
    'index.json': (pack_index, read_first),
    'pairs-00000.safetensors': (pack_shard, read_first),
    'weights.safetensors': (weights, load_model),
}


@pytest.mark.parametrize('name', FILES)
def test_mutated_files(tmp_path, name):
    make, read = FILES[name]
    original = make(tmp_path)
    path = tmp_path / name
    rng = random.Random(name)
    for _ in range(ROUNDS):
        path.write_bytes(mutated(original, rng))
        survives(read, path)


def test_mutated_architecture():
    rng = random.Random(1)
    original = create_config('mafs_t', 9).to_dict()
    for _ in range(10 * ROUNDS):
        values = changed(original, rng)
        if isinstance(values, dict):
            survives(MAFSConfig.from_dict, values)


@pytest.mark.parametrize(
    ('key', 'value'),
    [
        ('depths', [0, 2**63, 1, 1]),
        ('widths', [32, 64, 96, 2**40]),
        ('widths', [32] * 4000),
        ('head_width', 10**5000),
        ('num_classes', 2**63),
        ('segmentation_levels', 'x'),
        ('depths', 'abcd'),
        ('stem_stride', []),
        ('fusion_decoder', {}),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_absurd_architecture_is_refused_in_milliseconds(key, value):
    values = {**create_config('mafs_t', 9).to_dict(), key: value}
    begin = time.process_time()
    with pytest.raises(MafsError, match=key) as caught:
        MAFSConfig.from_dict(values)
    assert time.process_time() - begin < 0.05
    assert len(str(caught.value)) < 300


def test_mutated_metadata_of_weights(tmp_path):
    """The checksum of the tensors holds; what is said about them does not."""
    from safetensors.torch import load_file, save_file

    weights(tmp_path)
    path = tmp_path / 'w.safetensors'
    from safetensors import safe_open

    with safe_open(str(path), 'pt') as file:
        metadata = json.loads(file.metadata()[METADATA_KEY])
    tensors = load_file(path)
    rng = random.Random(2)
    for number in range(ROUNDS):
        text = '[' * 20000 if number == 0 else json.dumps(changed(metadata, rng))
        save_file(tensors, tmp_path / 'x.safetensors', {METADATA_KEY: text})
        survives(load_model, tmp_path / 'x.safetensors')


def test_mutated_sources():
    rng = random.Random(3)
    original = b'msrs:/data/MSRS?split=train&labels=a&weight=2&limit=10&size=640x480&only=*N'
    for _ in range(20 * ROUNDS):
        text = mutated(original, rng).decode('utf-8', 'replace')
        survives(parse_source, text)
