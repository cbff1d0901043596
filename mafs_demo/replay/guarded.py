"""
Runs a module that ends with its parent: `python -m mafs_demo.replay.guarded MODULE ARGUMENTS`.

The parent has threads, so it must not run code of its own between fork and exec; what a child
needs to be set is therefore set here, in the child itself.
"""

from __future__ import annotations

from contextlib import suppress
import ctypes
import runpy
import signal
import sys

_PR_SET_PDEATHSIG = 1


def _end_with_parent() -> None:
    """Let the kernel interrupt this process when its parent is killed (Linux)."""
    # Elsewhere the closed pipe ends the children that read it.
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)


def main() -> None:
    """Run the module named first on the command line."""
    # A shell that starts the demo in the background hands down an ignored Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _end_with_parent()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)


if __name__ == '__main__':
    main()
