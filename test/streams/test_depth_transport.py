"""The depth transport of image_transport: PNG and RVL with 16 bits."""

from __future__ import annotations

from contextlib import suppress

import cv2
from mafs_model.errors import ImageError
from mafs_model.images.encodings import decode_compressed, probe_compressed
import numpy as np
import pytest

RNG = np.random.default_rng(7)


def rvl(image):
    """Encode an image by the published algorithm, one pixel after the other."""
    groups, values, at, previous = [], image.ravel().tolist(), 0, 0

    def put(number):
        while True:
            group, number = number & 7, number >> 3
            groups.append(group | (8 if number else 0))
            if not number:
                return

    while at < len(values):
        zeros = at
        while at < len(values) and values[at] == 0:
            at += 1
        others = at
        while at < len(values) and values[at] != 0:
            at += 1
        put(others - zeros)
        put(at - others)
        for value in values[others:at]:
            change = value - previous
            put(2 * change if change >= 0 else -2 * change - 1)
            previous = value
    groups += [0] * (-len(groups) % 8)
    words = [
        sum(group << (28 - 4 * i) for i, group in enumerate(groups[n : n + 8]))
        for n in range(0, len(groups), 8)
    ]
    return np.array(words, '<u4').tobytes()


def depth_message(image, codec):
    header = bytes(12)
    if codec == 'png':
        return header + cv2.imencode('.png', image)[1].tobytes()
    return header + np.array(image.shape[::-1], '<u4').tobytes() + rvl(image)


@pytest.mark.parametrize('codec', ['png', 'rvl'])
@pytest.mark.parametrize('zeros', [0.0, 0.3, 1.0])
@pytest.mark.parametrize('largest', [3, 700, 65535])
def test_depth_transport(codec, zeros, largest):
    image = RNG.integers(1, largest + 1, (37, 53), dtype=np.uint16)
    image[RNG.random(image.shape) < zeros] = 0
    data = depth_message(image, codec)
    name = f'16UC1; compressedDepth {codec}'
    assert probe_compressed(data, name).bit_depth == 16
    assert np.array_equal(decode_compressed(name, data, 'thermal'), image)


def test_damaged_rvl_is_refused_and_never_hangs():
    image = RNG.integers(0, 9000, (24, 32), dtype=np.uint16)
    data = depth_message(image, 'rvl')
    name = '16UC1; compressedDepth rvl'
    for length in (0, 11, 15, 19, 24, 200, len(data) - 8):
        with pytest.raises(ImageError, match=r'RVL is (truncated|corrupt)'):
            decode_compressed(name, data[:length], 'thermal')
    for huge in ((1 << 31, 4), (0, 0), (16_384, 16_384)):
        claimed = bytes(12) + np.array(huge, '<u4').tobytes() + data[20:]
        with pytest.raises(ImageError, match='image is'):
            decode_compressed(name, claimed, 'thermal')
    for _ in range(300):
        broken = bytearray(data)
        for place in RNG.integers(20, len(data), 4):
            broken[place] = int(RNG.integers(256))
        with suppress(ImageError):
            assert decode_compressed(name, bytes(broken), 'thermal').shape == (24, 32)
