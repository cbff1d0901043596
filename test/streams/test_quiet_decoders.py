"""What decoders print about damaged images stays out of the log; what others print does not."""

from __future__ import annotations

from contextlib import suppress
import os

import cv2
from mafs_model.errors import ImageError
from mafs_model.images.encodings import decode_compressed
from mafs_model.images.quiet import quiet_decoders
import numpy as np
import pytest


def damaged_jpegs(count):
    """Return JPEGs whose marker structure is whole and whose scan is not."""
    generator = np.random.default_rng(0)
    image = generator.integers(0, 256, (64, 96, 3), dtype=np.uint8)
    data = cv2.imencode('.jpg', image)[1].tobytes()
    scan = data.index(b'\xff\xda') + 14
    for _ in range(count):
        broken = bytearray(data)
        for place in generator.integers(scan, len(data) - 2, 8):
            broken[place] = int(generator.integers(0, 255))
        yield bytes(broken)


@pytest.mark.skipif(not hasattr(os, 'memfd_create'), reason='this system has no memfd_create')
def test_damaged_images_print_nothing(capfd):
    noisy = 0
    for data in damaged_jpegs(50):
        cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        noisy += bool(capfd.readouterr().err)
        with suppress(ImageError):
            decode_compressed('jpeg', data)
        assert capfd.readouterr().err == ''
    assert noisy > 5, 'the decoder itself is quiet: nothing was tested'


def test_what_others_print_is_passed_on(capfd):
    with quiet_decoders():
        os.write(2, b'first\nCorrupt JPEG data: 3 extraneous bytes\nlibpng error: x\nlast')
    assert capfd.readouterr().err == 'first\nlast' if hasattr(os, 'memfd_create') else True
    os.write(2, b'after\n')
    assert capfd.readouterr().err == 'after\n'


def test_errors_leave_standard_error_as_it_was(capfd):
    with pytest.raises(RuntimeError, match='x'), quiet_decoders():
        raise RuntimeError('x')
    os.write(2, b'there\n')
    assert capfd.readouterr().err == 'there\n'
    before = len(os.listdir('/proc/self/fd')) if os.path.isdir('/proc/self/fd') else 0
    for _ in range(100):
        with quiet_decoders():
            pass
    if before:
        assert len(os.listdir('/proc/self/fd')) == before
