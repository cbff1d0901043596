"""Regrouping of classes: labels and tables against relabelling pixel by pixel."""

from __future__ import annotations

from mafs_model.classes import ClassTable, SemanticClass
from mafs_model.errors import ConfigError
from mafs_model.predictor import Outputs, Predictor
from mafs_model.regrouping import all_apart
import numpy as np
import pytest

MFNET = ClassTable.load('mfnet')
FMB = ClassTable.load('fmb')
EVERY = np.arange(256, dtype=np.uint8).reshape(16, 16)


def named(labels: np.ndarray, table: ClassTable) -> list[str]:
    """Return the class of every pixel by name."""
    return [table.names[v] if v < len(table) else '' for v in labels.ravel()]


def test_nothing_asked_changes_nothing() -> None:
    same = all_apart(MFNET).merged({}).kept([])
    assert same.table == MFNET
    assert named(same(EVERY), same.table) == named(EVERY, MFNET)


@pytest.mark.parametrize(
    ('table', 'keep', 'merge', 'names'),
    [
        (MFNET, ['person'], {}, ('unlabelled', 'person')),
        (
            FMB,
            [],
            {'vehicles': ['truck', 'car', 'bus']},
            tuple(
                'vehicles' if n == 'car' else n for n in FMB.names if n not in ('truck', 'bus')
            ),
        ),
        (FMB, ['road', 'wheels'], {'wheels': ['bicycle', 'motorcycle']},
         ('background', 'road', 'wheels')),
        (FMB, ['car'], {'car': ['truck', 'car']}, ('background', 'car')),
    ],
)  # fmt: skip
def test_labels_are_those_of_the_names(
    table: ClassTable, keep: list[str], merge: dict[str, list[str]], names: tuple[str, ...]
) -> None:
    regrouping = all_apart(table).merged(merge).kept(keep)
    new = regrouping.table
    assert new.names == names
    group = {member: name for name, members in merge.items() for member in members}
    clear = table.names[0]
    for old, got in zip(named(EVERY, table), named(regrouping(EVERY), new), strict=True):
        wanted = group.get(old, old)
        if keep and old and wanted not in keep:
            wanted = clear
        assert got == wanted


def test_a_group_has_the_colour_of_its_first_class_or_of_its_namesake() -> None:
    colors = {c.name: c.color for c in FMB.classes}
    first = all_apart(FMB).merged({'wheeled': ['bus', 'car']}).table
    assert first.classes[first.names.index('wheeled')].color == colors['car']
    own = all_apart(FMB).merged({'truck': ['truck', 'car']}).table
    assert own.classes[own.names.index('truck')].color == colors['truck']


def test_without_a_class_that_means_nothing_the_rest_is_ignored() -> None:
    table = ClassTable(
        'two', (SemanticClass(0, 'cat', (1, 2, 3)), SemanticClass(1, 'dog', (4,) * 3))
    )
    kept = all_apart(table).kept(['dog'])
    assert kept.table.names == ('dog',)
    assert kept(np.array([[0, 1, 255]], np.uint8)).tolist() == [[255, 0, 255]]


@pytest.mark.parametrize(
    ('keep', 'merge', 'message'),
    [
        (['Person'], {}, "keep: got 'Person', expected names out of unlabelled, car, person"),
        (['car'], {'a': ['car']}, "keep: got 'car', expected names out of unlabelled, a, person"),
        ([], {'a': ['lorry']}, "merge: got 'lorry', expected names out of unlabelled, car"),
        ([], {'a': ['car'], 'b': ['car']}, "merge: got 'car' in 'a' and in 'b', expected each"),
        (
            [],
            {'a': ['car', 'car']},
            "merge: got 'car' in 'a' and in 'a', expected each class once",
        ),
        ([], {'person': ['car']}, "merge: got 'person' as the name of a group, expected one that"),
    ],
)
def test_refused(keep: list[str], merge: dict[str, list[str]], message: str) -> None:
    with Predictor.create('classical', device='cpu', classes='mfnet') as predictor:
        with pytest.raises(ConfigError) as caught:
            predictor.regroup(keep=keep, merge=merge)
        assert str(caught.value).startswith(message)
        assert '\n' not in str(caught.value)
        assert predictor.classes == MFNET


def test_predictor_goes_back_to_its_own_classes() -> None:
    with Predictor.create('classical', device='cpu', classes='mfnet') as predictor:
        predictor.regroup(keep=['person'])
        assert predictor.classes.names == ('unlabelled', 'person')
        image = np.full((64, 64, 3), 90, np.uint8)
        assert predictor.predict(image, None, Outputs(labels=False)).labels is None
        predictor.regroup()
        assert predictor.classes == MFNET
