"""The version of the project: the one place where it is written (package.xml repeats it)."""

from __future__ import annotations

__version__ = '0.1.0'
