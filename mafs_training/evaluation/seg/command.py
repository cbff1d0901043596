"""`mafs-eval seg`: prints the scores, writes JSON and report."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from mafs_model.classes import ClassTable
from mafs_model.files import write_text
from mafs_training.evaluation.console import say, warn
from mafs_training.evaluation.groups import parse_groups
from mafs_training.evaluation.parallel import default_jobs
from mafs_training.evaluation.results import write_json
from mafs_training.evaluation.seg.run import evaluate_seg
from mafs_training.evaluation.tables import number, text_table


def run(options: Namespace) -> int:
    """Run the command; returns the number of problems."""
    document = evaluate_seg(
        options.pred,
        options.label,
        ClassTable.load(options.classes),
        confidence=options.confidence,
        patterns=parse_groups(options.group),
        jobs=options.jobs or default_jobs(),
        quiet=options.quiet,
    )
    document['inputs']['command'] = options.command_line
    say(render(document))
    warn(document['problems'])
    if options.json:
        write_json(document, options.json)
    if options.html:
        from mafs_training.evaluation.seg.report import seg_page

        write_text(options.html, seg_page(document, visible=options.vi, thermal=options.ir))
    return len(document['problems'])


def render(document: dict[str, Any]) -> str:
    """Return the tables that the command prints."""
    overall = document['overall']
    parts = [
        (
            f'label images: {overall["images"]} ({document["classes"]["dataset"]}, '
            f'{len(overall["per_class"])} classes, one confusion matrix for all; '
            'unlabelled pixels left out)'
        ),
        class_table(overall),
        '',
        *summary_lines(overall),
    ]
    for group, scores in document['group_scores'].items():
        parts += ['', f'{group} ({scores["images"]} images)', *summary_lines(scores)]
    return '\n'.join(parts)


def class_table(scores: dict[str, Any]) -> str:
    """Return the table of classes."""
    rows = []
    for name, entry in scores['per_class'].items():
        low, high = entry['IoU_ci95']
        interval = f'{number(low, 3)}..{number(high, 3)}' if entry['IoU'] == entry['IoU'] else '-'
        rows.append(
            [
                name,
                number(entry['IoU']),
                interval,
                number(entry['accuracy']),
                number(entry['precision']),
                number(entry['boundary_F1']),
                str(entry['pixels']),
            ]
        )
    return text_table(
        ['class', 'IoU', '95 % interval', 'accuracy', 'precision', 'boundary F1', 'pixels'], rows
    )


def summary_lines(scores: dict[str, Any]) -> list[str]:
    """Return the scores over all classes."""

    def interval(key: str) -> str:
        entry = scores[key]
        low, high = entry['ci95']
        return f'{number(entry["value"])} ({number(low, 3)}..{number(high, 3)})'

    lines = [
        f'mIoU, all classes            {interval("mIoU")}   background in, absent class = 0',
        f'mIoU, present classes        {interval("mIoU_present")}   background in',
        f'mIoU, all, no background     {interval("mIoU_no_background")}',
        f'mIoU, present, no background {interval("mIoU_present_no_background")}',
        (
            f'pixel accuracy {number(scores["pixel_accuracy"])}, mean class accuracy '
            f'{number(scores["mean_accuracy"])}, boundary F1 {number(scores["boundary_F1"])}'
        ),
    ]
    if 'ECE' in scores:
        lines.append(f'expected calibration error {number(scores["ECE"])}')
    return lines
