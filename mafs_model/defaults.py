"""Defaults that several packages share; without imports, so that command lines can show them."""

from __future__ import annotations

SLOP_S = 0.03  # largest offset of a pair: cameras of 30 Hz, one period
QUEUE_SIZE = 30  # images of each camera that wait for a partner
CAMERA_TIMEOUT_S = 10.0  # a camera or stream that sends nothing for this long is gone
VIEW_HOST, VIEW_PORT = '127.0.0.1', 8600  # of the page of `mafs view`
OPACITY = 0.5  # weight of the class colours in an overlay
# A pair of 1280x720 is still computed at its own size; 4K would take eight times as long and as
# much memory.
MAX_INFERENCE_PIXELS = 1 << 20
