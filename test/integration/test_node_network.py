"""
The node with a real network behind it.

The weights are random, so that the results mean nothing: what counts is that the node publishes
exactly what the predictor computes, and says what computed it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip('torch')
pytest.importorskip('rclpy')
pytest.importorskip('mafs_ros.msg')

from mafs_model.checkpoint import build_metadata, save_checkpoint
from mafs_model.classes import ClassTable
from mafs_model.images.thermal import ThermalScaler
from mafs_model.network.config import create_config
from mafs_model.network.mafs import MAFS
from mafs_model.predictor import Predictor
from mafs_ros.msg import FusionStatus, SemanticClasses
from rclpy.qos import QoSDurabilityPolicy, QoSProfile
import torch

pytestmark = pytest.mark.ros
IMAGES = ('fused/image', 'semantic/labels', 'semantic/confidence', 'semantic/overlay')


@pytest.fixture(scope='module')
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(3)
    model = MAFS(create_config('mafs_t', num_classes=9)).eval()
    for name, parameter in model.named_parameters():
        if 'classify' in name:  # untouched ones give nearly equal logits
            torch.nn.init.normal_(parameter, std=0.5)
    path = tmp_path_factory.mktemp('weights') / 'random.safetensors'
    save_checkpoint(
        path, model.state_dict(), build_metadata(model.config.to_dict(), ClassTable.load('mfnet'))
    )
    return path


@pytest.fixture(scope='module')
def rig(make_rig: Callable[..., Any], weights: Path) -> Any:
    rig = make_rig(
        weights=str(weights),
        device='cpu',
        backend='torch',
        threads=1,
        thermal__scaling='minmax',
        thermal__smoothing=0.0,
    )
    rig.listen_to_images(*IMAGES)
    rig.start()
    return rig


def array_of(message: Any) -> np.ndarray:
    shape = (
        (message.height, message.width, 3)
        if message.encoding == 'rgb8'
        else (message.height, message.width)
    )
    return np.frombuffer(message.data, np.uint8).reshape(shape)


def test_published_is_exactly_what_the_predictor_computes(
    rig: Any, weights: Path, samples: Any
) -> None:
    stamp = rig.good_pair().header.stamp
    with Predictor.create(
        weights,
        device='cpu',
        backend='torch',
        threads=1,
        thermal_scaler=ThermalScaler('minmax', smoothing=0.0),
    ) as predictor:
        expected = predictor.predict(np.ascontiguousarray(samples[0][..., ::-1]), samples[1])
    for topic, wanted in (
        ('fused/image', expected.fused),
        ('semantic/labels', expected.labels),
        ('semantic/confidence', expected.confidence),
    ):
        name = f'/mafs_fusion/{topic}'
        message = rig.wait(lambda name=name: rig.at(name, stamp), name)
        np.testing.assert_array_equal(array_of(message), wanted)
    assert len(np.unique(expected.labels)) > 1


def test_status_says_what_computed(rig: Any) -> None:
    status = rig.good_pair()
    assert status.mode == FusionStatus.MODE_FUSION
    assert (status.device, status.backend) == ('cpu', 'torch')
    assert status.weights_id
    rig.wait(
        lambda: rig.health()[0] == 0,
        'state OK without a notice',
        meanwhile=rig.send_pair,
        every_s=0.2,
    )


def test_overlay_shows_the_colours_of_the_labels(rig: Any) -> None:
    assert rig.set_parameter('overlay.opacity', 1.0).successful

    def fully_covered() -> bool:
        stamp = rig.good_pair().header.stamp
        overlay, labels = (
            array_of(rig.wait(lambda name=name: rig.at(f'/mafs_fusion/{name}', stamp), name))
            for name in ('semantic/overlay', 'semantic/labels')
        )
        colours = ClassTable.load('mfnet').palette[labels]
        shown = labels > 0  # unlabelled pixels keep the fused image
        return bool(shown.any()) and bool((overlay[shown] == colours[shown]).all())

    rig.wait(fully_covered, 'overlay in plain class colours')
    assert rig.set_parameter('overlay.opacity', 0.5).successful


def test_kept_and_merged_classes_are_the_same_in_every_output(
    rig: Any, make_rig: Callable[..., Any], weights: Path, samples: Any
) -> None:
    rig.close()  # two nodes of one name would hear the same images
    rig = make_rig(
        weights=str(weights),
        device='cpu',
        backend='torch',
        threads=1,
        thermal__scaling='minmax',
        thermal__smoothing=0.0,
        overlay__opacity=1.0,
        classes__merge=['movers=car+bike+bump'],
        classes__keep=['movers', 'curve'],
    )
    rig.listen_to_images(*IMAGES)
    latched = QoSProfile(depth=1, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
    rig.listen('/mafs_fusion/semantic/classes', SemanticClasses, latched)
    rig.start()
    stamp = rig.good_pair().header.stamp
    labels, overlay, fused = (
        array_of(rig.wait(lambda name=name: rig.at(f'/mafs_fusion/{name}', stamp), name))
        for name in ('semantic/labels', 'semantic/overlay', 'fused/image')
    )
    with Predictor.create(
        weights,
        device='cpu',
        backend='torch',
        threads=1,
        thermal_scaler=ThermalScaler('minmax', smoothing=0.0),
    ) as predictor:
        own = predictor.predict(np.ascontiguousarray(samples[0][..., ::-1]), samples[1]).labels
    expected = np.zeros_like(own)
    expected[np.isin(own, (1, 3, 8))] = 1
    expected[own == 4] = 2
    assert (expected > 0).any()
    np.testing.assert_array_equal(labels, expected)
    message = rig.wait(lambda: rig.last('/mafs_fusion/semantic/classes'), 'classes')
    assert [(c.id, c.name) for c in message.classes] == [
        (0, 'unlabelled'), (1, 'movers'), (2, 'curve'),
    ]  # fmt: skip
    colors = np.array(
        [[round(255 * v) for v in (c.color.r, c.color.g, c.color.b)] for c in message.classes],
        np.uint8,
    )
    assert colors.tolist() == [[0, 0, 0], [64, 0, 128], [0, 0, 192]]
    shown = expected > 0
    np.testing.assert_array_equal(overlay[shown], colors[expected[shown]])
    np.testing.assert_array_equal(overlay[~shown], fused[~shown])
    rig.close()
