"""Check that the weights which come with the package are the files that were shipped."""

from __future__ import annotations

import hashlib
from pathlib import Path
import re

from mafs_model.errors import CheckpointError

# The format of sha256sum: `sha256sum --check SHA256SUMS` in that folder says the same.
CHECKSUM_FILE = 'SHA256SUMS'
_LINE = re.compile(r'([0-9a-f]{64}) [ *]([^/\\]+)')


def check_shipped(weights: Path) -> None:
    """
    Compare weights, and the graphs beside them, with the checksums in their folder.

    The checksum inside a weights file covers its tensors only and is not looked at where a graph
    beside them is run.

    Args:
        weights: shipped weights file.

    Raises:
        CheckpointError: a file differs or the weights are not listed; the message names file,
            expected and found checksum.

    """
    expected = _read_checksums(weights.with_name(CHECKSUM_FILE), weights)
    for name, checksum in expected.items():
        path = weights.with_name(name)
        if not path.is_file():
            continue  # A graph that was left out is not used; the weights were found before.
        try:
            found = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise CheckpointError(f"weights '{path}': cannot be read: {error}") from None
        if found != checksum:
            raise CheckpointError(
                f"weights '{path}': sha256 is {found}, expected {checksum} as in {CHECKSUM_FILE}: "
                'the shipped file was changed or damaged, install it again'
            )


def _read_checksums(path: Path, weights: Path) -> dict[str, str]:
    """Return file name -> checksum; raises CheckpointError if the weights are not among them."""
    checksums = read_lines(path, f"weights '{weights}'")
    if weights.name not in checksums:
        raise CheckpointError(f"weights '{weights}': not listed in '{path.name}' beside it")
    return checksums


def read_lines(path: Path, where: str) -> dict[str, str]:
    """
    Return the checksums in a file by the names of the files.

    Args:
        path: file in the format of sha256sum.
        where: what messages begin with.

    Raises:
        CheckpointError: it cannot be read or has a malformed line.

    """
    try:
        lines = path.read_text(encoding='utf-8').splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, 'strerror', None) or error
        raise CheckpointError(f"{where}: '{path.name}': {reason}") from None
    checksums = {}
    for line in lines:
        match = _LINE.fullmatch(line)
        if match is None:
            raise CheckpointError(
                f"{where}: '{path.name}': line {line!r}, expected a checksum of 64 "
                'hexadecimal digits, two spaces and a file name'
            )
        checksums[match[2]] = match[1]
    return checksums
