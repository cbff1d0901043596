"""Pictures and measures with NumPy and OpenCV of Ubuntu 24.04, laid over the environment."""

from __future__ import annotations

import os
from pathlib import Path
import re
import shutil
import subprocess
import sys

import pytest

# What differed between versions of OpenCV: colours of drawings, rings of distances, codecs.
CASES = (
    'test/eval/test_object_contrast.py',
    'test/model/test_image_files.py',
    'test/model/test_visualization.py',
    'test/scenes/test_scenes.py::TestContent::test_all_channels_have_light',
    'test/scenes/test_scenes.py::TestContent::test_types_and_ranges',
)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_pictures_are_the_same_with_older_libraries(root: Path, tmp_path: Path) -> None:
    if shutil.which('uv') is None:
        pytest.skip('uv is not installed')
    script = (root / 'scripts' / 'ubuntu_like.sh').read_text(encoding='utf-8')
    match = re.search(r'24\.04\).*?(numpy==\S+) (opencv-python-headless==\S+)', script)
    assert match is not None
    folder = tmp_path / 'older'
    installed = subprocess.run(
        ['uv', 'pip', 'install', '--quiet', '--only-binary', ':all:', '--python', sys.executable,
         '--target', str(folder), *match.groups()],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if installed.returncode:
        pytest.skip(f'cannot be had here: {installed.stderr.strip().splitlines()[-1]}')
    versions = [pin.partition('==')[2] for pin in match.groups()]
    seen = (
        'import cv2, numpy, pytest, sys; '
        f'assert numpy.__version__ == {versions[0]!r}, numpy.__version__; '
        f'assert {versions[1]!r}.startswith(cv2.__version__), cv2.__version__; '
        'sys.exit(pytest.main(sys.argv[1:]))'
    )
    done = subprocess.run(
        [sys.executable, '-c', seen, '-q', '-p', 'no:cacheprovider', *CASES],
        cwd=root,
        env=os.environ | {'PYTHONPATH': f'{folder}{os.pathsep}{os.environ.get("PYTHONPATH", "")}'},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
