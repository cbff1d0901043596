"""
Measure `mafs-calibrate scene`: random rigs on real pairs, repeated estimates, wrong pairs.

Registered pairs of MSRS (day and night) and RoadScene are taken apart by random rigs: thermal
images of scale 0.5 to 2, rotated by up to 3 degrees, shifted by up to 50 px, slightly tilted.
Wrong pairs have thermal images of other moments, in two orders, or of another set. What counts as
sure was chosen with `--split train`; figures are those of `--split val`.

    python -m benchmarks.scene_calibration --data ../shared/data --json scene.json
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import json
from pathlib import Path
import time
from typing import Any

import cv2
from mafs_calibration.scene import estimate
from mafs_model.images.image_files import match_pairs, read_thermal, read_visible
from mafs_model.images.preprocessing import luminance, resize
from mafs_model.types import Size, UInt8Image
import numpy as np
from numpy.typing import NDArray

SIZE: Size = (480, 640)
PAIRS = 8
SETS = ('msrs day', 'msrs night', 'roadscene')
WRONG = ('of the next', 'in reverse', 'of another set')
Pairs = list[tuple[UInt8Image, UInt8Image]]


def load(data: Path, split: str) -> dict[str, Pairs]:
    """Return up to 60 visible luminances and thermal images of one size, by set."""
    sets: dict[str, Pairs] = {name: [] for name in SETS}
    for folder in ('msrs', 'roadscene'):
        files, _ = match_pairs(data / folder / split / 'vi', data / folder / split / 'ir')
        for pair in files[:: max(1, len(files) // 60)]:
            assert pair.visible is not None
            assert pair.thermal is not None
            name = folder
            if folder == 'msrs':
                name = 'msrs night' if pair.name.endswith('N') else 'msrs day'
            visible = resize(luminance(read_visible(pair.visible)), SIZE)
            sets[name].append((visible, resize(read_thermal(pair.thermal), SIZE)))
    return sets


def random_rig(rng: np.random.Generator) -> NDArray[np.float64]:
    """Return a 3x3 map of thermal to visible pixels."""
    height, width = SIZE
    scale = float(np.exp(rng.uniform(np.log(0.5), np.log(2.0))))
    angle = np.deg2rad(rng.uniform(-3, 3))
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    dx, dy = rng.uniform(-50, 50, 2)
    tilt = np.eye(3)
    tilt[2, :2] = rng.uniform(-4e-5, 4e-5, 2)
    tilt[0, 1], tilt[1, 1] = rng.uniform(-0.01, 0.01), 1 + rng.uniform(-0.01, 0.01)
    centre = np.array([[1, 0, 0.5 - width / 2], [0, 1, 0.5 - height / 2], [0, 0, 1.0]])
    pose = np.array([[cos, -sin, dx], [sin, cos, dy], [0, 0, 1.0]])
    rig = np.linalg.inv(centre) @ pose @ tilt @ centre
    return np.asarray(rig / rig[2, 2])


def take_apart(pairs: Sequence[tuple[UInt8Image, UInt8Image]], rig: NDArray[np.float64]) -> Pairs:
    """Return the pairs with thermal images as this rig's camera would give them."""
    inverse = np.linalg.inv(rig)
    return [
        (visible, np.asarray(cv2.warpPerspective(thermal, inverse, SIZE[::-1]), np.uint8))
        for visible, thermal in pairs
    ]


def distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> tuple[float, float]:
    """Return mean and largest distance of two registrations over what both cameras see, px."""
    y, x = np.mgrid[0 : SIZE[0] : 24, 0 : SIZE[1] : 32]
    visible = np.stack([x, y], axis=-1).reshape(1, -1, 2).astype(np.float64)
    thermal = cv2.perspectiveTransform(visible, np.linalg.inv(one))
    seen = np.all((thermal[0] >= 0) & (thermal[0] < [SIZE[1], SIZE[0]]), axis=1)
    back = cv2.perspectiveTransform(thermal[:, seen], other)
    off = np.linalg.norm(back - visible[:, seen], axis=-1)
    return float(off.mean()), float(off.max())


