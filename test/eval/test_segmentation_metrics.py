"""Segmentation metrics by hand and against scikit-learn, torchmetrics and scipy."""

from __future__ import annotations

import math

from mafs_model.errors import ImageError
from mafs_training.metrics.boundary import boundary_f1
from mafs_training.metrics.calibration import CalibrationCounts
from mafs_training.metrics.segmentation import ConfusionMatrix
import numpy as np
import pytest
from scipy.spatial import cKDTree
from sklearn.metrics import confusion_matrix, jaccard_score
import torch
from torchmetrics.classification import MulticlassCalibrationError, MulticlassJaccardIndex

TARGET = np.array([[0, 0, 1, 1], [0, 2, 2, 255]], np.uint8)
PREDICTION = np.array([[0, 1, 1, 1], [0, 2, 0, 3]], np.uint8)


def test_matrix_and_scores_by_hand():
    matrix = ConfusionMatrix(4)
    matrix.add_image(PREDICTION, TARGET)
    assert matrix.counts.tolist() == [
        [2, 1, 0, 0, 0],
        [0, 2, 0, 0, 0],
        [1, 0, 1, 0, 0],
        [0, 0, 0, 0, 0],
    ]
    # Class 0: 2 of union 4; class 1: 2 of 3; class 2: 1 of 2; class 3 occurs nowhere.
    np.testing.assert_allclose(matrix.iou, [0.5, 2 / 3, 0.5, np.nan])
    np.testing.assert_allclose(matrix.accuracy, [2 / 3, 1, 0.5, np.nan])
    np.testing.assert_allclose(matrix.precision, [2 / 3, 2 / 3, 1, np.nan])
    assert matrix.pixel_accuracy == pytest.approx(5 / 7)
    assert matrix.mean_iou('present') == pytest.approx((0.5 + 2 / 3 + 0.5) / 3)
    assert matrix.mean_iou('all') == pytest.approx((0.5 + 2 / 3 + 0.5) / 4)
    assert matrix.mean_iou('present', background=False) == pytest.approx((2 / 3 + 0.5) / 2)
    assert matrix.mean_iou('all', background=False) == pytest.approx((2 / 3 + 0.5) / 3)
    assert matrix.mean_accuracy() == pytest.approx((2 / 3 + 1 + 0.5) / 3)


def test_pooling_is_not_the_mean_of_images():
    matrix = ConfusionMatrix(2)
    matrix.add_image(np.zeros((1, 9), np.uint8), np.zeros((1, 9), np.uint8))
    matrix.add_image(np.array([[1]], np.uint8), np.array([[0]], np.uint8))
    # 9 of union 10, not (1 + 0) / 2.
    assert matrix.iou[0] == pytest.approx(0.9)


def test_nothing_predicted_is_a_miss():
    matrix = ConfusionMatrix(2)
    matrix.add_image(np.array([[1, 255]], np.uint8), np.array([[1, 1]], np.uint8))
    assert matrix.iou[1] == 0.5
    assert matrix.pixel_accuracy == 0.5


def test_empty_matrix_has_no_scores():
    matrix = ConfusionMatrix(3)
    assert math.isnan(matrix.mean_iou('present'))
    assert math.isnan(matrix.pixel_accuracy)
    assert math.isnan(matrix.mean_accuracy())


@pytest.fixture(scope='module')
def random_labels():
    rng = np.random.default_rng(11)
    target = rng.integers(0, 6, (5, 40, 50)).astype(np.uint8)
    prediction = np.where(
        rng.random(target.shape) < 0.6, target, rng.integers(0, 6, target.shape)
    ).astype(np.uint8)
    target[rng.random(target.shape) < 0.1] = 255
    return prediction, target


def test_agrees_with_scikit_learn(random_labels):
    prediction, target = random_labels
    matrix = ConfusionMatrix(6)
    for p, t in zip(prediction, target, strict=True):
        matrix.add_image(p, t)
    kept = target != 255
    np.testing.assert_array_equal(
        matrix.counts[:, :6], confusion_matrix(target[kept], prediction[kept])
    )
    np.testing.assert_allclose(
        matrix.iou, jaccard_score(target[kept], prediction[kept], average=None), rtol=1e-12
    )


def test_agrees_with_torchmetrics(random_labels):
    prediction, target = random_labels
    matrix = ConfusionMatrix(6)
    reference = MulticlassJaccardIndex(6, average='none', ignore_index=255)
    for p, t in zip(prediction, target, strict=True):
        matrix.add_image(p, t)
        reference.update(
            torch.from_numpy(p.astype(np.int64))[None], torch.from_numpy(t.astype(np.int64))[None]
        )
    np.testing.assert_allclose(matrix.iou, reference.compute().numpy(), rtol=1e-6)


