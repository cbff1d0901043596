"""
Write the exact versions that pip is to install, a file per stage, from the locks.

Used by bootstrap.sh with the Python of its virtual environment:

    select_pins.py FOLDER pip|system STAGE...

Where a ROS environment is sourced (`system`), what belongs to the machine stays in place if it is
new enough: the NumPy that the packages of ROS were built with, the OpenCV beside it, a PyTorch
for the GPU of a Jetson. Everything else is installed as locked, whatever the machine has.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import metadata
from importlib.machinery import PathFinder
from pathlib import Path
import re
import sys

REQUIREMENTS = Path(__file__).resolve().parents[1] / 'requirements'
# Name in the locks -> module, of what is not replaced by another build of it.
MACHINE = {
    'numpy': 'numpy',
    'onnxruntime': 'onnxruntime',
    'opencv-python-headless': 'cv2',
    'openvino': 'openvino',
    'torch': 'torch',
}


def outside() -> list[str]:
    """Return the import path less what the virtual environment itself has."""
    return [entry for entry in sys.path if not entry.startswith(sys.prefix)]


def numbers(version: str) -> tuple[int, ...]:
    """Return the leading numbers of a version: '1.26.4+local' as (1, 26, 4)."""
    match = re.match(r'\d+(\.\d+)*', version)
    return tuple(int(part) for part in match[0].split('.')) if match else ()


def machine_version(module: str, path: list[str]) -> str | None:
    """
    Return the version of a module that the machine has, None where it has none.

    The packages of distributions are not all distributions in the eyes of Python: such a one
    counts as new enough.
    """
    if PathFinder.find_spec(module, path) is None:
        return None
    names = metadata.packages_distributions().get(module, [module])
    for name in names:
        for found in metadata.distributions(name=name, path=path):
            return found.version
    return '9999'


def lower_bounds() -> dict[str, str]:
    """Return the lowest version of every requirement that states one."""
    return {
        name: version
        for path in REQUIREMENTS.glob('*.txt')
        for name, version in re.findall(
            r'^([\w.-]+)[^>\n#]*>=([\d.]+)', path.read_text(encoding='utf-8'), re.MULTILINE
        )
    }


def read_lock(path: Path) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    """
    Return the pins of every stage, and the oldest NumPy that goes with each.

    Raises:
        SystemExit: there is no such lock.

    """
    if not path.exists():
        raise SystemExit(
            f'bootstrap: no {path.name} in requirements/locks: this pair is not supported'
        )
    text = path.read_text(encoding='utf-8')
    oldest = dict(re.findall(r'^# oldest numpy for (\S+): (\S+)$', text, re.MULTILINE))
    stages: dict[str, dict[str, str]] = {stage: {} for stage in oldest}
    for name, version, users in re.findall(r'^([\w.-]+)==(\S+)  # (.*)$', text, re.MULTILINE):
        for stage in users.split():
            stages[stage][name] = version
    return stages, oldest


def kept(path: list[str]) -> dict[str, str]:
    """Return versions of what the machine has and keeps, by the name in the locks."""
    bounds, found = lower_bounds(), {}
    for name, module in MACHINE.items():
        version = machine_version(module, path)
        if version is not None and numbers(version) >= numbers(bounds[name]):
            found[name] = version
    return found


def write(folder: Path, mode: str, names: Iterable[str]) -> None:
    """Write one file of pins per stage into the folder."""
    present = kept(outside()) if mode == 'system' else {}
    major = numbers(present['numpy'])[0] if 'numpy' in present else 2
    python = f'py{sys.version_info.major}{sys.version_info.minor}'
    stages, oldest = read_lock(REQUIREMENTS / 'locks' / f'{python}-numpy{major}.txt')
    folder.mkdir(parents=True, exist_ok=True)
    for stage in names:
        pins = dict(stages[stage])
        for name, version in present.items():
            if name != 'numpy' or numbers(version) >= numbers(oldest[stage]):
                pins.pop(name, None)
        lines = [f'{name}=={version}\n' for name, version in pins.items()]
        (folder / f'{stage}.txt').write_text(''.join(lines), encoding='utf-8')


if __name__ == '__main__':
    write(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
