"""Targets from weak sources: the rules, one by one, on drawn scenes."""

from __future__ import annotations

import cv2
from mafs_model.errors import DatasetError
from mafs_training.cli import main_data
from mafs_training.datasets.fuse_labels import (
    Box,
    fuse_frame,
    heat_mask,
    merge_detections,
    overlap,
    parse_maps,
    read_boxes,
)
import numpy as np
import pytest

SIZE = (96, 128)
CAR, PERSON, BIKE = 1, 2, 3


def frame(light: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """Return a visible and a thermal image without objects."""
    return np.full((*SIZE, 3), light, np.uint8), np.full(SIZE, 60, np.uint8)


def standing(thermal: np.ndarray, box: Box, level: int) -> np.ndarray:
    """Draw a person of that heat; returns the mask."""
    mask = box.ellipse(SIZE, 0.35, 0.48)
    thermal[mask] = level
    return mask


def ids(mask: np.ndarray, ident: int) -> np.ndarray:
    return np.where(mask, ident, 0).astype(np.uint8)


MAN = Box(PERSON, 40, 50, 20, 50)


class TestBoxes:
    def test_reads_pixels_classes_and_scores(self, tmp_path):
        path = tmp_path / 'a.txt'
        path.write_text(
            '0 0.5 0.5 0.25 0.5 0.71 thermal\n\n2 0.1 0.2 0.1 0.1\n7 0.1 0.1 0.1 0.1\n'
        )
        assert read_boxes(path, (100, 200)) == [
            Box(PERSON, 100, 50, 50, 50, 0.71),
            Box(CAR, 20, 20, 20, 10, 1.0),
        ]

    def test_an_empty_file_says_that_there_is_no_object(self, tmp_path):
        (tmp_path / 'a.txt').write_text('')
        assert read_boxes(tmp_path / 'a.txt', SIZE) == []
        assert read_boxes(tmp_path / 'b.txt', SIZE) is None

    @pytest.mark.parametrize(
        'line', ['0 0.5 0.5 0.1', 'person 0.5 0.5 0.1 0.1', '0 0.5 0.5 nan 0.1', '0 320 240 64 64']
    )
    def test_names_the_line_that_is_no_box(self, tmp_path, line):
        path = tmp_path / 'a.txt'
        path.write_text(f'0 0.5 0.5 0.1 0.1\n{line}\n')
        with pytest.raises(DatasetError, match=r'a\.txt, line 2: .*expected class cx cy w h'):
            read_boxes(path, SIZE)

    def test_overlap_is_intersection_over_union(self):
        assert overlap(Box(1, 5, 5, 10, 10), Box(1, 10, 5, 10, 10)) == pytest.approx(1 / 3)
        assert overlap(Box(1, 5, 5, 10, 10), Box(1, 50, 5, 10, 10)) == 0

    def test_the_surer_of_two_detections_of_one_object_stays(self):
        weak, sure = Box(PERSON, 41, 50, 20, 48, 0.4), Box(PERSON, 40, 50, 20, 50, 0.8)
        other = Box(CAR, 40, 50, 20, 50, 0.5)
        assert merge_detections([weak, sure, other]) == [sure, other]

    def test_windows_are_cut_to_the_image(self):
        rows, columns = Box(CAR, 0, 95, 30, 30).window(SIZE, margin=2)
        assert (rows.start, rows.stop, columns.start, columns.stop) == (78, 96, 0, 17)


class TestHeat:
    @pytest.mark.parametrize('level', [160, 10])
    def test_finds_the_outline_of_a_warm_or_a_cold_person(self, level):
        _, thermal = frame()
        person = standing(thermal, MAN, level)
        mask = heat_mask(thermal, MAN, 12)
        assert mask is not None
        assert (mask & person).sum() > 0.95 * person.sum()
        assert (mask & ~person).sum() < 0.05 * person.sum()

    def test_gives_none_where_heat_does_not_set_apart(self):
        _, thermal = frame()
        standing(thermal, MAN, 66)
        assert heat_mask(thermal, MAN, 12) is None
        assert heat_mask(thermal, Box(PERSON, 40, 50, 4, 8), 12) is None

    def test_the_neighbour_is_not_part_of_the_person(self):
        _, thermal = frame()
        standing(thermal, MAN, 160)
        neighbour = standing(thermal, Box(PERSON, 62, 50, 16, 50), 160)
        mask = heat_mask(thermal, MAN, 12)
        assert mask is not None
        assert not (mask & neighbour).any()


class TestRules:
    def test_agreement_inside_a_box_is_the_class(self):
        visible, thermal = frame()
        body = MAN.ellipse(SIZE, 0.3, 0.45)
        maps = [(1.0, ids(body, PERSON)), (1.0, ids(body, PERSON))]
        target = fuse_frame(visible, thermal, maps, [MAN], [])
        assert (target[body] == PERSON).all()
        assert (target[~body] == 0).all()

    def test_what_a_minority_says_is_ignored_and_not_background(self):
        visible, thermal = frame()
        body, arm = MAN.ellipse(SIZE, 0.3, 0.45), MAN.ellipse(SIZE, 0.49, 0.1)
        maps = [(1.0, ids(body, PERSON))] * 2 + [(1.0, ids(body | arm, PERSON))]
        target = fuse_frame(visible, thermal, maps, [MAN], [])
        assert (target[arm & ~body] == 255).all()
        assert (target[body] == PERSON).all()

    def test_heat_draws_the_person_that_no_map_has(self):
        visible, thermal = frame(light=10)
        person = standing(thermal, MAN, 160)
        target = fuse_frame(visible, thermal, [(1.0, ids(person & False, 0))], [MAN], [])
        assert (target[person] == PERSON).mean() > 0.95

    @pytest.mark.parametrize('ident', [CAR, BIKE, PERSON])
    def test_without_any_vote_the_middle_of_the_box_is_the_class(self, ident):
        visible, thermal = frame()
        box = Box(ident, 60, 50, 40, 30)
        target = fuse_frame(visible, thermal, [], [box], [])
        assert target[50, 60] == ident
        assert target[36, 41] == 255
        assert target[5, 5] == 0
        assert 0.3 < (target == ident).sum() / (40 * 30) < 0.6

    def test_weak_detections_are_ignored(self):
        visible, thermal = frame()
        target = fuse_frame(visible, thermal, [], None, [Box(CAR, 60, 50, 40, 30, 0.35)])
        assert target[50, 60] == 255
        assert set(np.unique(target)) == {0, 255}

    def test_a_map_alone_makes_no_object(self):
        visible, thermal = frame()
        wall = np.zeros(SIZE, bool)
        wall[10:40, 60:120] = True
        maps = [(1.0, ids(wall, CAR)), (0.5, ids(wall, CAR))]
        assert (fuse_frame(visible, thermal, maps, [MAN], [])[wall] == 0).all()

    def test_two_independent_claims_without_human_boxes_are_ignored(self):
        visible, thermal = frame()
        car = np.zeros(SIZE, bool)
        car[40:60, 60:100] = True
        street = ids(car, 13)
        maps = [(0.5, ids(car, CAR))]
        assert (fuse_frame(visible, thermal, maps, None, [], street)[car] == 255).all()
        assert (fuse_frame(visible, thermal, maps, [], [], street)[car] == 0).all()

    def test_the_street_network_is_believed_by_day_alone(self):
        box = Box(CAR, 60, 50, 40, 30)
        corner = np.zeros(SIZE, bool)
        corner[36:64, 41:55] = True
        for light, expected in ((120, CAR), (20, 255)):
            visible, thermal = frame(light)
            target = fuse_frame(visible, thermal, [], [box], [], ids(corner, 13))
            assert target[37, 42] == expected

    def test_a_person_in_front_of_a_car_stays_a_person(self):
        visible, thermal = frame()
        standing(thermal, MAN, 160)
        target = fuse_frame(visible, thermal, [], [MAN, Box(CAR, 50, 50, 60, 40)], [])
        assert target[50, 40] == PERSON
        assert target[50, 60] == CAR

    def test_rare_classes_come_from_a_trusted_map_alone(self):
        visible, thermal = frame()
        part = np.zeros(SIZE, bool)
        part[80:90, 10:30] = True
        for weight, expected in ((1.0, 4), (0.5, 255)):
            target = fuse_frame(visible, thermal, [(weight, ids(part, 4))], [], [])
            assert (target[part] == expected).all()
        for noise in (6, 8):
            target = fuse_frame(visible, thermal, [(1.0, ids(part, noise))], [], [])
            assert (target[part] == 255).all()


@pytest.mark.parametrize('text', ['', '=1', 'silver=', 'silver=0', 'silver=-1', 'silver=inf'])
def test_a_weight_must_be_a_number_above_0(text):
    with pytest.raises(DatasetError, match='expected FOLDER or FOLDER=WEIGHT'):
        parse_maps([text])


def folder(root, name='a'):
    visible, thermal = frame()
    standing(thermal, MAN, 160)
    for part, image in (('vi', visible), ('ir', thermal), ('silver', ids(thermal == 160, PERSON))):
        (root / part).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(root / part / f'{name}.png'), image)
    return root


def test_command_writes_targets_and_says_what_is_in_them(tmp_path, capsys):
    root = folder(tmp_path / 'set')
    (root / 'boxes').mkdir()
    (root / 'boxes' / 'a.txt').write_text(f'0 {40 / 128} {50 / 96} {20 / 128} {50 / 96}\n')
    out = tmp_path / 'label'
    assert main_data(['fuse-labels', str(root), '--out', str(out), '--map', 'silver=1']) == 0
    assert '1 targets' in capsys.readouterr().out
    target = cv2.imread(str(out / 'a.png'), cv2.IMREAD_UNCHANGED)
    assert (target == PERSON).sum() > 500


def test_command_names_the_pair_without_boxes(tmp_path, capsys):
    root = folder(tmp_path / 'set')
    assert main_data(['fuse-labels', str(root), '--out', str(tmp_path / 'label')]) != 0
    assert "no boxes of 'a'" in capsys.readouterr().err
