"""Measures one bag as the command line asks for it."""

from __future__ import annotations

from argparse import Namespace
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from mafs_model.bags.reader import BagReader, open_bag
from mafs_model.bags.topics import choose_topics
from mafs_model.calibration.rig_registration import load_registration
from mafs_model.images.cameras import load_camera
from mafs_model.predictor import Predictor
from mafs_model.streams import NS_PER_S
from mafs_training.evaluation.bag.pairs import BagPairing, PairingSettings
from mafs_training.evaluation.bag.run import bag_document, BagOutcome, KeepingScaler, process_bag
from mafs_training.evaluation.predictors import describe, method_name
from mafs_training.evaluation.results import new_document
from tqdm import tqdm


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
