"""Fit of the temperature of weights on labelled pairs, and what it does to other pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
import math
from typing import Any

from mafs_model.checkpoint import build_model, Checkpoint
from mafs_model.errors import ConfigError, DatasetError
from mafs_model.images.preprocessing import PIXEL_SCALE
from mafs_model.runtime.engine import LABEL_STRIDE
from mafs_training.datasets.layouts import PairFiles, read_pair
from mafs_training.datasets.reading import RawPair
from mafs_training.metrics.calibration import CalibrationCounts
from mafs_training.metrics.temperature import confidence, fit_temperature, likelihood
import numpy as np
from numpy.typing import NDArray
import torch
from tqdm import tqdm

PIXELS_PER_IMAGE = 20_000
_LAST_BIAS = 'segmentation_decoder.classify.bias'


@dataclass(frozen=True)
class LabelledLogits:
    """
    Pixels of a data set.

    Attributes:
        logits: float32 [N, C].
        targets: class ids uint8 [N].
        images: how many images they come from.
        problems: one line for each image that cannot be used.

    """

    logits: NDArray[np.float32]
    targets: NDArray[np.uint8]
    images: int
    problems: list[str]


def collect_logits(
    checkpoint: Checkpoint,
    files: Sequence[PairFiles],
    *,
    device: str = 'cpu',
    quiet: bool = True,
) -> LabelledLogits:
    """
    Run the network over labelled pairs and keep some of their pixels.

    Of each image 20 000 labelled pixels are drawn, the same in every run: neighbouring pixels say
    the same, and all of a thousand images would not fit into memory.

    Args:
        checkpoint: the weights; a temperature in it has no effect.
        files: pairs; those without label are left out.
        device: torch device.
        quiet: no progress bar.

    Raises:
        DatasetError: no labelled pixel.
        CheckpointError: the weights do not fit their architecture.

    """
    network = build_model(checkpoint, device)
    table, problems = checkpoint.classes, []
    logits, targets = [], []
    generator = np.random.default_rng(0)
    labelled = [one for one in files if one.label is not None]
    for one in tqdm(labelled, desc='calibrate', unit='', disable=quiet):
        try:
            pair = read_pair(one, len(table), table.ignore_index)
        except DatasetError as error:
            problems.append(str(error))
            continue
        assert pair.label is not None
        rows, columns = np.nonzero(pair.label != table.ignore_index)
        if len(rows) > PIXELS_PER_IMAGE:
            drawn = np.sort(generator.choice(len(rows), PIXELS_PER_IMAGE, replace=False))
            rows, columns = rows[drawn], columns[drawn]
        image = _logits(network, pair, device)
        # A label pixel belongs to the logit that the engines repeat over it.
        logits.append(image[:, rows // LABEL_STRIDE, columns // LABEL_STRIDE].T)
        targets.append(pair.label[rows, columns])
    if not targets or not sum(map(len, targets)):
        raise DatasetError(problems[0] if problems else 'no pair has a label image')
    return LabelledLogits(
        np.ascontiguousarray(np.concatenate(logits)),
        np.concatenate(targets),
        len(targets),
        problems,
    )


def shift_logits(checkpoint: Checkpoint, offsets: Sequence[str]) -> Checkpoint:
    """
    Add constants to the logits of classes, in the bias of the last layer: a balance of errors.

    Args:
        checkpoint: the weights; they are not changed.
        offsets: ``CLASS=VALUE`` each.

    Raises:
        ConfigError: no such class, or a value that is no finite number.

    """
    if not offsets:
        return checkpoint
    state = dict(checkpoint.state_dict)
    bias = state[_LAST_BIAS].clone()
    per_class = bias.view(len(checkpoint.classes), -1)  # the pixels of a cell are channels
    names = checkpoint.classes.names
    for name, shift in _by_class('offset', offsets, names).items():
        per_class[names.index(name)] += shift
    state[_LAST_BIAS] = bias
    return replace(checkpoint, state_dict=state)


def replace_peaks(checkpoint: Checkpoint, peaks: Sequence[str]) -> dict[str, float]:
    """
    Return the least peaks of weights, by class, with some of them replaced.

    Args:
        checkpoint: the weights; they are not changed.
        peaks: ``CLASS=VALUE`` each, 0 to below 1; 0 takes one away.

    Raises:
        ConfigError: no such class, or a value that cannot be a peak.

    """
    names = checkpoint.classes.names[1:]  # class 0 is what the others become
    changed = _by_class('peak', peaks, names)
    for name, value in changed.items():
        if not 0 <= value < 1:
            raise ConfigError(f"peak '{name}={value:g}': expected a number from 0 to below 1")
    kept = {**checkpoint.metadata.get('peaks', {}), **changed}
    return {name: value for name, value in kept.items() if value}


def _by_class(what: str, texts: Sequence[str], names: Sequence[str]) -> dict[str, float]:
    """Return the numbers in ``CLASS=VALUE`` texts; raises ConfigError."""
    found: dict[str, float] = {}
    for text in texts:
        name, _, value = text.partition('=')
        try:
            number = float(value)
            if name not in names or not math.isfinite(number):
                raise ValueError
        except ValueError:
            raise ConfigError(
                f'{what} {text!r}: expected CLASS=VALUE with a class of {", ".join(names)}'
            ) from None
        found[name] = number
    return found


def _logits(network: torch.nn.Module, pair: RawPair, device: str) -> NDArray[np.float32]:
    """Return the logits of a pair, float32 [C, ceil(H/2), ceil(W/2)]."""
    visible = torch.from_numpy(np.ascontiguousarray(pair.visible)).to(device)
    thermal = torch.from_numpy(np.ascontiguousarray(pair.thermal)).to(device)
    with torch.inference_mode():
        output = network(
            visible.permute(2, 0, 1)[None].float() * PIXEL_SCALE,
            thermal[None, None].float() * PIXEL_SCALE,
            full_logits=False,
        )
    return np.asarray(output.logits[0].float().cpu().numpy())


def calibration_scores(pixels: LabelledLogits, temperature: float) -> dict[str, Any]:
    """Return likelihood, ECE and reliability table of pixels at a temperature."""
    counts = CalibrationCounts(ignore_index=256)  # the unlabelled ones are gone already
    predicted = pixels.logits.argmax(axis=1)
    # Rounding can leave a probability a hair above 1.
    sure = np.minimum(confidence(pixels.logits, temperature), 1.0)
    counts.add_image(sure[None], predicted[None], pixels.targets[None].astype(np.int64))
    return {
        'NLL': likelihood(pixels.logits, pixels.targets, temperature),
        'ECE': counts.error,
        'accuracy': float((predicted == pixels.targets).mean()),
        'confidence': float(sure.mean()),
        'reliability': counts.table(),
    }


def calibrate(pixels: LabelledLogits) -> float:
    """Return the temperature that fits the pixels best, with six digits."""
    return float(f'{fit_temperature(pixels.logits, pixels.targets):.6g}')
