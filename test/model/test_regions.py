"""Hysteresis of labels: on the CPU against SciPy, on a device against the CPU, in every engine."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from mafs_model.checkpoint import load_checkpoint, save_checkpoint
from mafs_model.decision import Decision
from mafs_model.errors import CheckpointError
from mafs_model.prediction import Outputs
from mafs_model.runtime.device_images import RegionFilter
from mafs_model.runtime.factory import create_engine
from mafs_model.runtime.regions import reject_regions
import numpy as np
import pytest

ndimage = pytest.importorskip('scipy.ndimage')
torch = pytest.importorskip('torch')

PEAKS = ((1, 0.8), (3, 0.6))


def draw(seed: int, size: tuple[int, int] = (60, 83)) -> tuple[Any, Any]:
    """Return labels of five classes in blobs, and a confidence that varies smoothly."""
    random = np.random.default_rng(seed)
    fields = ndimage.gaussian_filter(random.normal(size=(5, *size)), (0, 3, 3))
    sure = ndimage.gaussian_filter(random.normal(size=size), 4)
    sure = (sure - sure.min()) / np.ptp(sure)
    return fields.argmax(0).astype(np.uint8), np.round(90 + 150 * sure).astype(np.uint8)


def by_scipy(labels: Any, confidence: Any) -> tuple[Any, Any]:
    """Return the same by labelled regions and their maxima."""
    kept, sure = labels.copy(), confidence.copy()
    for class_id, peak in PEAKS:
        regions, count = ndimage.label(labels == class_id, np.ones((3, 3)))
        maxima = ndimage.maximum(confidence, regions, range(1, count + 1))
        for number, maximum in enumerate(np.atleast_1d(maxima), 1):
            if maximum < round(255 * peak):
                kept[regions == number] = 0
                sure[regions == number] = 255 - confidence[regions == number]
    return kept, sure


@pytest.mark.parametrize('seed', range(8))
def test_regions_without_a_peak_are_taken_away(seed: int) -> None:
    labels, confidence = draw(seed)
    labels.flags.writeable = confidence.flags.writeable = False  # as buffers of a runtime
    kept, sure = reject_regions(labels, confidence, PEAKS)
    wanted = by_scipy(labels, confidence)
    assert np.array_equal(kept, wanted[0])
    assert np.array_equal(sure, wanted[1])
    assert kept.dtype == sure.dtype == np.uint8
    others = ~np.isin(labels, (1, 3))
    assert np.array_equal(kept[others], labels[others])
    assert 0 < (kept != labels).mean() < 0.5, 'the case shows nothing'


@pytest.mark.parametrize('seed', range(8))
def test_a_device_gives_the_same(seed: int) -> None:
    labels, confidence = draw(seed)
    wanted = reject_regions(labels, confidence, PEAKS)
    found = RegionFilter(PEAKS, 'cpu')(*(torch.from_numpy(x)[None] for x in (labels, confidence)))
    for one, other in zip(wanted, found, strict=True):
        assert np.array_equal(one, other[0].numpy())


@pytest.mark.parametrize('fill', [0, 1, 3])
def test_whole_images_of_one_class(fill: int) -> None:
    labels = np.full((40, 50), fill, np.uint8)
    low, high = np.full((40, 50), 100, np.uint8), np.full((40, 50), 100, np.uint8)
    high[0, 0] = 255
    kept, sure = reject_regions(labels, low, PEAKS)
    assert (kept == 0).all()
    assert (sure == (155 if fill else 100)).all()
    assert np.array_equal(reject_regions(labels, high, PEAKS)[0], labels)


def test_corners_connect_and_equal_is_enough() -> None:
    labels = np.zeros((6, 6), np.uint8)
    labels[0, 0] = labels[1, 1] = 1
    labels[4, 4] = 1
    confidence = np.full((6, 6), 200, np.uint8)
    confidence[0, 0] = round(0.8 * 255)
    kept, _ = reject_regions(labels, confidence, ((1, 0.8),))
    assert kept[1, 1] == 1
    assert kept[4, 4] == 0


@pytest.fixture(scope='module')
def with_peaks(small_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the small weights with peaks that some of their regions do not reach."""
    checkpoint = load_checkpoint(small_weights)
    path = tmp_path_factory.mktemp('peaks') / 'peaks.safetensors'
    peaks = dict.fromkeys(checkpoint.classes.names[1:], 0.55)
    save_checkpoint(path, checkpoint.state_dict, {**checkpoint.metadata, 'peaks': peaks})
    return path


