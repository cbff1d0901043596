"""The operations of the GPU path, on CPU tensors, against their NumPy and OpenCV counterparts."""

from __future__ import annotations

from dataclasses import fields, replace

import cv2
from mafs_model.checkpoint import load_checkpoint
from mafs_model.classes import ClassTable
from mafs_model.decision import Decision
from mafs_model.errors import DeviceError, OutOfMemoryError
from mafs_model.images.overlay import OverlayStyle, paint
from mafs_model.images.registration import Registration
from mafs_model.predictor import Outputs, Predictor
from mafs_model.runtime.device_images import pad_to, Painter, repeat_to, Warp
from mafs_model.runtime.device_path import device_errors, DevicePath
from mafs_model.runtime.torch_engine import TorchEngine
import numpy as np
import pytest
import torch

TURNED = [[1.02, 0.05, -9.0], [-0.04, 0.97, 6.0], [1e-4, 5e-5, 1.0]]
STYLE = OverlayStyle(0.4)
EVERYTHING = Outputs(overlay=STYLE)


def image(shape, seed=0):
    """Return a smooth random image."""
    generator = np.random.default_rng(seed)
    return cv2.GaussianBlur(generator.integers(0, 256, shape, dtype=np.uint8), (0, 0), 2.0)


def on_device(array):
    return torch.from_numpy(array[None])


def difference(result, expected):
    return np.abs(np.asarray(result).astype(int) - expected).max()


@pytest.mark.parametrize('with_visible', [True, False])
@pytest.mark.parametrize('homography', [TURNED, None])
def test_warp_is_that_of_opencv(homography, with_visible):
    thermal, visible = image((60, 80)), image((97, 131, 3), 1)
    scaled = None if homography is None else np.diag([131 / 80, 97 / 60, 1.0]) @ homography
    registration = Registration(scaled)
    source = registration.unregistered(thermal, (97, 131))
    given = visible if with_visible else None
    warped = Warp(source.maps, 'cpu')(
        on_device(thermal), on_device(visible) if with_visible else None
    )
    expected = source.registered(given)
    assert (source.maps.outside is not None) == (homography is not None)
    assert warped.shape == (1, 97, 131)
    assert difference(warped[0], expected) <= 1
    if homography is None:
        assert difference(warped[0], cv2.resize(thermal, (131, 97))) <= 4  # finer steps there


def test_points_are_what_opencv_looks_up():
    maps = Registration(TURNED).unregistered(image((60, 80)), (60, 80)).maps
    x, y = cv2.convertMaps(maps.coordinates, maps.fractions, cv2.CV_32FC1)
    assert np.array_equal(maps.points(), np.stack([x, y], axis=-1))


def test_nothing_to_register_and_shrinking_stay_with_opencv():
    registration = Registration()
    assert registration.unregistered(image((60, 80)), (60, 80)) is None
    assert registration.unregistered(image((60, 80)), (30, 160)) is None
    assert registration.unregistered(image((60, 80)), (60, 81)).size == (60, 81)


@pytest.mark.parametrize('least', [0.0, 0.6])
@pytest.mark.parametrize('opacity', [0.0, 0.3, 1.0])
def test_painting_is_that_of_opencv(opacity, least):
    table = ClassTable.load('mfnet')
    fused = image((40, 50, 3))
    labels = np.random.default_rng(1).integers(0, 12, (40, 50), dtype=np.uint8)
    confidence = np.random.default_rng(2).integers(0, 256, (40, 50), dtype=np.uint8)
    style = OverlayStyle(opacity, min_confidence=least)
    painter = Painter(table, 'cpu')
    painter.set_style(style)
    painted = painter(*(on_device(image) for image in (fused, labels, confidence)))[0]
    expected = paint(fused, labels, table, style, confidence)
    assert difference(painted, expected.astype(int)) <= 1


@pytest.mark.parametrize(
    'name', [item.name for item in fields(OverlayStyle) if item.type == 'float']
)
def test_every_number_of_a_style_counts_on_both_ways(name):
    """A number that only one of both painters knows would be silent on the other one."""
    table, fused = ClassTable.load('mfnet'), image((40, 50, 3))
    labels = np.random.default_rng(1).integers(0, 12, (40, 50), dtype=np.uint8)
    confidence = np.random.default_rng(2).integers(0, 256, (40, 50), dtype=np.uint8)
    plain = paint(fused, labels, table, OverlayStyle(), confidence)
    painter = Painter(table, 'cpu')
    for value in (0.2, 0.8):
        style = OverlayStyle(**{name: value})
        expected = paint(fused, labels, table, style, confidence)
        assert not np.array_equal(expected, plain), f'paint ignores {name}'
        painter.set_style(style)
        painted = painter(*(on_device(image) for image in (fused, labels, confidence)))[0]
        assert difference(painted, expected.astype(int)) <= 1, f'Painter ignores {name}'


def test_repeating_and_padding():
    small = image((5, 7))
    assert np.array_equal(
        repeat_to(on_device(small), (9, 13))[0], np.kron(small, np.ones((2, 2), int))[:9, :13]
    )
    for shape in ((5, 7), (5, 7, 3)):
        padded = pad_to(on_device(image(shape)), (8, 7))[0]
        expected = cv2.copyMakeBorder(image(shape), 0, 3, 0, 0, cv2.BORDER_REPLICATE)
        assert np.array_equal(padded, expected)


@pytest.fixture(scope='module')
def engines(small_weights):
    """Return the engine of the CPU, and one that takes the way of a GPU on CPU tensors."""
    checkpoint = load_checkpoint(small_weights)
    plain, device = TorchEngine(checkpoint, threads=1), TorchEngine(checkpoint, threads=1)
    device._path = DevicePath(lambda mode, size: device._graph(mode), device.classes, 'cpu')
    yield plain, device
    plain.close()
    device.close()


