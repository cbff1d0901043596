"""Fixtures of the stream tests."""

from __future__ import annotations

from pathlib import Path
import sys

# benchmarks/ is no package; its simulator of camera streams is used by the tests as well.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'benchmarks'))
