"""What a command tells its user: results on stdout, problems on stderr."""

from __future__ import annotations

from collections.abc import Sequence
import sys

from mafs_training.evaluation.tables import problem_lines


def say(text: str) -> None:
    """Write a result to stdout."""
    sys.stdout.write(text + '\n')
    sys.stdout.flush()


def warn(problems: Sequence[str]) -> None:
    """Write one line for each problem to stderr."""
    for line in problem_lines(problems):
        sys.stderr.write(line + '\n')
    sys.stderr.flush()
