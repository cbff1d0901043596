"""Clear objects and found objects against plain implementations, and on real frames."""

from __future__ import annotations

import json

import cv2
from mafs_model.classes import ClassTable, SemanticClass
from mafs_model.errors import ConfigError, DatasetError, ImageError
from mafs_training.datasets.boxes import Box, read_boxes
from mafs_training.evaluation.box_files import BoxFolder, class_ids, folder_of_options
from mafs_training.evaluation.fusion.baselines import fuse_baseline
from mafs_training.evaluation.fusion.clear import clear_counts, clear_part
from mafs_training.evaluation.groups import group_names
from mafs_training.evaluation.images import list_images, read_eight_bit
from mafs_training.evaluation.objects.run import (
    hit_counts,
    measure_folders,
    objects_part,
    score_objects,
)
from mafs_training.evaluation.ratios import Ratio, ratio_groups
from mafs_training.metrics.box_contrast import box_contrasts, clearness
from mafs_training.metrics.detail import thermal_kept, visible_kept
from mafs_training.metrics.objects import object_hits
from mafs_training.metrics.plane import luminance, Plane
import numpy as np
import pytest
from scipy import ndimage

MFNET = ClassTable.load('mfnet')


# --- boxes and their files --------------------------------------------------------------------


def test_boxes_are_read_in_pixels_and_by_score(tmp_path):
    file = tmp_path / 'a.txt'
    file.write_text('0 0.5 0.25 0.1 0.5\n\n2 0.25 0.5 0.5 0.5 0.30 visible\n')
    boxes = read_boxes(file, (100, 200))
    assert boxes == [Box(0, 100, 25, 20, 50), Box(2, 50, 50, 100, 50, 0.3)]
    assert read_boxes(file, (100, 200), 0.31) == boxes[:1]
    assert read_boxes(file, (100, 200), 0.3) == boxes
    file.write_text('')
    assert read_boxes(file, (100, 200)) == []


@pytest.mark.parametrize(
    'line',
    [
        '0 0.5 0.5 0.1',
        'person 0.5 0.5 0.1 0.1',
        '0 nan 0.5 0.1 0.1',
        '0 inf 0.5 0.1 0.1',
        '0 320 240 64 48',
        '0 0.5 0.5 0 0.1',
        '0 0.5 0.5 -0.1 0.1',
        '-1 0.5 0.5 0.1 0.1',
        '9' * 400 + ' 0.5 0.5 0.1 0.1',
        '0 0.5 0.5 0.1 0.1 high',
        '0 0.5 0.5 0.1 0.1 1.5',
        '0 0.5 0.5 0.1 0.1 nan',
    ],
)
def test_what_is_no_box_is_refused_with_its_line(tmp_path, line):
    file = tmp_path / 'a.txt'
    file.write_text(f'1 0.5 0.5 0.1 0.1\n{line}\n')
    with pytest.raises(DatasetError, match=r'a\.txt, line 2: .*(expected)') as caught:
        read_boxes(file, (100, 200))
    assert '\n' not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_files_that_are_no_boxes_are_refused(tmp_path):
    with pytest.raises(DatasetError, match=r'cannot read .*none\.txt'):
        read_boxes(tmp_path / 'none.txt', (9, 9))
    (tmp_path / 'binary.txt').write_bytes(b'\xff\xfe\x00')
    with pytest.raises(DatasetError, match=r'cannot read .*binary\.txt'):
        read_boxes(tmp_path / 'binary.txt', (9, 9))
    (tmp_path / 'huge.txt').write_bytes(b' ' * ((1 << 20) + 1))
    with pytest.raises(DatasetError, match='larger than 1048576 bytes'):
        read_boxes(tmp_path / 'huge.txt', (9, 9))
    with pytest.raises(DatasetError, match='box folder not found'):
        BoxFolder(tmp_path / 'missing')
    (tmp_path / 'empty').mkdir()
    with pytest.raises(DatasetError, match=r'no files NAME\.txt'):
        BoxFolder(tmp_path / 'empty')
    with pytest.raises(ConfigError, match='expected every name once'):
        folder_of_options(tmp_path, None, ['car', 'car'])
    with pytest.raises(ConfigError, match='give it as well'):
        folder_of_options(None, 0.5, None)


