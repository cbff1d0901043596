"""Goals that somebody has for a model, read from a file, and whether results reach them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
import math
from pathlib import Path
from typing import Any

from mafs_model.errors import ConfigError
from mafs_model.numeric import is_finite
from mafs_model.yaml_files import read_yaml
from mafs_training.evaluation.tables import number, text_table
from mafs_training.metrics.fusion import LOWER_IS_BETTER, METRICS

_KEYS = ('rivals', 'within', 'at_least', 'at_most')
_EXAMPLE = 'EN, mIoU, found_tall person or day: clear person'


@dataclass(frozen=True)
class Goals:
    """
    What results have to reach.

    Attributes:
        rivals: fusion metrics in which the best rival has to be reached.
        within: by which share of the rival's value they may miss it, 0 to 1.
        at_least: score to its lowest value. A score is a fusion metric, `mIoU`,
            `mIoU_present`, or a score of objects with its class ('clear person'), behind a group
            and a colon where it is of a group only ('day: clear person').
        at_most: score to its highest value.

    """

    rivals: tuple[str, ...] = ()
    within: float = 0.0
    at_least: Mapping[str, float] = field(default_factory=dict)
    at_most: Mapping[str, float] = field(default_factory=dict)


def read_goals(path: Path) -> Goals:
    """
    Read goals from a YAML file.

    Raises:
        ConfigError: not readable, an unknown key or metric, or a value that is no number.

    """
    data = read_yaml(path, 'goals file')
    where = f"goals file '{path}'"
    if not isinstance(data, Mapping) or not data:
        raise ConfigError(f'{where}: expected a mapping of {", ".join(_KEYS)}')
    unknown = [key for key in data if key not in _KEYS]
    if unknown:
        raise ConfigError(f'{where}: unknown key {unknown[0]!r}, expected {", ".join(_KEYS)}')
    rivals = data.get('rivals', [])
    strange = rivals if not isinstance(rivals, list) else [m for m in rivals if m not in METRICS]
    if strange:
        raise ConfigError(f'{where}: rivals {strange!r}, expected a list of {", ".join(METRICS)}')
    within = data.get('within', 0.0)
    if not (is_finite(within) and 0 <= within <= 1):
        raise ConfigError(f'{where}: within {within!r}, expected a share from 0 to 1')
    limits = {key: _limits(data.get(key, {}), f'{where}: {key}') for key in _KEYS[2:]}
    return Goals(tuple(rivals), float(within), **limits)


def _limits(data: Any, where: str) -> dict[str, float]:
    """Return score to limit; raises ConfigError."""
    if not isinstance(data, Mapping):
        raise ConfigError(f'{where} is {data!r}, expected scores with a number each')
    for key, value in data.items():
        if not isinstance(key, str) or not is_finite(value):
            raise ConfigError(
                f'{where}: {key!r}: {value!r}, expected a score such as {_EXAMPLE} and a number'
            )
    return {key: float(value) for key, value in data.items()}


def judge(goals: Goals, document: Mapping[str, Any], method: str) -> list[dict[str, Any]]:
    """
    Say of every goal whether a method reaches it.

    Args:
        goals: the goals.
        document: a fusion or model document, its verdicts included.
        method: the method under test.

    Returns:
        One row a goal: {'goal', 'value', 'limit', 'reached'}; value and reached are None where
        the document has no such score.

    """
    rows = []
    verdicts = document['verdicts'].get(method, {})
    for metric in goals.rivals:
        row = verdicts.get(metric)
        lower = metric in LOWER_IS_BETTER
        limit = None
        if row is not None:
            margin = goals.within * abs(row['best'])
            limit = row['best'] + margin if lower else row['best'] - margin
        rival = 'the best rival' if row is None else row['rival']
        title = f'{metric} of {rival}'
        if goals.within:
            title += f', {100 * goals.within:g} % {"more" if lower else "less"}'
        rows.append(_row(title, None if row is None else row['value'], limit, lower=lower))
    for limits, lower in ((goals.at_least, False), (goals.at_most, True)):
        for key, limit in limits.items():
            rows.append(_row(key, score_of(document, method, key), limit, lower=lower))
    return rows


def _row(goal: str, value: float | None, limit: float | None, *, lower: bool) -> dict[str, Any]:
    known = value is not None and limit is not None and math.isfinite(value)
    reached = None
    if known:
        assert value is not None
        assert limit is not None
        reached = value <= limit if lower else value >= limit
    return {
        'goal': f'{goal} (at most)' if lower else goal,
        'value': value if known else None,
        'limit': limit,
        'reached': reached,
    }


def score_of(document: Mapping[str, Any], method: str, key: str) -> float | None:
    """Return a score by its name in a goals file; None where the document lacks it."""
    group, separator, name = key.partition(':')
    group, name = (group.strip(), name.strip()) if separator else ('all', key.strip())
    if name in document['methods'].get(method, {}):
        if group == 'all':
            return _plain(document['methods'][method][name]['mean'])
        return _plain(document['group_means'].get(group, {}).get(method, {}).get(name))
    score, _, kind = name.rpartition(' ')
    for part in ('clear', 'objects'):
        scores = (document.get(part) or {}).get('scores', {})
        cell = scores.get(group, {}).get(method, {}).get(kind, {}).get(score)
        if cell is not None:
            return _plain(cell['value'])
    labels = (document.get('modalities') or {}).get('both', {}).get(group, {})
    return _plain(labels[name]['value']) if name in ('mIoU', 'mIoU_present') and labels else None


def _plain(value: Any) -> float | None:
    return None if value is None else float(value)


def goals_table(rows: Sequence[Mapping[str, Any]], method: str) -> str:
    """Return the table that is printed, and how many goals are reached."""
    lines = [
        [row['goal'], number(row['value']), number(row['limit']), reached_text(row)]
        for row in rows
    ]
    return '\n'.join(
        [text_table(['goal', method, 'limit', 'reached'], lines), goals_sentence(rows, method)]
    )


def reached_text(row: Mapping[str, Any]) -> str:
    """Return 'yes', 'NO' or 'not measured'."""
    return {True: 'yes', False: 'NO', None: 'not measured'}[row['reached']]


def goals_sentence(rows: Sequence[Mapping[str, Any]], method: str) -> str:
    """Return in one sentence how many goals are reached, and which are not."""
    missed = [row['goal'] for row in rows if row['reached'] is False]
    unknown = [row['goal'] for row in rows if row['reached'] is None]
    text = f'{method} reaches {len(rows) - len(missed) - len(unknown)} of {len(rows)} goals'
    if missed:
        text += f'; not {", ".join(missed)}'
    return f'{text}; not measured: {", ".join(unknown)}' if unknown else text
