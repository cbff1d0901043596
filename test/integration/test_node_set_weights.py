"""The service that exchanges the weights of a running node, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
import os
from pathlib import Path
import threading
from typing import Any

import numpy as np
import pytest

pytest.importorskip('torch')
pytest.importorskip('rclpy')
pytest.importorskip('mafs_ros.srv', reason='services are not built (colcon build)')

from mafs_model.checkpoint import build_metadata, save_checkpoint
from mafs_model.classes import ClassTable
from mafs_model.images.thermal import ThermalScaler
from mafs_model.network.config import create_config
from mafs_model.network.mafs import MAFS
from mafs_model.predictor import Predictor
from mafs_ros import qos
from mafs_ros.msg import SemanticClasses
from mafs_ros.srv import SetWeights
from sensor_msgs.msg import Image
import torch

pytestmark = pytest.mark.ros
FIXED = {'device': 'cpu', 'backend': 'torch', 'threads': 1}
CLASSES = '/mafs_fusion/semantic/classes'


def save_random(path: Path, table: str, seed: int) -> str:
    torch.manual_seed(seed)
    classes = ClassTable.load(table)
    model = MAFS(create_config('mafs_t', num_classes=len(classes))).eval()
    for name, parameter in model.named_parameters():
        if 'classify' in name:  # untouched ones give nearly equal logits
            torch.nn.init.normal_(parameter, std=0.5)
    save_checkpoint(path, model.state_dict(), build_metadata(model.config.to_dict(), classes))
    return str(path)


@pytest.fixture(scope='module')
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp('weights')
    return {
        'nine': save_random(folder / 'nine.safetensors', 'mfnet', 3),
        'five': save_random(folder / 'five.safetensors', 'pst900', 4),
    }


@pytest.fixture(scope='module')
def rig(make_rig: Callable[..., Any], weights: dict[str, str]) -> Any:
    rig = make_rig(
        weights=weights['nine'], thermal__scaling='minmax', thermal__smoothing=0.0, **FIXED
    )
    rig.listen_to_images('semantic/labels')
    rig.listen(CLASSES, SemanticClasses, qos.latched())
    rig.start()
    return rig


class Request:
    """A request that is under way."""

    def __init__(self, rig: Any, weights: str) -> None:
        self._rig = rig
        self._client = rig.tester.create_client(SetWeights, '/mafs_fusion/set_weights')
        rig.wait(self._client.service_is_ready, 'service set_weights')
        self._future = self._client.call_async(SetWeights.Request(weights=weights))

    def answer(self, meanwhile: Callable[[], object] | None = None) -> Any:
        self._rig.wait(
            self._future.done, 'answer', timeout_s=60.0, meanwhile=meanwhile, every_s=0.2
        )
        self._rig.tester.destroy_client(self._client)
        return self._future.result()


def in_use(rig: Any) -> str:
    return str(rig.good_pair().weights_id)


@pytest.mark.parametrize(
    ('wrong', 'text'),
    [
        ('', 'expected path of a safetensors file'),
        ('x' * 5000, 'expected path of a safetensors file'),
        ('/nowhere/weights.safetensors', 'no such file'),
        ('folder', 'no such file'),
        ('truncated', 'truncated.safetensors'),
        ('damaged', 'damaged.safetensors'),
        ('pickle', 'pickle.safetensors'),
        ('pipe', 'pipe.safetensors'),
    ],
)
def test_refused_weights_change_nothing(
    rig: Any, weights: dict[str, str], tmp_path: Path, wrong: str, text: str
) -> None:
    good = Path(weights['five']).read_bytes()
    (tmp_path / 'folder').mkdir()
    (tmp_path / 'truncated.safetensors').write_bytes(good[: len(good) // 2])
    (tmp_path / 'damaged.safetensors').write_bytes(good[:-2000] + bytes(2000))
    torch.save({'a': 1}, tmp_path / 'pickle.safetensors')
    os.mkfifo(tmp_path / 'pipe.safetensors')
    near = {p.name.split('.')[0]: str(p) for p in tmp_path.iterdir()}
    before = in_use(rig)
    tables = len(rig.messages[CLASSES])
    response = Request(rig, near.get(wrong, wrong)).answer()
    assert not response.success
    assert text in response.message
    assert '\n' not in response.message
    assert 'unexpected' not in response.message
    assert in_use(rig) == before
    assert len(rig.messages[CLASSES]) == tables
    assert rig.node.get_parameter('weights').value == weights['nine']


def test_weights_are_exchanged_between_two_pairs(
    rig: Any, weights: dict[str, str], samples: tuple[np.ndarray, np.ndarray]
) -> None:
    before = in_use(rig)
    table = rig.wait(lambda: rig.last(CLASSES), 'class table')
    assert table.dataset == 'mfnet'
    statuses = len(rig.messages['/mafs_fusion/status'])
    response = Request(rig, weights['five']).answer(rig.send_pair)
    assert response.success, response.message
    assert response.weights_id not in ('', before)
    assert response.message == f'weights {response.weights_id} in use'
    meanwhile = {s.weights_id for s in rig.messages['/mafs_fusion/status'][statuses:]}
    assert before in meanwhile, 'images went on while they were loaded'
    assert meanwhile <= {before, response.weights_id}
    table = rig.wait(lambda: len(rig.messages[CLASSES]) > 1 and rig.last(CLASSES), 'new table')
    assert table.dataset == 'pst900'
    assert [c.name for c in table.classes] == [c.name for c in ClassTable.load('pst900').classes]
    status = rig.good_pair()
    assert status.weights_id == response.weights_id
    labels: Image = rig.wait(
        lambda: rig.at('/mafs_fusion/semantic/labels', status.header.stamp), 'labels'
    )
    reference = Predictor.create(
        weights['five'], **FIXED, thermal_scaler=ThermalScaler(method='minmax', smoothing=0.0)
    )
    bgr, counts = samples
    expected = reference.predict(np.ascontiguousarray(bgr[:, :, ::-1]), counts)
    assert np.array_equal(
        np.frombuffer(labels.data, np.uint8).reshape(labels.height, labels.width), expected.labels
    )


def test_exchanged_weights_stay(rig: Any, weights: dict[str, str]) -> None:
    now = in_use(rig)
    assert rig.node.get_parameter('weights').value == weights['five']
    refused = rig.set_parameter('weights', weights['nine'])
    assert not refused.successful, 'the parameter itself stays locked'
    for label in ('deactivate', 'cleanup', 'configure', 'activate'):
        assert rig.transition(label)
    assert in_use(rig) == now


def test_cleanup_while_weights_load(
    rig: Any, weights: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    inference = rig.node._inference
    begun, go_on, made = threading.Event(), threading.Event(), []
    load = inference.load

    def slow(name: str) -> Predictor:
        begun.set()
        assert go_on.wait(30.0)
        made.append(load(name))
        return made[0]

    monkeypatch.setattr(inference, 'load', slow)
    request = Request(rig, weights['nine'])
    assert begun.wait(15.0)
    assert rig.transition('deactivate')
    assert rig.transition('cleanup')
    go_on.set()
    response = request.answer()
    assert not response.success
    assert response.message == 'the node has been cleaned up meanwhile'
    with pytest.raises(Exception, match='closed'):
        _ = made[0].engine
    assert rig.node.get_parameter('weights').value == weights['five']
    rig.start()
    assert in_use(rig)
    rig.close()


def test_weights_with_another_number_of_classes_are_refused(
    make_rig: Callable[..., Any], weights: dict[str, str]
) -> None:
    rig = make_rig(weights=weights['nine'], classes__table='mfnet', **FIXED)
    rig.listen_to_images('semantic/labels')
    unconfigured = Request(rig, weights['five']).answer()
    assert not unconfigured.success
    assert unconfigured.message == 'the node is not configured: set the parameter weights'
    rig.start()
    before = in_use(rig)
    response = Request(rig, weights['five']).answer()
    assert not response.success
    assert 'classes' in response.message
    assert in_use(rig) == before
    classical = Request(rig, 'classical').answer()
    assert classical.success
    assert classical.message == f'weights {classical.weights_id} in use'
    assert rig.good_pair().backend == 'opencv'
    rig.close()