def test_classes_are_found_by_name_in_any_table():
    def table(*names):
        return ClassTable('t', tuple(SemanticClass(i, n, (0, 0, 0)) for i, n in enumerate(names)))

    assert class_ids(('person', 'bike', 'car'), MFNET) == {
        'person': (2,),
        'bike': (3,),
        'car': (1,),
    }
    swapped = table('sky', 'Car', 'bicycle', 'pedestrian')
    assert class_ids(('person', 'bike', 'car'), swapped) == {
        'person': (3,),
        'bike': (2,),
        'car': (1,),
    }
    # What the table does not know is left out; two ids may mean the same.
    assert class_ids(('person', 'bike'), table('bike', 'Bicycle')) == {'bike': (0, 1)}
    with pytest.raises(ConfigError, match='none of the boxed classes person, car: it has sky'):
        class_ids(('person', 'car'), table('sky'))


# --- clear objects ----------------------------------------------------------------------------


def test_contrast_of_a_drawn_object_is_its_step():
    image = np.full((100, 100), 90, np.uint8)
    box = Box(0, 50, 50, 30, 60)
    # The object fills the whole own ellipse, so that the ring is clean.
    rows, columns = np.mgrid[:100, :100]
    image[((columns - 50) / 16.5) ** 2 + ((rows - 50) / 33.5) ** 2 <= 1] = 130
    low = box_contrasts({'it': image, 'negative': 255 - image}, [box])
    # A dark object on a bright ground stands out as much; the ring may touch the object's rim.
    assert low[0].contrast['it'] == pytest.approx(40, abs=1)
    assert low[0].contrast['negative'] == low[0].contrast['it']


def plain_contrast(image, box, boxes):
    """Means over analytic ellipses, pixel by pixel."""

    def inside(y, x, b, a_x, a_y, wider):
        half_x, half_y = int(a_x * b.width + wider), int(a_y * b.height + wider)
        return ((x - int(b.x)) / half_x) ** 2 + ((y - int(b.y)) / half_y) ** 2 <= 1

    own, ring = [], []
    for y, x in np.ndindex(image.shape):
        if inside(y, x, box, 0.36, 0.46, 0):
            own.append(image[y, x])
        if inside(y, x, box, 0.6, 0.55, 8) and not any(
            inside(y, x, b, 0.55, 0.55, 0) for b in boxes
        ):
            ring.append(image[y, x])
    return abs(np.mean(own) - np.mean(ring))


def test_contrast_agrees_with_direct_ellipses():
    rng = np.random.default_rng(8)
    image = ndimage.gaussian_filter(rng.uniform(0, 255, (90, 120)), 4)
    image = np.clip((image - 127) * 6 + 127, 0, 255).astype(np.uint8)
    boxes = [Box(0, 40, 45, 20.4, 50.8), Box(0, 60, 50, 24, 40), Box(0, 100, 20, 18, 30)]
    found = box_contrasts({'it': image}, boxes)
    assert [one.box for one in found] == boxes
    for one in found:
        # Drawn and analytic outlines differ by single pixels of the rim.
        assert one.contrast['it'] == pytest.approx(plain_contrast(image, one.box, boxes), abs=2)


def test_small_boxes_and_boxes_without_surroundings_are_left_out():
    image = np.zeros((60, 60), np.uint8)
    low = Box(0, 30, 30, 40, 15.9)
    covered = Box(0, 30, 30, 400, 400)
    assert box_contrasts({'it': image}, [low]) == []
    assert box_contrasts({'it': image}, [covered]) == []
    with pytest.raises(ImageError, match='8-bit grey images of one size'):
        box_contrasts({'a': image, 'b': image[:50]}, [low])


@pytest.mark.parametrize(
    ('fused', 'visible', 'thermal', 'expected'),
    [
        (32, 10, 200, (True, False, False)),  # enough in itself
        (31.9, 10, 200, (False, False, False)),
        (16, 20, 3, (True, True, False)),  # 0.8 of the better camera's
        (15.9, 20, 3, (False, False, False)),
        (9.9, 12, 0, (True, True, True)),  # hardly anything was there
        (0, 0, 0, (True, True, True)),
    ],
)
def test_clear_kept_and_lost(fused, visible, thermal, expected):
    judged = clearness(fused, visible, thermal)
    assert (judged.clear, judged.kept, judged.lost) == expected


# --- objects in label images ------------------------------------------------------------------


