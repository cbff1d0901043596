"""`python -m mafs_ros` starts the fusion node."""

from __future__ import annotations

from mafs_ros.executable import main

main()
