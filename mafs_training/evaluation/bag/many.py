"""Several bags in one table: processes or a cluster, each result kept, a broken bag a row."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
import hashlib
import json
from pathlib import Path
from typing import Any

from mafs_model.errors import ConfigError, MafsError
from mafs_model.files import write_text
from mafs_model.runtime.factory import find_weights
from mafs_training.evaluation.bag.evaluate import evaluate
from mafs_training.evaluation.bag.find import SUFFIXES
from mafs_training.evaluation.bag.many_report import bags_page
from mafs_training.evaluation.bag.many_table import bags_table
from mafs_training.evaluation.console import say, warn
from mafs_training.evaluation.parallel import default_jobs, map_tasks
from mafs_training.evaluation.results import new_document, plain, read_document, write_json

# Options that change where and how fast, not what is measured.
_ASIDE = (
    'bags', 'command', 'command_line', 'executor', 'html', 'jobs', 'json', 'quiet', 'results',
)  # fmt: skip


@dataclass(frozen=True)
class BagTask:
    """
    One bag that is to be measured.

    Attributes:
        bag: folder or file.
        options: the command line.
        state: what the result depends on: settings, weights and files.
        target: file that keeps the result; None keeps none.

    """

    bag: Path
    options: Namespace
    state: str
    target: Path | None


def run_many(options: Namespace, bags: Sequence[Path]) -> int:
    """Measure several bags; returns the number of problems."""
    for value, name in ((options.out_bag, '--out-bag'), (options.live, '--live')):
        if value:
            raise ConfigError(f'{name} is for one bag, got {len(bags)}')
    if options.labels is not None:
        raise ConfigError(f'--labels is for one bag, got {len(bags)}')
    jobs = min(options.jobs or default_jobs(), len(bags))
    tasks = [_task(options, bag, jobs) for bag in bags]
    rows = list(
        map_tasks(
            measure_bag,
            tasks,
            jobs=jobs,
            title='bags',
            quiet=options.quiet,
            scheduler=options.executor,
        )
    )
    document = new_document(
        'bags', {'bags': list(bags), 'command': options.command_line, 'weights': options.weights}
    )
    document['bags'] = rows
    document['problems'] = [problem for row in rows for problem in row['problems']]
    say(bags_table(document))
    warn(document['problems'])
    if options.json:
        write_json(document, options.json)
    if options.html:
        write_text(options.html, bags_page(document))
    return len(document['problems'])


def _task(options: Namespace, bag: Path, jobs: int) -> BagTask:
    """Return what is to be done for a bag."""
    own = Namespace(**{**vars(options), 'quiet': True})
    if options.executor:  # Workers have working folders of their own.
        bag = bag.absolute()
        for name, value in vars(own).items():
            if isinstance(value, Path):
                setattr(own, name, value.absolute())
        if Path(own.weights).is_file():
            own.weights = str(Path(own.weights).absolute())
    if (jobs > 1 or options.executor) and own.threads is None:
        own.threads = 1  # Bags side by side: their predictors must not compete for the cores.
    target = None
    if options.results is not None:
        # Bags of one name in different folders stay apart.
        mark = hashlib.sha256(str(bag.resolve()).encode()).hexdigest()[:8]
        target = own.results / f'{bag.stem}-{mark}.json'
    return BagTask(bag, own, _state(options, bag), target)


def _state(options: Namespace, bag: Path) -> str:
    """Return a digest of all that a result depends on."""
    files = [bag]
    if bag.is_dir():
        files = sorted(p for p in bag.iterdir() if p.suffix in (*SUFFIXES, '.yaml'))
    if options.weights != 'classical':
        files.append(find_weights(options.weights))
    if options.homography is not None:
        files.append(options.homography)
    settings = {key: value for key, value in vars(options).items() if key not in _ASIDE}
    stats = [(str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in files if f.is_file()]
    text = json.dumps([plain(settings), stats], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def measure_bag(task: BagTask) -> dict[str, Any]:
    """Return the row of a bag, from its kept result where that still holds."""
    document = _kept(task)
    if document is not None:
        return _row(task.bag, document, kept=True)
    try:
        document, _, _ = evaluate(task.options, task.bag)
        document['state'] = task.state
        if task.target is not None:
            write_json(document, task.target)
    except MafsError as error:
        problem = str(error)
        named = problem if str(task.bag) in problem else f'{task.bag}: {problem}'
        return {'bag': task.bag, 'kept': False, 'error': problem, 'problems': [named]}
    return _row(task.bag, plain(document), kept=False)


def _kept(task: BagTask) -> dict[str, Any] | None:
    """Return the result of an earlier run; None where it is missing or of something else."""
    if task.target is None or not task.target.is_file():
        return None
    try:
        document = read_document(task.target, ('bag',))
    except MafsError:
        return None  # Cut off or damaged: it is measured again.
    return document if document.get('state') == task.state else None


def _row(bag: Path, document: Mapping[str, Any], *, kept: bool) -> dict[str, Any]:
    """Return what the table keeps of a result."""
    pairing, latency = document['pairing'], document['latency']
    name = document['model']['name']
    return {
        'bag': bag,
        'kept': kept,
        'error': None,
        'method': name,
        'duration_s': pairing['duration_s'],
        'pairs': pairing['pairs'],
        'match_rate': pairing['match_rate'],
        'offset_max_ms': pairing['offset_max_ms'],
        'latency_median_ms': latency['median_ms'],
        'metrics': {m: cell['mean'] for m, cell in document['methods'][name].items()},
        'damage': document['damage'],
        'problems': [f'{bag}: {problem}' for problem in document['problems']],
    }