def test_found_missed_and_invented_by_hand():
    mask = np.zeros((100, 100), bool)
    first, second = Box(0, 20, 20, 20, 20), Box(0, 60, 20, 20, 20)  # pixels 10..30 and 50..70
    mask[10:31, 10:15] = True  # 5 of 21 columns: 24 %
    mask[10:31, 50:54] = True  # 4 of 21: 19 %
    mask[80:88, 80:85] = True  # 40 pixels in no box
    mask[80:88, 40:44] = True  # 32 pixels: too small to count
    hits = object_hits(mask, [first, second])
    assert hits.found == (True, False)
    assert hits.right == 2
    assert hits.wrong == ((80, 80, 5, 8),)


def test_a_region_is_right_if_more_than_half_lies_near_a_box():
    box = Box(0, 20, 20, 10, 10)  # enlarged: columns 9..31
    mask = np.zeros((60, 80), bool)
    mask[18:22, 12:51] = True  # 20 of 39 columns inside
    assert object_hits(mask, [box]).right == 1
    mask[18:22, 51:53] = True  # 20 of 41
    assert object_hits(mask, [box]).wrong == ((12, 18, 41, 4),)


def plain_hits(mask, boxes):
    """Independent: regions by SciPy, everything by pixel lists."""
    near, found = set(), []
    for box in boxes:
        x0, y0 = max(0, int(box.x - box.width / 2)), max(0, int(box.y - box.height / 2))
        x1, y1 = int(box.x + box.width / 2), int(box.y + box.height / 2)
        cells = [
            mask[y, x]
            for y in range(y0, min(y1, mask.shape[0] - 1) + 1)
            for x in range(x0, min(x1, mask.shape[1] - 1) + 1)
        ]
        found.append(bool(cells) and sum(cells) > 0.2 * len(cells))
        near |= {(y, x) for y in range(y0 - 6, y1 + 7) for x in range(x0 - 6, x1 + 7)}
    regions, count = ndimage.label(mask, np.ones((3, 3)))
    right = wrong = 0
    for index in range(1, count + 1):
        pixels = list(zip(*np.nonzero(regions == index), strict=True))
        if len(pixels) >= 40:
            inside = sum((int(y), int(x)) in near for y, x in pixels)
            right, wrong = (right + 1, wrong) if inside > len(pixels) / 2 else (right, wrong + 1)
    return found, right, wrong


@pytest.mark.parametrize('seed', range(6))
def test_hits_agree_with_a_plain_implementation(seed):
    rng = np.random.default_rng(seed)
    mask = ndimage.gaussian_filter(rng.normal(size=(90, 120)), 3) > 0.06
    boxes = [
        Box(0, *rng.uniform((0, 0, 6, 6), (120, 90, 50, 50))) for _ in range(rng.integers(0, 6))
    ]
    hits = object_hits(mask, boxes)
    assert (list(hits.found), hits.right, len(hits.wrong)) == plain_hits(mask, boxes)


def test_counts_by_size_and_class():
    labels = np.zeros((100, 100), np.uint8)
    boxes = {
        'person': [Box(0, 20, 20, 10, 20), Box(0, 60, 40, 20, 70), Box(0, 80, 40, 9, 24.9)],
        'car': [],
    }
    labels[10:31, 15:26] = 2  # the small person
    labels[60:90, 60:90] = 1  # a car that is not there
    ids = class_ids(('person', 'bike', 'car'), MFNET)
    counts = hit_counts(score_objects(labels, boxes, ids), boxes)
    person = counts['person']
    assert (person['boxes'], person['found'], person['right'], person['wrong']) == (3, 1, 1, 0)
    assert (person['boxes_small'], person['found_small']) == (2, 1)
    assert (person['boxes_tall'], person['boxes_medium'], person['boxes_large']) == (1, 0, 1)
    assert (counts['car']['boxes'], counts['car']['wrong']) == (0, 1)
    assert counts['bike'] == {**dict.fromkeys(counts['bike'], 0), 'frames': 1}


# --- ratios -----------------------------------------------------------------------------------


def test_ratios_are_of_pooled_counts_with_intervals_over_images():
    ratio = Ratio('found', 'found', 'hit', ('all',), '')
    rows = {'a': (1, 1), 'b': (0, 3), 'c': (2, 4), 'd': (0, 0)}
    counts = {'m': {n: {'person': {'hit': h, 'all': a}} for n, (h, a) in rows.items()}}
    groups = ratio_groups(counts, {'ab': ['a', 'b'], 'none': ['d']}, [ratio])
    assert groups['all']['m']['person']['found']['value'] == 3 / 8
    assert groups['all']['m']['person']['found']['n'] == 8
    assert groups['ab']['m']['person']['found']['value'] == 1 / 4
    low, high = groups['all']['m']['person']['found']['ci95']
    assert 0 <= low < 3 / 8 < high <= 1
    assert 'none' not in groups