@pytest.mark.parametrize(
    ('prediction', 'target', 'message'),
    [
        (PREDICTION, TARGET + 4, 'label has values outside the class table: 4, 5, 6'),
        (PREDICTION * 60, TARGET, r'class table: 60, 120, 180 \(expected 0..3 or 255'),
        (PREDICTION[:1], TARGET, 'same size, got 4x1 and 4x2'),
        (PREDICTION.astype(float), TARGET, 'prediction must be an integer image'),
        (PREDICTION, np.stack([TARGET] * 3, axis=2), r'label must be an integer image \[H, W\]'),
    ],
)
def test_bad_label_images_are_refused_by_name(prediction, target, message):
    with pytest.raises(ImageError, match=message):
        ConfusionMatrix(4).add_image(prediction, target)


# --- boundary ---------------------------------------------------------------------------------


def square(shift: int = 0) -> np.ndarray:
    image = np.zeros((40, 40), np.uint8)
    image[10:20, 10 + shift : 20 + shift] = 1
    return image


def test_boundary_of_equal_and_of_shifted_squares():
    np.testing.assert_allclose(boundary_f1(square(), square(), 3), [1, 1, np.nan])
    assert boundary_f1(square(1), square(), 2, tolerance_px=1)[1] == 1.0
    # Shifted by 3 with a tolerance below 1: of 36 outline pixels each, the top and the bottom
    # row share 7 columns: 14 of 36 in both directions.
    assert boundary_f1(square(3), square(), 2, tolerance_px=0.5)[1] == pytest.approx(14 / 36)


def test_boundary_of_a_class_in_one_image_only_is_zero():
    blank = np.zeros((40, 40), np.uint8)
    np.testing.assert_allclose(boundary_f1(square(), blank, 2), [0, 0])


def test_boundary_ignores_unlabelled_pixels():
    target = square()
    target[:, 25:] = 255
    prediction = square()
    prediction[:, 30:] = 1  # wrong only where there is no label
    np.testing.assert_allclose(boundary_f1(prediction, target, 2), [1, 1])


def test_boundary_agrees_with_nearest_neighbours_of_scipy():
    rng = np.random.default_rng(5)
    target, prediction = (
        np.kron(rng.integers(0, 3, (6, 7)), np.ones((7, 8), int)) for _ in range(2)
    )
    tolerance = 2.0
    values = boundary_f1(prediction, target, 3, tolerance_px=tolerance)
    for index in range(3):
        outlines = []
        for image in (prediction, target):
            padded = np.pad(image, 1, mode='edge')
            outlines.append(
                np.array(
                    [
                        (i, j)
                        for i, j in np.ndindex(image.shape)
                        if image[i, j] == index
                        and any(
                            padded[i + 1 + a, j + 1 + b] != index
                            for a, b in ((0, 1), (1, 0), (0, -1), (-1, 0))
                        )
                    ]
                )
            )
        p, t = outlines
        precision = (cKDTree(t).query(p)[0] <= tolerance).mean()
        recall = (cKDTree(p).query(t)[0] <= tolerance).mean()
        assert values[index] == pytest.approx(2 * precision * recall / (precision + recall))


# --- calibration ------------------------------------------------------------------------------


def test_calibration_by_hand():
    counts = CalibrationCounts(bins=2)
    confidence = np.array([[0.2, 0.4, 0.9, 0.7, 1.0]])
    prediction = np.array([[1, 1, 1, 1, 1]])
    target = np.array([[1, 0, 1, 0, 255]])
    counts.add_image(confidence, prediction, target)
    # Lower bin: accuracy 0.5, confidence 0.3; upper: 0.5 and 0.8; two pixels each.
    assert counts.error == pytest.approx((0.2 + 0.3) / 2)
    assert counts.table()[1] == {'pixels': 2, 'confidence': pytest.approx(0.8), 'accuracy': 0.5}


def test_calibration_agrees_with_torchmetrics():
    generator = torch.Generator().manual_seed(4)
    logits = torch.randn((4, 5, 20, 30), generator=generator) * 2
    target = torch.randint(0, 5, (4, 20, 30), generator=generator)
    target[logits.argmax(1) % 2 == 0] = 2
    probability = logits.softmax(1)
    reference = MulticlassCalibrationError(5, n_bins=15, norm='l1')
    expected = reference(probability, target).item()
    counts = CalibrationCounts(bins=15)
    confidence, prediction = (part.numpy() for part in probability.max(1))
    for c, p, t in zip(confidence, prediction, target.numpy(), strict=True):
        counts.add_image(c, p, t)
    assert counts.error == pytest.approx(expected, rel=1e-4)


def test_calibration_of_eight_bit_confidence_and_bad_values():
    counts = CalibrationCounts()
    counts.add_image(np.full((2, 2), 255, np.uint8), np.ones((2, 2), int), np.ones((2, 2), int))
    assert counts.error == 0.0
    with pytest.raises(ImageError, match=r'must lie in 0\.\.1, got 0\.5\.\.1\.5'):
        counts.add_image(np.array([[0.5, 1.5]]), np.ones((1, 2), int), np.ones((1, 2), int))
    with pytest.raises(ImageError, match='same size'):
        counts.add_image(np.ones((1, 2)), np.ones((2, 2), int), np.ones((2, 2), int))
    assert math.isnan(CalibrationCounts().error)
