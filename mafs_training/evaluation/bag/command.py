"""`mafs-eval bag`: fuses a recording offline, prints and writes what came out."""

from __future__ import annotations

from argparse import Namespace
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from mafs_model.bags.reader import BagReader, open_bag
from mafs_model.bags.topics import choose_topics
from mafs_model.calibration.rig_registration import load_registration
from mafs_model.errors import ConfigError
from mafs_model.files import write_text
from mafs_model.images.cameras import load_camera
from mafs_model.predictor import Predictor
from mafs_model.streams import NS_PER_S
from mafs_training.evaluation.bag.find import find_bags
from mafs_training.evaluation.bag.pairs import BagPairing, PairingSettings
from mafs_training.evaluation.bag.run import bag_document, BagOutcome, KeepingScaler, process_bag
from mafs_training.evaluation.console import say, warn
from mafs_training.evaluation.fusion.baselines import SOURCES
from mafs_training.evaluation.fusion.verdicts import headline
from mafs_training.evaluation.predictors import describe, method_name
from mafs_training.evaluation.results import new_document, write_json
from mafs_training.evaluation.seg import command as seg
from mafs_training.evaluation.tables import means_of, metric_table, number
from mafs_training.metrics.fusion import LOWER_IS_BETTER
from tqdm import tqdm


def run(options: Namespace) -> int:
    """Run the command; returns the number of problems."""
    bags = find_bags(options.bags)
    if bags != options.bags or len(bags) > 1:
        from mafs_training.evaluation.bag.many import run_many

        return run_many(options, bags)
    if options.results is not None:
        raise ConfigError('--results keeps the results of several bags: expected more than one')
    document, outcome, predictor = evaluate(options, bags[0])
    say(render(document))
    warn(document['problems'])
    if options.json:
        write_json(document, options.json)
    if options.html:
        from mafs_training.evaluation.bag.report import bag_page

        write_text(options.html, bag_page(document, outcome, predictor))
    return len(document['problems'])


def evaluate(options: Namespace, bag: Path) -> tuple[dict[str, Any], BagOutcome, Predictor]:
    """
    Measure one bag.

    Args:
        options: the command line.
        bag: folder or file.

    Returns:
        The document described in docs/evaluation.md, what it was made of, and the predictor.

    Raises:
        MafsError: nothing of it could be measured.

    """
    with ExitStack() as stack:
        reader = stack.enter_context(open_bag(bag, options.thermal_camera))
        topics = choose_topics(reader, options.rgb_topic, options.thermal_topic)
        predictor = bag_predictor(options)
        method = method_name(options.weights, predictor)
        pairing = BagPairing(reader, topics['visible'], topics['thermal'], settings_of(options))
        outcome = _process(options, stack, reader, topics, pairing, predictor, method)
        document = new_document(
            'bag',
            {
                'bag': bag,
                'command': options.command_line,
                'fused': {method: ''},
                'visible_topic': topics['visible'],
                'thermal_topic': topics['thermal'],
            },
        )
        document['model'] = describe(predictor, method)
        document.update(bag_document(outcome, pairing, predictor, method))
        document['damage'] = reader.damage
        if reader.damage:
            document['problems'].insert(
                0, f'bag {bag} is damaged, what could be read is evaluated: {reader.damage}'
            )
    document['live'] = None
    if options.live:
        from mafs_training.evaluation.bag.live import compare_live

        document['live'] = compare_live(options, bag, topics, settings_of(options), predictor)
        document['problems'] += document['live']['problems']
    return document, outcome, predictor


def _process(
    options: Namespace,
    stack: ExitStack,
    reader: BagReader,
    topics: dict[str, str],
    pairing: BagPairing,
    predictor: Predictor,
    method: str,
) -> BagOutcome:
    """Run over the bag, with a progress bar and, if asked for, an output bag."""
    sink = None
    if options.out_bag:
        from mafs_training.evaluation.bag.writer import OutputBag

        sink = stack.enter_context(OutputBag(options.out_bag)).write
    expected = min(
        (reader.topics[t].count for t in topics.values() if t in reader.topics), default=0
    )
    bar = stack.enter_context(
        tqdm(total=expected or None, desc='bag', unit=' pairs', disable=options.quiet)
    )
    return process_bag(
        pairing,
        predictor,
        method=method,
        every=options.metrics_every,
        limit=options.limit,
        labels=options.labels,
        sink=sink,
        progress=bar.update,
    )


def settings_of(options: Namespace) -> PairingSettings:
    """Return the pairing that the options ask for."""
    offset = options.time_offset
    return PairingSettings(
        round(options.slop * NS_PER_S),
        max(2, options.queue_size),
        None if offset == 'auto' else round(offset * NS_PER_S),
    )


def bag_predictor(options: Namespace) -> Predictor:
    """Return the predictor that the options ask for."""
    registration = load_registration(options.homography) if options.homography else None
    return Predictor.create(
        options.weights,
        device=options.device,
        backend=options.backend,
        precision=options.precision,
        threads=options.threads,
        registration=registration,
        thermal_scaler=KeepingScaler(
            options.thermal_scaling,
            smoothing=options.thermal_smoothing,
            polarity=load_camera(options.thermal_camera).polarity,
        ),
    )


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
