"""`python -m mafs_ros.demo`."""

from __future__ import annotations

import sys

from mafs_ros.demo.cli import main

if __name__ == '__main__':
    sys.exit(main())