@pytest.mark.parametrize('backend', ['torch', 'onnxruntime', 'openvino'])
@pytest.mark.parametrize('size', [(64, 96), (97, 131)])
def test_every_engine_does_it(
    small_weights: Path, with_peaks: Path, backend: str, size: tuple[int, int]
) -> None:
    if backend != 'torch':
        pytest.importorskip(backend)
    random = np.random.default_rng(5)
    visible = random.integers(0, 256, (*size, 3), dtype=np.uint8)
    thermal = random.integers(0, 256, size, dtype=np.uint8)
    results = []
    for path in (small_weights, with_peaks):
        engine = create_engine(path, backend=backend, device='cpu', threads=1)
        results.append(engine.infer(visible, thermal, Outputs()))
        engine.close()
    plain, kept = results
    peaks = Decision.from_metadata(load_checkpoint(with_peaks).metadata).peaks
    assert len(peaks) == len(load_checkpoint(with_peaks).classes) - 1
    labels, confidence = reject_regions(plain.labels[::2, ::2], plain.confidence[::2, ::2], peaks)
    assert (labels != plain.labels[::2, ::2]).any(), 'the case shows nothing'
    assert np.array_equal(kept.labels[::2, ::2], labels)
    assert np.array_equal(kept.confidence[::2, ::2], confidence)
    assert np.array_equal(kept.fused, plain.fused)
    # Labels never stand without their peaks, whatever else is wanted.
    engine = create_engine(with_peaks, backend=backend, device='cpu', threads=1)
    alone = engine.infer(visible, thermal, Outputs(fused=False, confidence=False))
    engine.close()
    assert np.array_equal(alone.labels, kept.labels)


def test_peaks_count_for_the_identity_of_weights(small_weights: Path, with_peaks: Path) -> None:
    plain, other = load_checkpoint(small_weights), load_checkpoint(with_peaks)
    assert plain.weights_id != other.weights_id
    assert all((plain.state_dict[k] == v).all() for k, v in other.state_dict.items())


@pytest.mark.parametrize(
    ('peaks', 'message'),
    [
        ([0.5], r"metadata 'peaks' is \[0.5\], expected a mapping"),
        ({'ghost': 0.5}, "metadata 'peaks' names 'ghost', expected classes of"),
        ({'background': 0.5}, "metadata 'peaks' names 'background'"),
        ({'backpack': 1.0}, "metadata 'peaks' of backpack is 1.0, expected a number between 0"),
        ({'backpack': True}, "metadata 'peaks' of backpack is True"),
        ({'backpack': float('nan')}, "metadata 'peaks' of backpack is nan"),
        ({'backpack': '0.5'}, "metadata 'peaks' of backpack is '0.5'"),
    ],
)
def test_peaks_that_cannot_be(
    small_weights: Path, tmp_path: Path, peaks: Any, message: str
) -> None:
    checkpoint = load_checkpoint(small_weights)
    with pytest.raises(CheckpointError, match=message):
        save_checkpoint(
            tmp_path / 'w.safetensors',
            checkpoint.state_dict,
            {**checkpoint.metadata, 'peaks': peaks},
        )


def test_a_decision_is_a_value() -> None:
    assert dataclasses.replace(Decision(), temperature=1.5).identity == 'temperature|1.5'
    assert Decision().identity == ''
    assert Decision(peaks=((2, 0.5),)).identity == 'peak|2|0.5'