# --- real frames ------------------------------------------------------------------------------


@pytest.fixture(scope='module')
def golden(shared_data):
    """Return the folder msrs/val and its reference values."""
    folder = shared_data / 'data' / 'msrs' / 'val'
    if not (folder / 'boxes').is_dir():
        pytest.skip('the reference data has no boxes')
    values = json.loads((shared_data / 'golden' / 'quality_msrs_val.json').read_text())
    return folder, values


# The reference is printed with four digits; its false regions with three.
PRINTED = 1e-4


def test_labels_of_real_frames_have_the_reference_values(golden):
    folder, values = golden
    boxes = BoxFolder(folder / 'boxes')
    folders = {name: folder / f'label_{name}' for name in ('silver', 'sgfnet', 'mfnet')}
    outcomes = measure_folders(folders, boxes, MFNET, jobs=1)
    for method, outcome in outcomes.items():
        assert not outcome.problems
        part = objects_part({method: outcome.images}, boxes, {})
        assert part is not None
        for group, table in values[f'labels:{method}'].items():
            for kind in ('person', 'bike', 'car'):
                ours, expected = part['scores'][group][method][kind], table[kind]
                assert ours['images'] == table['frames']
                for score in ('found', 'found_tall', 'precision', 'false_per_frame'):
                    if expected[score] is None:
                        assert score not in ours
                    else:
                        tolerance = PRINTED if score != 'false_per_frame' else 6e-4
                        assert ours[score]['value'] == pytest.approx(
                            expected[score], abs=tolerance
                        ), (method, group, kind, score)


def test_fused_images_of_real_frames_have_the_reference_values(golden):
    folder, values = golden
    boxes = BoxFolder(folder / 'boxes')
    files = {k: list_images(folder / k, k) for k in ('ir', 'vi')}
    kept, clear = {}, {}
    methods = ('maximum', 'lapmax')
    for name, path in files['ir'].items():
        thermal = Plane(read_eight_bit(path, 'thermal', grey=True))
        visible = Plane(luminance(read_eight_bit(files['vi'][name], 'visible')))
        fused = {m: Plane(fuse_baseline(m, thermal.image, visible.image)) for m in methods}
        kept[name] = {
            m: (visible_kept(f, thermal, visible), thermal_kept(f, thermal, visible))
            for m, f in fused.items()
        }
        images = {m: f.image for m, f in fused.items()}
        found = boxes.of_image(name, thermal.shape)
        clear[name] = clear_counts(images, thermal.image, visible.image, found)
    groups = group_names(list(kept), {})
    part = clear_part(clear, methods, boxes.folder, groups)
    assert part is not None
    for method in methods:
        for group, table in values[f'fused:{method}'].items():
            rows = [kept[n][method] for n in (groups[group] if group != 'all' else kept)]
            for column, key in enumerate(('visible_kept', 'thermal_kept')):
                mean = np.nanmean([row[column] for row in rows])
                assert mean == pytest.approx(table[key], abs=PRINTED), (method, group, key)
            for kind in ('person', 'bike', 'car'):
                if f'{kind}_n' in table:
                    ours = part['scores'][group][method][kind]
                    assert ours['clear']['n'] == table[f'{kind}_n']
                    for score in ('clear', 'kept', 'lost'):
                        expected = table[f'{kind}_{score}']
                        assert ours[score]['value'] == pytest.approx(expected, abs=PRINTED), (
                            method,
                            group,
                            kind,
                            score,
                        )


def test_label_values_outside_the_table_are_named(tmp_path):
    (tmp_path / 'labels').mkdir()
    (tmp_path / 'boxes').mkdir()
    image = np.zeros((50, 60), np.uint8)
    for name, value in (('good', 255), ('bad', 77)):
        image[0, 0] = value
        cv2.imwrite(str(tmp_path / 'labels' / f'{name}.png'), image)
        (tmp_path / 'boxes' / f'{name}.txt').write_text('')
    cv2.imwrite(str(tmp_path / 'labels' / 'unboxed.png'), image)
    outcome = measure_folders(
        {'mine': tmp_path / 'labels'}, BoxFolder(tmp_path / 'boxes'), MFNET, jobs=1
    )['mine']
    assert list(outcome.images) == ['good']
    assert 'unboxed: no boxes in ' in outcome.problems[0]
    assert outcome.problems[1].endswith('bad.png: label value 77, expected 0 to 8 or 255')
