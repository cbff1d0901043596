"""`mafs-eval panels`: contact sheets of what a model makes of a data set."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from mafs_model.errors import ConfigError
from mafs_training.datasets.layouts import PairFiles
from mafs_training.evaluation.console import say, warn
from mafs_training.evaluation.pairs import evaluation_pairs
from mafs_training.evaluation.panels.run import caption, choose, rank_pairs, RANKS, write_sheets
from mafs_training.evaluation.predictors import create_predictor


def run(options: Namespace) -> int:
    """Run the command; returns the number of problems."""
    if options.rank not in RANKS:
        raise ConfigError(f'--rank {options.rank!r}: expected one of {", ".join(RANKS)}')
    sets: dict[str, list[PairFiles]] = {}
    for root in options.data:
        name = _set_name(root, options.split)
        if name in sets:
            raise ConfigError(f'--data: {name!r} is given twice')
        sets[name] = evaluation_pairs(
            root, options.dataset, options.split, label_folder=options.label_dir
        )
    with create_predictor(options) as predictor:
        ranking = rank_pairs(predictor, sets, options.rank, quiet=options.quiet)
        chosen = choose(ranking, options.count)
        paths = write_sheets(predictor, chosen, options.rank, options.out)
        say(f'{predictor.weights_id}: {len(chosen)} of {len(ranking.pairs)} pairs')
    for kind, scored in chosen:
        say(caption(kind, scored, options.rank))
    say(f'written: {", ".join(map(str, paths))}')
    warn(ranking.problems)
    return len(ranking.problems)


def _set_name(root: Path, split: str) -> str:
    """Return how a data set is called under its panels."""
    resolved = root.resolve()
    return f'{resolved.name}/{split}' if (resolved / split).is_dir() else resolved.name
