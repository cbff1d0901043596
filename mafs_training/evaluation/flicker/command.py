"""`mafs-eval flicker`: temporal change of fused images against that of their sources."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from mafs_model.files import write_text
from mafs_training.evaluation.bag.run import KeepingScaler
from mafs_training.evaluation.console import say, warn
from mafs_training.evaluation.flicker.run import FlickerRun, run_flicker
from mafs_training.evaluation.flicker.sequences import open_sequence
from mafs_training.evaluation.fusion.run import check_method_names
from mafs_training.evaluation.fusion.verdicts import span
from mafs_training.evaluation.images import list_images
from mafs_training.evaluation.named_folders import parse_folders
from mafs_training.evaluation.predictors import create_predictor, describe, method_name
from mafs_training.evaluation.results import new_document, write_json
from mafs_training.evaluation.tables import number, text_table
from tqdm import tqdm

COLUMNS = {
    'TD': 'TD',
    'ratio_max': 'of larger',
    'ratio_mean': 'of mean',
    'ratio_pixel': 'of pixel',
    'excess': 'excess',
    'ratio_level': 'of level',
    'ratio_still': 'of still',
}

_MEANING = (
    'of larger, of mean: TD over that of the sources, at most 1: no flicker is added',
    'of pixel: over the larger change of both at each pixel; excess: share beyond that',
    'of level: change of the mean brightness over that of the sources',
    'of still: change where both sources stand still over their own',
)


def run(options: Namespace) -> int:
    """Run the command; returns the number of problems."""
    folders = parse_folders(options.fused, '--fused')
    check_method_names(folders)
    with ExitStack() as stack:
        sequence = open_sequence(
            options.sequence,
            stack,
            rate_hz=options.rate,
            rgb_topic=options.rgb_topic,
            thermal_topic=options.thermal_topic,
        )
        predictor = stack.enter_context(create_predictor(options, scaler=KeepingScaler()))
        method = method_name(options.weights, predictor)
        document = new_document(
            'flicker', {'sequence': options.sequence, 'command': options.command_line}
        )
        document['model'] = describe(predictor, method)
        fused = {n: list_images(folder, f'fused ({n})') for n, folder in folders.items()}
        flicker = FlickerRun(predictor, method, fused)
        bar = stack.enter_context(tqdm(desc='flicker', unit=' frames', disable=options.quiet))
        document.update(
            run_flicker(sequence, flicker, limit=options.limit or 0, progress=bar.update)
        )
    say(render(document))
    warn(document['problems'])
    if options.json:
        write_json(document, options.json)
    if options.html:
        from mafs_training.evaluation.flicker.report import flicker_page

        write_text(options.html, flicker_page(document))
    return len(document['problems'])


def render(document: Mapping[str, Any]) -> str:
    """Return the table that the command prints."""
    sources = document['sources']
    rows = []
    for method, scores in document['methods'].items():
        row = [method]
        for name in COLUMNS:
            row.append(number(scores[name]['value'], 3))
            if name == 'ratio_max':
                row.append(span(scores[name]['ci95']))
        rows.append(row)
    header = ['method', *COLUMNS.values()]
    header.insert(header.index('of larger') + 1, '95 %')
    title = (
        f'flicker: {document["sequence"]}, {document["frames"]} frames, '
        f'{document["transitions"]} transitions'
    )
    change = (
        f'sources: temporal difference (TD) thermal {number(sources["TD_thermal"]["value"])}, '
        f'visible {number(sources["TD_visible"]["value"])} grey levels a frame; '
        f'{number(100 * sources["still"]["value"], 1)} % of the pixels stand still'
    )
    return '\n'.join([title, change, text_table(header, rows), *_MEANING])