def mismatch(kind: str, thermal: list[UInt8Image], others: Pairs) -> list[UInt8Image]:
    """Return thermal images that do not belong to their visible ones."""
    if kind == 'of the next':
        return thermal[1:] + thermal[:1]
    if kind == 'in reverse':
        return thermal[::-1]
    return [other for _, other in others]


def run(sets: dict[str, Pairs], rigs: int, repeats: int, wrong: int, seed: int) -> dict[str, Any]:
    """Return every figure; each rig takes about 4 s of CPU time."""
    rows: list[dict[str, Any]] = []
    tasks = (('right', rigs), ('again', repeats), ('wrong', wrong))
    for task, count in tasks:
        rng = np.random.default_rng(seed + len(task))
        for number in range(count):
            name = SETS[number % len(SETS)]
            order = rng.permutation(len(sets[name]))
            rig = random_rig(rng)
            begin = time.process_time()
            results = []
            for part in range(2 if task == 'again' else 1):
                chosen = order[part * PAIRS : (part + 1) * PAIRS]
                pairs = take_apart([sets[name][i] for i in chosen], rig)
                visible = [v for v, _ in pairs]
                thermal = [t for _, t in pairs]
                if task == 'wrong':
                    kind = WRONG[number // len(SETS) % len(WRONG)]
                    others = sets[SETS[(number + 1) % len(SETS)]]
                    chosen = rng.permutation(len(others))[:PAIRS]
                    thermal = mismatch(kind, thermal, take_apart([others[i] for i in chosen], rig))
                results.append(estimate(visible, thermal))
            first = results[0]
            row: dict[str, Any] = {'task': task, 'set': name, 'scale': float(rig[0, 0])}
            row['sure'] = all(r is not None and r.is_sure for r in results)
            if first is not None:
                row |= {'agreement': first.agreement, 'margin': first.margin}
                row['spread_px'] = first.spread * SIZE[1]
                if task == 'right':
                    row['mean_px'], row['max_px'] = distance(rig, first.homography)
                second = results[-1]
                if task == 'again' and second is not None:
                    row['mean_px'], row['max_px'] = distance(first.homography, second.homography)
            row['cpu_s'] = (time.process_time() - begin) / len(results)
            rows.append(row)
            print(json.dumps(row), flush=True)
    return {'seed': seed, 'rows': rows, 'summary': summarise(rows)}


def summarise(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return the figures of the bars."""
    right = [r for r in rows if r['task'] == 'right']
    again = [r for r in rows if r['task'] == 'again']
    wrong = [r for r in rows if r['task'] == 'wrong']
    off = [r.get('mean_px', float('inf')) for r in right]
    return {
        'rigs': len(right),
        'sure': sum(r['sure'] for r in right),
        'median_px': float(np.median(off)) if off else float('nan'),
        'worst_px': max(off, default=float('nan')),
        'repeatability_median_px': float(np.median([r['mean_px'] for r in again]))
        if again
        else float('nan'),
        'wrong': len(wrong),
        'wrong_refused': sum(not r['sure'] for r in wrong),
        'least_margin_right': min((r.get('margin', 0.0) for r in right), default=float('nan')),
        'largest_margin_wrong': max((r.get('margin', 0.0) for r in wrong), default=float('nan')),
        'largest_spread_right_px': max((r.get('spread_px', 0.0) for r in right), default=0.0),
        'least_spread_wrong_px': min(
            (r['spread_px'] for r in wrong if 'margin' in r), default=0.0
        ),
        'cpu_s': float(np.mean([r['cpu_s'] for r in rows])),
    }


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('--data', type=Path, default=Path('../shared/data'))
    parser.add_argument('--split', choices=('train', 'val'), default='val')
    parser.add_argument('--rigs', type=int, default=40)
    parser.add_argument('--repeats', type=int, default=12)
    parser.add_argument('--wrong', type=int, default=20)
    parser.add_argument('--seed', type=int, default=12)
    parser.add_argument('--json', type=Path)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    sets = load(options.data, options.split)
    result = run(sets, options.rigs, options.repeats, options.wrong, options.seed)
    print(json.dumps(result['summary'], indent=2))
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=2), encoding='utf-8')


if __name__ == '__main__':
    main()
