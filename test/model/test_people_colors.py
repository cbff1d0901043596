"""Colours for people: apart for every kind of eye, on dark and on bright."""

from __future__ import annotations

from itertools import combinations

from mafs_model.classes import available, ClassTable
from mafs_model.images.people_colors import for_people
import numpy as np
import pytest

# Machado, Oliveira and Fernandes, IEEE TVCG 15 (2009): full protanopia, deuteranopia, tritanopia,
# on linear RGB.
EYES = {
    'normal': np.eye(3),
    'protan': np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    'deutan': np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    'tritan': np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}


def linear(color):
    values = np.asarray(color) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    """CIE L*a*b* of linear RGB, D65."""
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    xyz = to_xyz @ np.clip(rgb, 0, 1) / (0.9505, 1.0, 1.089)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def distance(first, second, eye):
    return np.linalg.norm(lab(EYES[eye] @ linear(first)) - lab(EYES[eye] @ linear(second)))


def shown(table):
    return [c for c in for_people(table).classes if c.color != (0, 0, 0)]


@pytest.mark.parametrize('eye', EYES)
def test_objects_of_the_street_are_told_apart(eye):
    classes = shown(ClassTable.load('mfnet'))
    assert len(classes) == 8
    by_name = {c.name: c.color for c in classes}
    for name in ('person', 'car', 'bike'):
        for other, color in by_name.items():
            if other != name:
                assert distance(by_name[name], color, eye) > 14, (eye, name, other)
    for one, other in combinations(classes, 2):
        assert distance(one.color, other.color, eye) > 9, (eye, one.name, other.name)


@pytest.mark.parametrize('dataset', available())
def test_every_color_is_seen_on_black_and_on_white(dataset):
    table = ClassTable.load(dataset)
    for one in shown(table):
        light = float(np.dot((0.2126, 0.7152, 0.0722), linear(one.color)))
        assert (light + 0.05) / 0.05 > 1.9, one
        assert 1.05 / (light + 0.05) > 1.25, one


@pytest.mark.parametrize('dataset', available())
def test_ids_names_and_background_stay(dataset):
    table = ClassTable.load(dataset)
    people = for_people(table)
    assert people.names == table.names
    assert people.classes[0].color == table.classes[0].color
    colors = [c.color for c in people.classes]
    assert len(set(colors)) == len(colors)


def test_the_same_thing_looks_the_same_in_every_table():
    colors = {
        name: {c.name: c.color for c in for_people(ClassTable.load(name)).classes}
        for name in ('mfnet', 'fmb')
    }
    assert colors['mfnet']['person'] == colors['fmb']['person']
    assert colors['mfnet']['car'] == colors['fmb']['car']
    assert colors['mfnet']['bike'] == colors['fmb']['bicycle']


def test_the_data_sets_own_colors_are_not_told_apart():
    # Why there are others.
    own = [c for c in ClassTable.load('mfnet').classes if c.id]
    closest = min(distance(a.color, b.color, 'deutan') for a, b in combinations(own, 2))
    people = shown(ClassTable.load('mfnet'))
    ours = min(distance(a.color, b.color, 'deutan') for a, b in combinations(people, 2))
    assert closest < 9 < ours