@pytest.mark.parametrize('mode', ['fusion', 'visible_only', 'thermal_only'])
@pytest.mark.parametrize('homography', [TURNED, None])
@pytest.mark.parametrize('size', [(64, 96), (97, 131)])
def test_device_path_gives_what_the_cpu_gives(engines, mode, homography, size):
    visible = None if mode == 'thermal_only' else image((*size, 3))
    thermal = None if mode == 'visible_only' else image((60, 80), 1)
    plain, device = (
        Predictor(e, output_size=size, registration=Registration(homography)) for e in engines
    )
    expected = plain.predict(visible, thermal, EVERYTHING)
    result = device.predict(visible, thermal, EVERYTHING)
    assert difference(result.fused, expected.fused.astype(int)) <= 3
    assert (result.labels == expected.labels).mean() >= 0.995
    assert difference(result.confidence, expected.confidence.astype(int)) <= 12
    for outcome, table in ((expected, plain.classes), (result, device.classes)):
        painted = paint(outcome.fused, outcome.labels, table, STYLE).astype(int)
        assert difference(outcome.overlay, painted) <= 1
    assert result.mode == mode


def test_regions_without_a_peak_are_neither_labelled_nor_painted(small_weights):
    checkpoint = load_checkpoint(small_weights)
    peaks = dict.fromkeys(checkpoint.classes.names[1:], 0.55)
    engine = TorchEngine(
        replace(checkpoint, metadata={**checkpoint.metadata, 'peaks': peaks}), threads=1
    )
    visible, thermal = image((64, 96, 3)), image((64, 96), 1)
    outputs = Outputs(overlay=STYLE)
    expected = engine.infer(visible, thermal, outputs)
    engine._path = DevicePath(
        lambda mode, size: engine._graph(mode),
        engine.classes,
        'cpu',
        peaks=Decision.from_metadata({**checkpoint.metadata, 'peaks': peaks}).peaks,
    )
    found = engine.infer(visible, thermal, outputs)
    engine.close()
    assert np.array_equal(found.labels, expected.labels)
    assert np.array_equal(found.confidence, expected.confidence)
    painted = paint(found.fused, found.labels, engine.classes, STYLE).astype(int)
    assert difference(found.overlay, painted) <= 1


def test_results_belong_to_the_caller_and_only_what_is_wanted_comes_down(engines):
    _, device = engines
    images = image((64, 96, 3)), image((64, 96), 1)
    first = device.infer(*images, EVERYTHING)
    names = ('fused', 'labels', 'confidence', 'overlay')
    kept = [getattr(first, name).copy() for name in names]
    device.infer(255 - images[0], images[1], EVERYTHING)
    for name, before in zip(names, kept, strict=True):
        array = getattr(first, name)
        assert np.array_equal(array, before)
        assert array.flags.writeable
        assert array.flags.c_contiguous
    some = device.infer(*images, Outputs(fused=False, confidence=False, overlay=STYLE))
    assert some.fused is None
    assert some.confidence is None
    assert np.array_equal(some.overlay, first.overlay)
    none = device.infer(*images, Outputs(False, False, False))
    assert none.labels is None


def test_opacity_may_change_between_two_pairs(engines):
    _, device = engines
    images = image((64, 96, 3)), image((64, 96), 1)
    strong, clear = (
        device.infer(*images, Outputs(overlay=OverlayStyle(opacity))) for opacity in (1.0, 0.0)
    )
    assert np.array_equal(clear.overlay, clear.fused)
    assert not np.array_equal(strong.overlay, strong.fused)


def test_overlay_of_another_inference_size_is_painted_at_full_size(engines):
    predictor = Predictor(engines[1], inference_size=(64, 96), registration=Registration(TURNED))
    result = predictor.predict(image((128, 192, 3)), image((60, 80), 1), EVERYTHING)
    assert result.fused.shape == (128, 192, 3)
    painted = paint(result.fused, result.labels, engines[1].classes, STYLE)
    assert np.array_equal(result.overlay, painted)


def test_buffers_are_bounded(engines):
    _, device = engines
    for width in range(32, 72, 4):
        device.infer(image((32, width, 3)), image((32, width)), Outputs())
    assert len(device._path._programs) <= 6


@pytest.mark.parametrize(
    ('error', 'kind', 'message'),
    [
        (RuntimeError('CUDA error: lost\nmore'), DeviceError, "device 'cuda:1': CUDA error: lost"),
        (torch.cuda.OutOfMemoryError('x'), OutOfMemoryError, "device 'cuda:1': out of memory"),
        (RuntimeError('something else'), RuntimeError, 'something else'),
    ],
)
def test_failures_of_a_device(error, kind, message):
    with pytest.raises(kind) as caught, device_errors('cuda:1'):
        raise error
    assert str(caught.value) == message


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device')
@pytest.mark.parametrize('backend', ['torch', 'cuda-graph'])
def test_gpu_registers_and_paints(engines, small_weights, backend):
    images = image((97, 131, 3)), image((60, 80), 1)
    registration = Registration(TURNED)
    expected = Predictor(engines[0], registration=registration).predict(*images)
    with Predictor.create(
        small_weights,
        device='cuda',
        backend=backend,
        precision='fp32',
        registration=registration,
    ) as gpu:
        for opacity in (0.2, 0.4):
            style = OverlayStyle(opacity)
            result = gpu.predict(*images, Outputs(overlay=style))
            painted = paint(result.fused, result.labels, gpu.classes, style).astype(int)
            assert difference(result.overlay, painted) <= 1
    assert difference(result.fused, expected.fused.astype(int)) <= 4
    assert (result.labels == expected.labels).mean() >= 0.99
