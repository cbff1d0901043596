"""`mafs-eval bag`: fuses a recording offline, prints and writes what came out."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from mafs_model.errors import ConfigError
from mafs_model.files import write_text
from mafs_training.evaluation.bag.evaluate import evaluate
from mafs_training.evaluation.bag.find import find_bags
from mafs_training.evaluation.bag.many import run_many
from mafs_training.evaluation.console import say, warn
from mafs_training.evaluation.fusion.baselines import SOURCES
from mafs_training.evaluation.fusion.verdicts import headline
from mafs_training.evaluation.results import write_json
from mafs_training.evaluation.seg import command as seg
from mafs_training.evaluation.tables import means_of, metric_table, number
from mafs_training.metrics.fusion import LOWER_IS_BETTER


def run(options: Namespace) -> int:
    """Run the command; returns the number of problems."""
    bags = find_bags(options.bags)
    if bags != options.bags or len(bags) > 1:
        return run_many(options, bags)
    if options.results is not None:
        raise ConfigError('--results keeps the results of several bags: expected more than one')
    if options.executor:
        raise ConfigError('--executor is for several bags, got one')
    document, outcome, predictor = evaluate(options, bags[0])
    say(render(document))
    warn(document['problems'])
    if options.json:
        write_json(document, options.json)
    if options.html:
        from mafs_training.evaluation.bag.report import bag_page

        write_text(options.html, bag_page(document, outcome, predictor))
    return len(document['problems'])


def render(document: dict[str, Any]) -> str:
    """Return what the command prints."""
    inputs, pairing, latency = document['inputs'], document['pairing'], document['latency']
    model = document['model']
    frames = pairing['frames']
    drops = [
        f'{reason} {count} {stream}'
        for stream, counts in pairing['dropped'].items()
        for reason, count in sorted(counts.items())
    ]
    parts = [
        (
            f'bag {inputs["bag"]}: {pairing["duration_s"]:.1f} s, {inputs["visible_topic"]} '
            f'{frames.get("visible", 0)} frames, {inputs["thermal_topic"]} '
            f'{frames.get("thermal", 0)} frames'
        ),
        f'model {model["weights_id"]} on {model["device"]} ({model["backend"]})',
        *model['notices'],
        (
            f'pairs: {pairing["pairs"]} ({100 * pairing["match_rate"]:.1f} % of the slower '
            'stream), '
            f'offset mean {pairing["offset_mean_ms"]:.2f} ms, max {pairing["offset_max_ms"]:.2f} '
            f'ms, largest gap {pairing["largest_gap_ms"]:.0f} ms'
        ),
        f'frames without pair: {", ".join(drops) or "none"}',
        (
            f'latency: median {latency["median_ms"]:.1f} ms, 90 % {latency["p90_ms"]:.1f} ms, '
            f'99 % {latency["p99_ms"]:.1f} ms, max {latency["max_ms"]:.1f} ms; '
            f'{latency["pairs_per_s"]:.1f} pairs/s with reading, '
            f'{latency["times_real_time"]:.2f} times real time'
        ),
        '',
        f'fusion metrics, mean over {len(document["names"])} measured pairs (* best that fuses)',
        metric_table(
            means_of(document['methods']), document['metrics'], LOWER_IS_BETTER, aside=SOURCES
        ),
        *(headline(rows, method) for method, rows in document['verdicts'].items()),
    ]
    if document['labels'] is not None:
        overall = document['labels']['overall']
        parts += [
            '',
            f'labels: {overall["images"]} images',
            seg.class_table(overall),
            *seg.summary_lines(overall),
        ]
    if document['live'] is not None:
        parts += ['', *live_lines(document['live'])]
    return '\n'.join(parts)


def live_lines(live: dict[str, Any]) -> list[str]:
    """Return what the comparison with the node found."""
    drops = ', '.join(f'{reason} {count}' for reason, count in live['node_drops'].items())
    drops = drops or 'no drops'
    return [
        (
            f'live: {live["processed"]} of {live["offline_pairs"]} pairs processed by the node, '
            f'{live["dropped"]} not (the node counts {drops}; {live["frames_lost"]} frames lost '
            'in '
            'transport)'
        ),
        (
            f'live: {live["compared"]} outputs compared pixel by pixel, {live["identical"]} '
            f'identical, {live["different"]} different; {live["unexpected"]} pairs that offline '
            'does not form'
        ),
        f'live: latency median {number(live["latency_median_ms"], 1)} ms',
    ]
