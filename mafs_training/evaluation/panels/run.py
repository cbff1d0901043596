"""Panels of pairs to look at: thermal, visible and fused image and labels, the worst included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
import math
from pathlib import Path

import cv2
from mafs_model.classes import ClassTable
from mafs_model.errors import DatasetError, ImageError
from mafs_model.images.overlay import paint
from mafs_model.images.people_colors import for_people
from mafs_model.images.visualization import draw_legend
from mafs_model.predictor import Prediction, Predictor
from mafs_training.datasets.layouts import PairFiles, read_pair
from mafs_training.datasets.reading import RawPair
from mafs_training.evaluation.prediction import write_image
from mafs_training.metrics.fusion import fusion_metrics
from mafs_training.metrics.segmentation import confusion_counts, mean_iou_of_counts
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

Picture = NDArray[np.uint8]

# Cheap enough to be measured on every pair of a data set before the pictures are chosen.
_SCORES = ('Qabf', 'VIF', 'SSIM', 'SCD', 'EN', 'SD', 'SF', 'AG')
LABEL_SCORE = 'mIoU'
RANKS = (*_SCORES, LABEL_SCORE)
_SHOWN = ('Qabf', 'SSIM', 'SCD')

ROWS = 4
CELL_WIDTH = 480
_GAP = 6
_CAPTION_PX = 26
_INK, _PAPER, _WARN = (235, 235, 235), (24, 24, 24), (255, 190, 90)


@dataclass(frozen=True)
class Scored:
    """A pair with its scores; `set_name` tells data sets apart."""

    files: PairFiles
    set_name: str
    scores: Mapping[str, float]

    @property
    def title(self) -> str:
        """Return how the pair is called under its panel."""
        return f'{self.set_name}/{self.files.name}'


@dataclass
class Ranking:
    """Pairs from worst to best by a metric, and what could not be used."""

    metric: str
    pairs: list[Scored] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def rank_pairs(
    predictor: Predictor,
    sets: Mapping[str, Sequence[PairFiles]],
    metric: str,
    *,
    quiet: bool = True,
) -> Ranking:
    """
    Predict every pair and sort by a metric, the worst first.

    Args:
        predictor: the model.
        sets: name of a data set to its pairs.
        metric: one of RANKS; 'mIoU' (over the classes that occur) ranks labelled pairs only.
        quiet: no progress bar.

    Raises:
        DatasetError: no pair can be ranked.

    """
    ranking = Ranking(metric)
    tasks = [(name, one) for name, files in sets.items() for one in files]
    if metric == LABEL_SCORE:
        tasks = [(name, one) for name, one in tasks if one.label is not None]
    for name, one in tqdm(tasks, desc='ranking', unit='', disable=quiet):
        try:
            pair, prediction = _predict(predictor, one)
        except (DatasetError, ImageError) as error:
            ranking.problems.append(str(error))
            continue
        scores = _score(pair, prediction, predictor, {metric, *_SHOWN})
        if math.isfinite(scores.get(metric, math.nan)):
            ranking.pairs.append(Scored(one, name, scores))
    ranking.pairs.sort(key=lambda scored: scored.scores[metric])
    if not ranking.pairs:
        problem = ranking.problems[0] if ranking.problems else 'none of them has labels'
        raise DatasetError(f'no pair can be ranked by {metric}: {problem}')
    return ranking


def choose(ranking: Ranking, count: int) -> list[tuple[str, Scored]]:
    """
    Return what to look at, data set after data set, each with its share of the places.

    Of each data set half are the worst pairs, the rest lie evenly between them and the best.

    Args:
        ranking: the ranked pairs.
        count: how many pairs to show.

    Returns:
        (kind, pair), the worst of each data set first; kind is 'worst 1 of 40' or
        'rank 25 of 40'.

    """
    names = list(dict.fromkeys(scored.set_name for scored in ranking.pairs))
    chosen = []
    for index, name in enumerate(sorted(names)):
        pairs = [scored for scored in ranking.pairs if scored.set_name == name]
        places = count // len(names) + (index < count % len(names))
        worst = math.ceil(min(places, len(pairs)) / 2)
        if places >= len(pairs):
            numbers = list(range(len(pairs)))
        else:
            spread = np.linspace(len(pairs) - 1, worst, places - worst).round().astype(int)
            numbers = [*range(worst), *(int(i) for i in spread[::-1])]
        chosen += [
            (f'{"worst" if i < worst else "rank"} {i + 1} of {len(pairs)}', pairs[i])
            for i in numbers
        ]
    return chosen


def _predict(predictor: Predictor, files: PairFiles) -> tuple[RawPair, Prediction]:
    """Read and predict a pair on its own."""
    table = predictor.classes
    pair = read_pair(files, len(table), table.ignore_index)
    predictor.reset()
    return pair, predictor.predict(pair.visible, pair.thermal)


def _score(
    pair: RawPair, prediction: Prediction, predictor: Predictor, wanted: set[str]
) -> dict[str, float]:
    """Return the wanted scores of a pair; mIoU where labels are there."""
    assert prediction.fused is not None
    names = [name for name in _SCORES if name in wanted]
    scores = fusion_metrics(prediction.fused, pair.thermal, pair.visible, names=names)
    if pair.label is not None and not predictor.is_classical:
        assert prediction.labels is not None
        table = predictor.classes
        counts = confusion_counts(prediction.labels, pair.label, len(table), table.ignore_index)
        scores[LABEL_SCORE] = float(mean_iou_of_counts(counts, 'present'))
    return scores


def draw_row(
    pair: RawPair, prediction: Prediction, table: ClassTable | None, columns: Sequence[str]
) -> Picture:
    """
    Return the images of a pair side by side, each CELL_WIDTH pixels wide.

    Args:
        pair: sources and reference labels.
        prediction: outputs.
        table: class table; None without labels.
        columns: titles of the columns, some of 'thermal', 'visible', 'fused', 'labels',
            'reference'; a reference that is missing stays empty.

    """
    assert prediction.fused is not None
    images: dict[str, Picture | None] = {
        'thermal': np.dstack([pair.thermal] * 3),
        'visible': pair.visible,
        'fused': prediction.fused,
        'labels': None,
        'reference': None,
    }
    if table is not None:
        assert prediction.labels is not None
        images['labels'] = paint(prediction.fused, prediction.labels, table)
        if pair.label is not None:
            images['reference'] = paint(prediction.fused, pair.label, table)
    height, width = pair.thermal.shape
    shown = (max(1, round(CELL_WIDTH * height / width)), CELL_WIDTH)
    cells = []
    for name in columns:
        cell = np.empty((*shown, 3), np.uint8)
        cell[:] = _PAPER
        image = images[name]
        if image is not None:
            enlarged = shown[1] > width
            how = cv2.INTER_CUBIC if enlarged else cv2.INTER_AREA
            cell[:] = cv2.resize(image, (shown[1], shown[0]), interpolation=how)
        cells += [cell, _blank(shown[0], _GAP)]
    return np.hstack(cells[:-1])


def write_sheets(
    predictor: Predictor,
    chosen: Sequence[tuple[str, Scored]],
    metric: str,
    folder: Path,
) -> list[Path]:
    """
    Predict the chosen pairs again and write contact sheets of four pairs each.

    Args:
        predictor: the model.
        chosen: what `choose` returned.
        metric: the ranking metric, first in the captions.
        folder: where sheet_01.png, sheet_02.png, ... go.

    Returns:
        The files.

    Raises:
        DatasetError: a file cannot be written.

    """
    table = None if predictor.is_classical else for_people(predictor.classes)
    paths = []
    for start in range(0, len(chosen), ROWS):
        rows = chosen[start : start + ROWS]
        columns = ['thermal', 'visible', 'fused']
        if table is not None:
            columns.append('labels')
            if any(scored.files.label is not None for _, scored in rows):
                columns.append('reference')
        width = len(columns) * (CELL_WIDTH + _GAP) - _GAP
        parts = [_titles(columns, width)]
        for kind, scored in rows:
            pair, prediction = _predict(predictor, scored.files)
            parts += [
                draw_row(pair, prediction, table, columns),
                _text_bar(caption(kind, scored, metric), width, kind.startswith('worst')),
            ]
        if table is not None:
            parts.append(draw_legend(table, width))
        paths.append(folder / f'sheet_{start // ROWS + 1:02d}.png')
        write_image(paths[-1], np.vstack(parts))
    return paths


def caption(kind: str, scored: Scored, metric: str) -> str:
    """Return the line under a pair: place, name, scores, the ranking one first."""
    names = [metric, *(n for n in (*_SHOWN, LABEL_SCORE) if n != metric)]
    figures = [f'{n} {scored.scores[n]:.3f}' for n in names if n in scored.scores]
    return f'{kind}: {scored.title}   ' + ', '.join(figures)


def _titles(columns: Sequence[str], width: int) -> Picture:
    """Return the bar with the names of the columns."""
    bar = _blank(_CAPTION_PX, width)
    for i, name in enumerate(columns):
        _write(bar, name, i * (CELL_WIDTH + _GAP) + 8, _INK)
    return bar


def _text_bar(text: str, width: int, warn: bool) -> Picture:
    bar = _blank(_CAPTION_PX, width)
    _write(bar, text, 8, _WARN if warn else _INK)
    return bar


def _write(bar: Picture, text: str, x: int, color: tuple[int, int, int]) -> None:
    """Write a line of text; OpenCV can draw ASCII only."""
    plain = text.encode('ascii', 'replace').decode('ascii')
    font, y = cv2.FONT_HERSHEY_SIMPLEX, _CAPTION_PX - 8
    cv2.putText(bar, plain, (x, y), font, 0.55, color, 1, cv2.LINE_AA)


def _blank(height: int, width: int) -> Picture:
    picture = np.empty((height, width, 3), np.uint8)
    picture[:] = _PAPER
    return picture
