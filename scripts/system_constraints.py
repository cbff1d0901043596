"""
Print the pinned versions, less those of packages that the Python environment already has.

Used by bootstrap.sh where a ROS environment is sourced: what ROS was built with stays in place.
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
import re
import sys

# The newest OpenCV wheel that works with NumPy 1.x, which distributions of 2022 to 2024 have.
OPENCV_FOR_NUMPY_1 = 'opencv-python-headless==4.11.0.86'


def installed_version(name: str) -> str | None:
    """Return the version of an installed distribution, or None."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def main() -> int:
    """Read the constraints file named on the command line; write the remaining ones to stdout."""
    lines = Path(sys.argv[1]).read_text(encoding='utf-8').splitlines()
    numpy = installed_version('numpy')
    numpy_1 = numpy is not None and int(numpy.split('.')[0]) < 2
    for line in lines:
        match = re.match(r'([A-Za-z0-9._-]+)==', line)
        if match is None:
            continue
        name = match.group(1)
        if name == 'numpy' and numpy_1:
            # 1.26 where the installed one is older than what the other packages need.
            print('numpy>=1.26.4,<2')
        elif name == 'opencv-python-headless' and numpy_1:
            print(OPENCV_FOR_NUMPY_1)
        elif installed_version(name) is None:
            print(line)
    return 0


if __name__ == '__main__':
    sys.exit(main())
