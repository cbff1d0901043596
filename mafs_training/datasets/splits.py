"""Names of the parts of a data set; without imports, so that command lines can show them."""

from __future__ import annotations

SPLITS = ('train', 'val', 'test', 'all')
