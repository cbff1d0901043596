"""
Run a module or a program as on a computer that lacks some packages.

    python test/without_packages.py torch,onnx mafs_model.cli info
    python test/without_packages.py torch program.py

The packages are neither found nor imported, as if they were not installed.
"""

from __future__ import annotations

from pathlib import Path
import runpy
import sys
from typing import Any


class Without:
    """
    A finder of modules that does not find some packages.

    Args:
        finder: what finds all others.
        packages: top-level names.

    """

    def __init__(self, finder: Any, packages: frozenset[str]) -> None:
        self._finder, self._packages = finder, packages

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Return what the finder finds, None for the packages."""
        if name.partition('.')[0] in self._packages:
            return None
        return self._finder.find_spec(name, path, target)

    def __getattr__(self, name: str) -> Any:
        """Leave everything else to the finder."""
        return getattr(self._finder, name)


def main() -> None:
    """Hide the packages and run what the command line names."""
    packages = frozenset(sys.argv[1].split(','))
    sys.meta_path[:] = [Without(finder, packages) for finder in sys.meta_path]
    sys.argv[:] = sys.argv[2:]
    if Path(sys.argv[0]).suffix == '.py':
        runpy.run_path(sys.argv[0], run_name='__main__')
    else:
        runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)


if __name__ == '__main__':
    main()
