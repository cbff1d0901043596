"""What the code of the network is, as a short text that changes when it changes."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
_SOURCES = (
    'network/**/*.py',
    'runtime/export.py',
    'runtime/graph.py',
    'runtime/quantisation.py',
)


@functools.cache
def network_source_hash() -> str:
    """
    Return eight hexadecimal digits of the source that a graph is made from.

    A graph kept from an earlier run holds the arithmetic of the code of that run; weights and
    version number alone do not tell that code from today's. Constant where the package has no
    source files beside it.
    """
    digest = hashlib.sha256()
    for pattern in _SOURCES:
        for path in sorted(_PACKAGE.glob(pattern)):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:8]
