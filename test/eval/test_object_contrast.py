"""Contrast of objects against their ring, by hand and against direct loops."""

from __future__ import annotations

from mafs_model.errors import ImageError
from mafs_training.metrics.contrast import MIN_OBJECT_PX, object_contrasts, RING_PX
from mafs_training.metrics.nearness import within
import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

PERSON = 2


def scene(height=80, width=100):
    """Return empty labels and a grey image of 50."""
    return np.zeros((height, width), np.uint8), np.full((height, width), 50, np.uint8)


def test_one_object_by_hand():
    labels, image = scene()
    labels[30:50, 40:48] = PERSON
    image[30:50, 40:48] = 150
    dark = np.full_like(image, 7)
    (one,) = object_contrasts(labels, {'fused': image, 'dark': dark}, PERSON)
    assert (one.top, one.left, one.pixels) == (30, 40, 160)
    assert one.difference == {'fused': 100.0, 'dark': 0.0}
    assert one.michelson['fused'] == pytest.approx(100 / 200)
    # Rectangle grown by 15: sides, and at each corner the points of a quarter disc.
    corner = sum(
        1 for y in range(1, RING_PX + 1) for x in range(1, RING_PX + 1) if x * x + y * y <= 225
    )
    assert one.ring_pixels == 2 * RING_PX * (20 + 8) + 4 * corner


@pytest.mark.parametrize('radius', [0.5, 1, 1.5, 6, 7.3, 15])
def test_nearness_is_the_exact_distance(radius):
    mask = np.random.default_rng(3).random((60, 90)) > 0.997
    assert mask.any()
    expected = distance_transform_edt(~mask) <= radius
    np.testing.assert_array_equal(within(mask, radius), expected)
    assert not within(np.zeros_like(mask), radius).any()


def test_ring_excludes_other_persons_and_unlabelled_pixels():
    labels, image = scene()
    labels[30:50, 40:48] = PERSON
    labels[30:50, 52:60] = PERSON
    image[labels == PERSON] = 200
    # What is to be ignored would spoil the ring.
    labels[10:29] = 255
    image[10:29] = 255
    found = object_contrasts(labels, {'fused': image}, PERSON)
    assert [one.left for one in found] == [40, 52]
    assert all(one.difference['fused'] == 150.0 for one in found)


def test_diagonal_neighbours_are_one_object_small_ones_none():
    labels, image = scene()
    labels[20:26, 20:26] = PERSON
    labels[26:32, 26:32] = PERSON
    labels[60:65, 60:65] = PERSON  # 25 pixels
    assert MIN_OBJECT_PX == 30
    (one,) = object_contrasts(labels, {'fused': image}, PERSON)
    assert one.pixels == 72


def test_object_without_surroundings_is_left_out():
    labels, image = scene()
    labels[:] = PERSON
    labels[0, :29] = 0
    assert object_contrasts(labels, {'fused': image}, PERSON) == []
    labels[0, :30] = 0
    assert len(object_contrasts(labels, {'fused': image}, PERSON)) == 1


def test_black_surroundings_and_object():
    labels, image = scene()
    labels[30:50, 40:48] = PERSON
    (one,) = object_contrasts(labels, {'fused': np.zeros_like(image)}, PERSON)
    assert one.difference['fused'] == 0.0
    assert np.isnan(one.michelson['fused'])


def test_agrees_with_direct_loops():
    rng = np.random.default_rng(4)
    labels = np.kron(rng.integers(0, 4, (6, 7)), np.ones((9, 9), int)).astype(np.uint8)
    labels[labels == 3] = 255
    image = rng.integers(0, 256, labels.shape, dtype=np.uint8)
    found = object_contrasts(labels, {'x': image}, PERSON, ring_px=5)
    assert len(found) >= 3
    for one in found:
        members = flood(labels == PERSON, one)
        assert len(members) == one.pixels
        ring = [
            (y, x)
            for y in range(labels.shape[0])
            for x in range(labels.shape[1])
            if labels[y, x] not in (PERSON, 255)
            and min((y - a) ** 2 + (x - b) ** 2 for a, b in members) <= 25
        ]
        expected = np.mean([image[p] for p in members]) - np.mean([image[p] for p in ring])
        assert one.ring_pixels == len(ring)
        assert one.difference['x'] == pytest.approx(expected, abs=1e-9)


def flood(mask, one):
    """Return the pixels that hang together with an object's first one."""
    row = mask[one.top]
    start = (one.top, one.left + int(np.argmax(row[one.left :])))
    found, waiting = set(), [start]
    while waiting:
        y, x = waiting.pop()
        inside = 0 <= y < mask.shape[0] and 0 <= x < mask.shape[1]
        if (y, x) in found or not inside or not mask[y, x]:
            continue
        found.add((y, x))
        waiting += [(y + a, x + b) for a in (-1, 0, 1) for b in (-1, 0, 1)]
    return found


def test_sizes_must_agree():
    labels, image = scene()
    with pytest.raises(ImageError, match=r'fused: expected uint8 \[80, 100\]'):
        object_contrasts(labels, {'fused': image[1:]}, PERSON)
    with pytest.raises(ImageError, match='got float32'):
        object_contrasts(labels, {'fused': image.astype(np.float32)}, PERSON)
