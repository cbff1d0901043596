"""The work of ``mafs fuse``: every pair of files through the predictor, results as PNG."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
import sys

from mafs_model.errors import ConfigError, ImageError
from mafs_model.images.image_files import (
    match_pairs,
    PairFiles,
    read_thermal,
    read_visible,
    write_png,
)
from mafs_model.images.preprocessing import parse_size
from mafs_model.images.registration import Registration
from mafs_model.images.thermal import ThermalScaler
from mafs_model.images.visualization import overlay, put_notice
from mafs_model.predictor import Predictor
from tqdm import tqdm


@dataclass(frozen=True)
class FuseReport:
    """
    What became of the files.

    Attributes:
        done: number of pairs fused.
        problems: one line for each file or pair left out.
        summary: one line for people.

    """

    done: int
    problems: list[str]
    summary: str


def fuse_files(arguments: argparse.Namespace) -> FuseReport:
    """
    Fuse what the arguments of ``mafs fuse`` name.

    Files that cannot be used are left out and reported; the rest is done.

    Args:
        arguments: parsed options, see ``mafs_model.cli``.

    Raises:
        MafsError: settings, weights or device are wrong; results cannot be written.

    """
    if not 0.0 <= arguments.opacity <= 1.0:
        raise ConfigError(f'--opacity {arguments.opacity:g}: expected 0 to 1')
    pairs, problems = match_pairs(arguments.rgb, arguments.thermal)
    out = Path(arguments.out).expanduser()
    done = 0
    with create_predictor(arguments) as predictor:
        bar = tqdm(pairs, unit='pair', desc='fusing', disable=len(pairs) < 2, file=sys.stderr)
        for pair in bar:
            try:
                _fuse_pair(predictor, pair, out, arguments.opacity)
                done += 1
            except ImageError as error:
                problems.append(str(error))
        summary = f'{done} fused into {out} ({predictor.weights_id}, {predictor.device})'
    return FuseReport(done, problems, summary)


def create_predictor(arguments: argparse.Namespace) -> Predictor:
    """Return the predictor that the options describe; raises MafsError."""
    low, high = arguments.thermal_range or (None, None)
    scaler = ThermalScaler(
        arguments.thermal_scaling,
        low,
        high,
        unit=arguments.thermal_unit,
        # Unrelated files must not influence each other, whatever their order.
        smoothing=0.9 if arguments.sequence else 0.0,
    )
    return Predictor.create(
        arguments.weights,
        device=arguments.device,
        backend=arguments.backend,
        precision=arguments.precision,
        threads=arguments.threads,
        classes=arguments.classes,
        inference_size=parse_size(arguments.size) if arguments.size else None,
        output_size=parse_size(arguments.output_size) if arguments.output_size else None,
        registration=Registration.load(arguments.homography) if arguments.homography else None,
        thermal_scaler=scaler,
    )


def _fuse_pair(predictor: Predictor, pair: PairFiles, out: Path, opacity: float) -> None:
    """Fuse one pair and write its results."""
    visible = None if pair.visible is None else read_visible(pair.visible)
    thermal = None if pair.thermal is None else read_thermal(pair.thermal)
    try:
        prediction = predictor.predict(visible, thermal)
    except ImageError as error:
        raise ImageError(error.reason, f"pair '{pair.name}': {error}") from None
    assert prediction.fused is not None
    assert prediction.labels is not None
    picture = overlay(prediction.fused, prediction.labels, predictor.classes, opacity)
    if predictor.is_classical:
        put_notice(picture, predictor.notices[0])
    write_png(out / 'fused' / f'{pair.name}.png', prediction.fused)
    write_png(out / 'labels' / f'{pair.name}.png', prediction.labels)
    write_png(out / 'overlay' / f'{pair.name}.png', picture)
