"""Defaults of calibration; without imports, so that its command line can show them."""

from __future__ import annotations

DURATION_S = 120.0  # read of a recording; more of it makes nothing surer
