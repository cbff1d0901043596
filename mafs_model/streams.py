"""The two streams of images, by name, and the unit of their stamps."""

from __future__ import annotations

STREAMS = ('visible', 'thermal')
OTHER_STREAM = {'visible': 'thermal', 'thermal': 'visible'}

NS_PER_S = 1_000_000_000
