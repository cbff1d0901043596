"""Checksums of exported graphs: what is executed is what was written."""

from __future__ import annotations

import hashlib
from pathlib import Path

from mafs_model.errors import CheckpointError
from mafs_model.files import write_text
from mafs_model.runtime.checksums import read_lines

SUFFIX = '.sha256'  # of a file beside the graph, in the format of sha256sum


def parts_of(graph: Path) -> tuple[Path, ...]:
    """Return the files that make up a graph."""
    if graph.suffix == '.xml':
        return graph, graph.with_suffix('.bin')
    if graph.suffix == '.engine':
        return graph, graph.with_name(graph.name + '.json')
    return (graph,)


def write_checksums(graph: Path) -> None:
    """
    Write the checksums of a graph beside it.

    Raises:
        OSError: a file cannot be read.
        CheckpointError: the checksums cannot be written.

    """
    lines = [f'{_sha256(path)}  {path.name}\n' for path in parts_of(graph)]
    target = graph.with_name(graph.name + SUFFIX)
    write_text(target, ''.join(lines), error=CheckpointError)


def check_graph(graph: Path) -> bool:
    """
    Compare a graph with the checksums beside it.

    Args:
        graph: the file, its weights beside it included.

    Returns:
        Whether there were any: graphs of earlier versions have none.

    Raises:
        CheckpointError: a file differs, is missing or cannot be read.

    """
    listed = graph.with_name(graph.name + SUFFIX)
    if not listed.is_file():
        return False
    expected = read_lines(listed, f"graph '{graph}'")
    for path in parts_of(graph):
        try:
            found = _sha256(path)
        except OSError as error:
            raise CheckpointError(f"graph '{path}': cannot be read: {error.strerror}") from None
        if found != expected.get(path.name):
            raise CheckpointError(
                f"graph '{path}': sha256 is {found}, expected {expected.get(path.name)} as in "
                f"'{listed.name}': changed or damaged, export it again"
            )
    return True


def _sha256(path: Path) -> str:
    """Return the checksum of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
