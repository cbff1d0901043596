"""The work of ``mafs fuse``: every pair of a source through the predictor into a sink."""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass, field
from functools import partial
import sys
import time
from typing import Any

from mafs_model.command_line import quiet_start
from mafs_model.detections import DetectionCounts
from mafs_model.errors import ConfigError, ImageError
from mafs_model.pair_setup import check_settings, create_predictor, open_source
from mafs_model.predictor import Predictor, WITH_DETECTIONS
from mafs_model.result import Painter
from mafs_model.sinks.opening import open_sink
from mafs_model.sinks.results import ClassShares, Sink
from mafs_model.sinks.window import Window
from mafs_model.sources.items import PairSource
import numpy as np
from tqdm import tqdm

MAX_RATE_HZ = 1000.0
_MAX_PROBLEMS = 1000  # A folder of a million unreadable files must not fill the memory.


@dataclass
class FuseReport:
    """
    What became of the pairs.

    Attributes:
        out: where the results are, as it was given; empty: they were shown only.
        files: files and folders that hold them.
        pairs: number of pairs fused.
        left_out: one line for each file or pair left out, the first thousand.
        notices: one line for each pair with an image that shows nothing, the first thousand.
        weights: identification of the weights.
        backend: what computed.
        device: where.
        class_shares: class name -> share of all pixels, 0 to 1, largest first; empty without a
            network.
        detections: class name -> what was found of it, see ``DetectionCounts.summary``.
        seconds: wall time of reading, computing and writing.
        ms_per_pair: median time of the predictor for a pair, None without pairs.

    """

    out: str
    files: list[str] = field(default_factory=list)
    pairs: int = 0
    left_out: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    weights: str = ''
    backend: str = ''
    device: str = ''
    class_shares: dict[str, float] = field(default_factory=dict)
    detections: dict[str, dict[str, Any]] = field(default_factory=dict)
    seconds: float = 0.0
    ms_per_pair: float | None = None

    def to_dict(self) -> dict[str, object]:
        """Return plain values for JSON."""
        values = asdict(self)
        values['class_shares'] = {n: round(s, 6) for n, s in self.class_shares.items()}
        values['seconds'] = round(self.seconds, 3)
        values['ms_per_pair'] = None if self.ms_per_pair is None else round(self.ms_per_pair, 3)
        return values

    def summary(self) -> str:
        """Return one to three lines for people."""
        into = f' into {self.out}' if self.out else ''
        lines = f'{self.pairs} fused{into} ({self.weights}, {self.device})'
        shown = [f'{n} {100 * s:.1f} %' for n, s in self.class_shares.items() if s >= 0.0005]
        lines += f'\nclasses: {", ".join(shown)}' if shown else ''
        found = [_detected(name, figures) for name, figures in self.detections.items()]
        return lines + (f'\ndetections: {", ".join(found)}' if found else '')


def _detected(name: str, figures: dict[str, Any]) -> str:
    """Return what is said about the objects of a class."""
    followed = f' of {figures["tracks"]} objects' if 'tracks' in figures else ''
    warm = figures['temperature']
    return f'{name} {figures["detections"]}{followed}' + (f' at {warm} C' if warm else '')


def fuse(arguments: argparse.Namespace) -> FuseReport:
    """
    Fuse what the arguments of ``mafs fuse`` name.

    Pairs that cannot be used are left out and reported; the rest is done. Inputs and outputs are
    checked before weights are read.

    Args:
        arguments: parsed options, see ``mafs_model.cli``.

    Raises:
        MafsError: settings, inputs, weights or device are wrong; results cannot be written.

    """
    if not 0.0 <= arguments.opacity <= 1.0:
        raise ConfigError(f'--opacity {arguments.opacity:g}: expected 0 to 1')
    if arguments.rate is not None and not 0 < arguments.rate <= MAX_RATE_HZ:
        raise ConfigError(
            f'--rate {arguments.rate:g}: expected more than 0, at most {MAX_RATE_HZ:g}'
        )
    if arguments.out is None and not arguments.show:
        raise ConfigError('no --out: expected a folder, a picture or a video, or --show')
    check_settings(arguments)
    source = open_source(arguments)
    window = None
    try:
        sinks: list[Sink] = []
        if arguments.out is not None:
            sink = open_sink(
                arguments.out,
                source,
                picture=arguments.picture,
                rate_hz=arguments.rate,
                overwrite=arguments.overwrite,
            )
            sinks.append(sink)
        report = FuseReport(arguments.out or '')
        if source.count == 0:
            report.left_out = source.problems[:_MAX_PROBLEMS]
            return report
        if arguments.show:
            window = Window(_shown_hz(source, arguments.rate), arguments.picture or 'panels')
            sinks.append(window)
        with quiet_start('mafs fuse'):
            made = create_predictor(arguments, source.is_sequence)
        with made as predictor:
            _run(predictor, source, sinks, report, arguments)
        return report
    finally:
        source.close()
        if window is not None:
            window.close()


def _shown_hz(source: PairSource, rate_hz: float | None) -> float | None:
    """Return how many pictures a second a window shows, 0 for single pictures, None for all."""
    if not source.is_sequence:
        return rate_hz or 0.0
    return None if source.is_live else rate_hz or source.rate_hz


def _run(
    predictor: Predictor,
    source: PairSource,
    sinks: list[Sink],
    report: FuseReport,
    arguments: argparse.Namespace,
) -> None:
    """Fuse all pairs into the sinks and fill the report."""
    painter = Painter(arguments.opacity)
    shares = ClassShares(predictor.classes)
    counts = DetectionCounts(source.is_sequence)
    times: list[float] = []
    left_out: list[str] = []
    start = time.perf_counter()
    bar = tqdm(
        source,
        total=source.count,
        unit='pair',
        desc='fusing',
        disable=arguments.quiet or source.count == 1,
        file=sys.stderr,
    )
    try:
        try:
            for item in bar:
                try:
                    images = item.read()
                    prediction = predictor.predict(images.visible, images.thermal, WITH_DETECTIONS)
                except ImageError as error:
                    _note(left_out, item.name, error)
                    continue
                for notice in prediction.notices:
                    _note(report.notices, item.name, notice)
                result = predictor.result(prediction, images, item.name)
                for sink in sinks:
                    sink.write(item.name, partial(painter.paint, result))
                report.pairs += 1
                times.append(sum(prediction.timings_ms.values()))
                if prediction.labels is not None and not predictor.is_classical:
                    shares.add_labels(prediction.labels)
                    counts.add_pair(prediction.detections or ())
                if any(isinstance(sink, Window) and sink.ended for sink in sinks):
                    break
        except KeyboardInterrupt:
            if not source.is_live:
                raise
            # A camera has no end of its own: this is how people stop it.
        for sink in sinks:
            sink.close()
    except BaseException:
        for sink in sinks:
            sink.abort()
        raise
    finally:
        bar.close()
    report.seconds = time.perf_counter() - start
    report.left_out = [*source.problems, *left_out][:_MAX_PROBLEMS]
    report.files = [name for sink in sinks for name in sink.files()]
    report.weights, report.backend = predictor.weights_id, predictor.backend
    report.device = predictor.device
    report.class_shares = shares.shares()
    report.detections = counts.summary()
    report.ms_per_pair = float(np.median(times)) if times else None


def _note(lines: list[str], name: str, text: object) -> None:
    """Keep a line about a pair, of a bounded number."""
    if len(lines) < _MAX_PROBLEMS:
        lines.append(f"pair '{name}': {text}")
