"""Objects of label images against SciPy, and their numbers over several pairs."""

from __future__ import annotations

from dataclasses import replace

from mafs_model.classes import ClassTable
from mafs_model.detections import (
    Detection,
    DetectionCounts,
    find_detections,
    MAX_DETECTIONS,
    Temperature,
    Tracker,
)
from mafs_model.images.registration import Registration
from mafs_model.images.temperature import UNITS
from mafs_model.prediction import Outputs, Prediction
from mafs_model.predictor import Predictor
import numpy as np
import pytest
from scipy import ndimage

MFNET = ClassTable.load('mfnet')
WANTED = (1, 2, 3)
_CORNERS = np.ones((3, 3), int)


def blobs(seed: int, size: tuple[int, int] = (120, 160)) -> np.ndarray:
    """Return labels of smooth random regions, uint8 [H,W]."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(9, *size)), (0, 4, 4))
    return noise.argmax(0).astype(np.uint8)


@pytest.mark.parametrize('seed', range(4))
def test_objects_are_those_of_scipy(seed: int) -> None:
    labels = blobs(seed)
    random = np.random.default_rng(seed + 100)
    confidence = random.integers(0, 256, labels.shape, np.uint8)
    counts = random.integers(27_000, 32_000, labels.shape, np.uint16)
    outside = (random.random(labels.shape) < 0.3).astype(np.uint8) * 255
    found = find_detections(
        labels, MFNET.names, WANTED, confidence,
        counts=counts, unit=UNITS['centikelvin'], outside=outside, min_area=20,
    )  # fmt: skip
    expected = {}
    for class_id in WANTED:
        regions, count = ndimage.label(labels == class_id, _CORNERS)
        for number, (rows, columns) in enumerate(ndimage.find_objects(regions, count), 1):
            mask = regions == number
            if mask.sum() < 20:
                continue
            celsius = 0.01 * counts[mask & (outside == 0)] - 273.15
            key = (class_id, columns.start, rows.start, columns.stop, rows.stop, int(mask.sum()))
            expected[key] = [
                confidence[mask].mean() / 255, celsius.min(), celsius.mean(), celsius.max(),
            ]  # fmt: skip
    got = {
        (d.class_id, d.left, d.top, d.left + d.width, d.top + d.height, d.area): [
            d.confidence, *(d.temperature or ()),
        ]
        for d in found
    }  # fmt: skip
    assert len(expected) > 10
    assert got.keys() == expected.keys()
    for key, values in expected.items():
        np.testing.assert_allclose(got[key], values, atol=1e-6)
    assert all(d.name == MFNET.names[d.class_id] for d in found)
    assert [d.area for d in found] == sorted((d.area for d in found), reverse=True)


def test_noise_gives_a_bounded_number_and_the_largest() -> None:
    labels = np.random.default_rng(0).integers(0, 9, (480, 640), np.uint8)
    sure = np.full(labels.shape, 255, np.uint8)
    found = find_detections(labels, MFNET.names, WANTED, sure, min_area=1)
    sizes = np.concatenate([
        np.bincount(ndimage.label(labels == c, _CORNERS)[0].ravel())[1:] for c in WANTED
    ])  # fmt: skip
    assert len(sizes) > MAX_DETECTIONS
    assert [d.area for d in found] == sorted(sizes.tolist(), reverse=True)[:MAX_DETECTIONS]


@pytest.mark.parametrize(('counts', 'outside'), [(np.nan, 0), (300.0, 255)])
def test_no_temperature_where_nothing_is_measured(counts: float, outside: int) -> None:
    labels = np.full((20, 20), 2, np.uint8)
    (found,) = find_detections(
        labels, MFNET.names, WANTED, labels,
        counts=np.full(labels.shape, counts, np.float32), unit=UNITS['kelvin'],
        outside=np.full(labels.shape, outside, np.uint8),
    )  # fmt: skip
    assert found.temperature is None


def at(left: int, top: int, class_id: int = 2) -> Detection:
    return Detection(class_id, MFNET.names[class_id], 1.0, left, top, 20, 40, 800)


def test_tracks_follow_the_nearest_overlap() -> None:
    track = Tracker()
    first = track([at(0, 0), at(100, 0), at(100, 0, class_id=1)])
    assert [d.track for d in first] == [1, 2, 3]
    # They move, in another order, and one of another class lies where a person was.
    assert [d.track for d in track([at(104, 2), at(3, 1), at(96, 0, class_id=1)])] == [2, 1, 3]
    assert [d.track for d in track([at(60, 0)])] == [4]
    # Hidden for one pair; the better overlap gets the old number.
    assert [d.track for d in track([at(110, 2), at(105, 2)])] == [5, 2]


def test_a_track_ends_and_memory_is_bounded() -> None:
    track = Tracker()
    (first,) = track([at(0, 0)])
    for _ in range(5):
        assert track([]) == ()
    assert track([at(0, 0)])[0].track == first.track
    for _ in range(6):
        track([])
    assert track([at(0, 0)])[0].track == first.track + 1
    for place in range(50):
        crowd = [at(1000 * place + 30 * n, 0) for n in range(MAX_DETECTIONS)]
        assert len(track(crowd)) == MAX_DETECTIONS
        assert len(track._known) <= 2 * MAX_DETECTIONS


class DrawnEngine:
    """Answers with labels drawn beforehand."""

    backend, device, weights_id, is_classical, notices = 'test', 'cpu', 'test', False, ()
    classes = MFNET

    def __init__(self, labels: np.ndarray) -> None:
        self.labels = labels

    def infer(self, visible: object, thermal: object, outputs: Outputs) -> Prediction:
        assert outputs.labels
        assert outputs.confidence or outputs.detections is None
        return Prediction(labels=self.labels, confidence=np.full_like(self.labels, 204))

    def why_not(self, mode: str) -> str:
        return ''

    def close(self) -> None:
        pass


def test_predictor_gives_objects_alone_and_follows_them() -> None:
    labels = np.zeros((96, 128), np.uint8)
    labels[10:50, 20:40] = 2
    labels[60:80, 60:110] = 1
    engine = DrawnEngine(labels)
    predictor = Predictor(engine)
    random = np.random.default_rng(1)
    visible = random.integers(0, 256, (96, 128, 3), np.uint8)
    thermal = random.integers(29_000, 29_500, (48, 64), np.uint16)
    thermal[5:25, 10:20] = 31_015
    wanted = Outputs(False, False, False, detections=64)
    result = predictor.predict(visible, thermal, wanted)
    assert result.labels is None
    assert result.confidence is None
    assert result.detections is not None
    car, person = result.detections
    assert (car.name, car.left, car.top, car.width, car.height) == ('car', 60, 60, 50, 20)
    assert (person.name, person.area, person.confidence) == ('person', 800, pytest.approx(0.8))
    assert person.temperature is not None
    assert person.temperature.maximum == pytest.approx(37.0, abs=1e-6)
    assert person.temperature.mean == pytest.approx(37.0, abs=1.5)
    engine.labels = np.roll(labels, 3, 1)
    moved = predictor.predict(visible, thermal, wanted).detections
    assert moved is not None
    assert [(d.name, d.track) for d in moved] == [('car', car.track), ('person', person.track)]
    # 8 bits are grey levels.
    for other in (
        (thermal >> 8).astype(np.uint8) * random.integers(0, 2, (48, 64), np.uint8),
        None,
    ):
        seen = predictor.predict(visible, other, wanted).detections
        assert seen is not None
        assert all(d.temperature is None for d in seen)
    large = predictor.predict(visible, thermal, replace(wanted, detections=900)).detections
    assert large is not None
    assert [d.name for d in large] == ['car']
    assert predictor.predict(visible, thermal, Outputs(False, True, False)).detections is None
    predictor.regroup(merge={'movers': ['car', 'bike']}, keep=['movers', 'curve'])
    engine.labels = labels
    grouped = predictor.predict(visible, thermal, wanted).detections
    assert grouped is not None
    assert [(d.name, d.class_id, d.track) for d in grouped] == [('movers', 1, 1)]


def test_counts_are_those_of_all_pairs_and_cost_no_memory() -> None:
    track, counts, every = Tracker(), DetectionCounts(), []
    random = np.random.default_rng(1)
    for _ in range(40):
        found = track(
            [
                Detection(
                    class_id=int(kind), name='abc'[kind], confidence=float(random.random()),
                    left=int(random.integers(0, 60)), top=0, width=20, height=20, area=300,
                    temperature=Temperature(1.0, 30.0 + kind, 40.0) if kind else None,
                )
                for kind in random.integers(0, 3, 4)
            ]
        )  # fmt: skip
        counts.add_pair(found)
        every += found
    summary = counts.summary()
    for name, figures in summary.items():
        own = [one for one in every if one.name == name]
        assert figures['detections'] == len(own)
        assert figures['per_pair'] == round(len(own) / 40, 2)
        assert figures['tracks'] == len({one.track for one in own})
        assert figures['confidence'] == pytest.approx(
            np.mean([one.confidence for one in own]), abs=6e-4
        )
        assert figures['temperature'] == {'a': None, 'b': 31.0, 'c': 32.0}[name]
    assert list(summary) == sorted(summary, key=lambda name: -summary[name]['detections'])
    alone = DetectionCounts(followed=False)
    alone.add_pair(every[:4])
    assert all('tracks' not in figures for figures in alone.summary().values())


@pytest.mark.parametrize('shift', [0.0, 40.0])
def test_temperature_of_every_pixel_where_the_camera_looks(shift: float) -> None:
    celsius = np.random.default_rng(6).uniform(5.0, 35.0, (96, 128))
    counts = np.round((celsius + 273.15) / 0.01).astype(np.uint16)
    visible = np.random.default_rng(7).integers(0, 256, (96, 128, 3), np.uint8)
    registration = Registration(np.array([[1, 0, shift], [0, 1, 0], [0, 0, 1]]))
    predictor = Predictor.create('classical', registration=registration)
    wanted = Outputs(fused=False, labels=False, confidence=False, temperature=True)
    assert wanted.any
    result = predictor.predict(visible, counts, wanted)
    assert result.fused is result.labels is result.detections is None
    found = result.temperature
    assert found is not None
    assert found.dtype == np.float32
    seen = 128 - int(shift)
    np.testing.assert_allclose(found[:, int(shift) :], celsius[:, :seen], atol=0.006)
    assert np.isnan(found[:, : int(shift)]).all()
    floats = celsius.astype(np.float32)
    floats[8, 9] = np.nan
    found = predictor.predict(visible, floats, wanted).temperature
    assert found is not None
    assert np.isnan(found[8, 9 + int(shift)])
    np.testing.assert_allclose(found[20:, int(shift) :], floats[20:, :seen], rtol=1e-5)
    for grey in ((counts >> 8).astype(np.uint8), None):
        assert predictor.predict(visible, grey, wanted).temperature is None
    assert predictor.predict(visible, counts, Outputs()).temperature is None
