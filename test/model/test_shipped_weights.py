"""The weights of the package: their checksums, and the graphs beside them."""

from __future__ import annotations

import hashlib
import shutil

from mafs_model.errors import CheckpointError
from mafs_model.predictor import Predictor
from mafs_model.runtime import factory
from mafs_model.runtime.checksums import check_shipped, CHECKSUM_FILE
from mafs_model.runtime.engine import MODES
from mafs_model.runtime.graph_file import graph_path
from mafs_model.runtime.graph_store import GraphStore
import pytest


def write_checksums(folder, *names):
    lines = [f'{hashlib.sha256((folder / n).read_bytes()).hexdigest()}  {n}' for n in names]
    (folder / CHECKSUM_FILE).write_text('\n'.join([*lines, '']))


@pytest.fixture
def shipped(small_weights, tmp_path, monkeypatch):
    """Return weights that count as those of the package."""
    path = tmp_path / 'mafs_t.safetensors'
    shutil.copy(small_weights, path)
    (tmp_path / 'mafs_t.int8.bin').write_bytes(b'1234')
    write_checksums(tmp_path, path.name, 'mafs_t.int8.bin')
    monkeypatch.setattr(factory, 'DEFAULT_WEIGHTS', path)
    return path


def test_untouched_weights_are_loaded(shipped):
    with Predictor.create('default', device='cpu', backend='torch') as predictor:
        assert predictor.weights_id.startswith('small-')
    assert factory.find_weights(None) == shipped


@pytest.mark.parametrize('name', ['mafs_t.safetensors', 'mafs_t.int8.bin'])
def test_changed_file_is_named_with_both_checksums(shipped, name):
    path = shipped.with_name(name)
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_bytes(path.read_bytes()[:-1] + b'\x07')
    after = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(CheckpointError) as caught:
        Predictor.create(None, device='cpu', backend='torch')
    message = str(caught.value)
    assert f"weights '{path}': sha256 is {after}, expected {before}" in message
    assert '\n' not in message


def test_absent_graph_is_no_error(shipped):
    shipped.with_name('mafs_t.int8.bin').unlink()
    check_shipped(shipped)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        (None, "'SHA256SUMS': No such file"),
        ('0' * 64 + '  other.bin\n', "not listed in 'SHA256SUMS'"),
        ('12  mafs_t.safetensors\n', "line '12  mafs_t.safetensors', expected a checksum of 64"),
        ('0' * 64 + '  ../mafs_t.safetensors\n', 'expected a checksum of 64'),
    ],
)
def test_unusable_checksum_file(shipped, text, message):
    path = shipped.with_name(CHECKSUM_FILE)
    path.unlink()
    if text is not None:
        path.write_text(text)
    with pytest.raises(CheckpointError, match=message):
        check_shipped(shipped)


@pytest.mark.skipif(not factory.DEFAULT_WEIGHTS.is_file(), reason='no weights are shipped')
def test_shipped_folder_is_complete():
    folder = factory.DEFAULT_WEIGHTS.parent
    check_shipped(factory.DEFAULT_WEIGHTS)
    listed = {
        line.split()[-1] for line in (folder / CHECKSUM_FILE).read_text('utf-8').splitlines()
    }
    weights = {p.name for p in folder.iterdir() if p.suffix in {'.safetensors', '.xml', '.bin'}}
    assert weights == listed
    assert (folder / 'MODEL_CARD.md').is_file()


@pytest.mark.skipif(not factory.DEFAULT_WEIGHTS.is_file(), reason='no weights are shipped')
def test_auto_takes_the_shipped_int8_graph_on_the_cpu():
    pytest.importorskip('openvino')
    if not factory.DEFAULT_WEIGHTS.with_name('mafs_t.int8.xml').is_file():
        pytest.skip('no int8 graph is shipped')
    with Predictor.create('default', device='cpu', threads=1) as predictor:
        assert (predictor.backend, predictor.engine.precision) == ('openvino', 'int8')


@pytest.mark.parametrize('mode', MODES)
def test_one_camera_alone_is_computed_as_fast_as_both(mode, caplog):
    # Else the loss of a camera would cost time just when it happens.
    store = GraphStore(factory.DEFAULT_WEIGHTS)
    assert not store.lacks_calibrated('openvino', 'int8', mode)
    assert store.get('openvino', 'int8', mode).metadata['export']['mode'] == mode
    assert caplog.text == ''
    listed = factory.DEFAULT_WEIGHTS.with_name(CHECKSUM_FILE).read_text()
    path = graph_path(factory.DEFAULT_WEIGHTS, 'openvino', 'int8', mode)
    assert path.name in listed
    assert path.with_suffix('.bin').name in listed
