"""`mafs-eval calibrate`: fits the temperature of weights and writes it into them."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from mafs_model.checkpoint import load_checkpoint, save_checkpoint
from mafs_model.decision import Decision
from mafs_model.runtime.device import resolve_device
from mafs_model.runtime.factory import find_weights
from mafs_training.evaluation.calibrate.run import (
    calibrate,
    calibration_scores,
    collect_logits,
    LabelledLogits,
    replace_peaks,
    shift_logits,
)
from mafs_training.evaluation.console import say, warn
from mafs_training.evaluation.pairs import evaluation_pairs
from mafs_training.evaluation.results import new_document, write_json
from mafs_training.evaluation.tables import number, text_table


def run(options: Namespace) -> int:
    """Run the command; returns the number of problems."""
    checkpoint = shift_logits(load_checkpoint(find_weights(options.weights)), options.offset)
    device, _ = resolve_device(options.device)
    peaks = replace_peaks(checkpoint, options.peak)
    splits: dict[str, LabelledLogits] = {}
    for split in dict.fromkeys([options.split, *options.check]):
        files = evaluation_pairs(
            options.data, options.dataset, split, label_folder=options.label_dir, labelled=True
        )
        splits[split] = collect_logits(checkpoint, files, device=device, quiet=options.quiet)
    temperature = calibrate(splits[options.split])
    before = Decision.from_metadata(checkpoint.metadata).temperature
    document = new_document(
        'calibrate',
        {
            'weights': checkpoint.weights_id,
            'data': options.data,
            'dataset': options.dataset,
            'split': options.split,
            'offset': options.offset,
            'peaks': peaks,
            'command': options.command_line,
        },
    )
    document['temperature'] = temperature
    document['temperature_before'] = before
    document['splits'] = {
        split: {
            'images': pixels.images,
            'pixels': len(pixels.targets),
            'before': calibration_scores(pixels, before),
            'after': calibration_scores(pixels, temperature),
        }
        for split, pixels in splits.items()
    }
    document['problems'] = [problem for pixels in splits.values() for problem in pixels.problems]
    if options.out:
        checksum = save_checkpoint(
            options.out,
            checkpoint.state_dict,
            {
                **checkpoint.metadata,
                'temperature': temperature,
                'peaks': peaks,
                'calibration': summary(document),
            },
        )
        document['sha256'] = checksum
    say(render(document))
    if options.out:
        say(f'written: {options.out}  sha256 {document["sha256"]}')
    warn(document['problems'])
    if options.json:
        write_json(document, options.json)
    return len(document['problems'])


def summary(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the weights file keeps of a calibration."""
    return {
        'fitted_on': f'{document["inputs"]["dataset"]} {document["inputs"]["split"]}',
        'offset': list(document['inputs']['offset']),
        'splits': {
            split: {
                'images': scores['images'],
                'pixels': scores['pixels'],
                **{
                    f'{key}_{when}': round(scores[when][key], 5)
                    for key in ('NLL', 'ECE')
                    for when in ('before', 'after')
                },
            }
            for split, scores in document['splits'].items()
        },
    }


def render(document: Mapping[str, Any]) -> str:
    """Return the table that the command prints."""
    rows = [
        [
            split + (' (fitted)' if split == document['inputs']['split'] else ''),
            str(scores['images']),
            str(scores['pixels']),
            number(scores['after']['accuracy']),
            *(
                number(scores[when][key])
                for key in ('confidence', 'NLL', 'ECE')
                for when in ('before', 'after')
            ),
        ]
        for split, scores in document['splits'].items()
    ]
    header = ['split', 'images', 'pixels', 'accuracy', 'confidence', 'after', 'NLL', 'after']
    return '\n'.join(
        [
            f'temperature {document["temperature"]:g} (before {document["temperature_before"]:g})',
            text_table([*header, 'ECE', 'after'], rows),
        ]
    )
