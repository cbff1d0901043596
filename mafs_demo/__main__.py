"""`python -m mafs_demo`."""

from __future__ import annotations

import sys

from mafs_demo.cli import main

if __name__ == '__main__':
    sys.exit(main())
