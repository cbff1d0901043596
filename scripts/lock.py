#!/usr/bin/env python3
"""
Write or check the locks: exact versions for every supported pair of Python and NumPy.

    scripts/lock.py              renew locks/, keeping versions that still serve
    scripts/lock.py --upgrade    renew locks/ with the newest versions
    scripts/lock.py --check      let a resolver confirm the locks; installs nothing
    scripts/lock.py LOCK...      only these, such as py312-numpy1

Needs uv (pip install uv) and a package index. Every stage is resolved by itself, in the order of
`STAGES`: what a developer's tool asks for cannot move what the node was locked to.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
import contextlib
from dataclasses import dataclass
import hashlib
from pathlib import Path
import re
import shutil
import subprocess
import sys
import tempfile

HERE = Path(__file__).resolve().parents[1] / 'requirements'
# The node first; each is one file here, and the extra of that name where setup.py has one.
STAGES = (
    'core', 'torch', 'openvino', 'build', 'demo', 'onnx', 'train', 'quantise', 'dev', 'colcon',
    'ros',
)  # fmt: skip
# What a robot has; the wheels of ROS are for x86_64 only.
ROBOT = ('core', 'torch', 'openvino', 'build', 'demo')
# Ubuntu 22.04 has glibc 2.35.
PLATFORMS = {'x86_64': 'x86_64-manylinux_2_28', 'aarch64': 'aarch64-manylinux_2_35'}
# Some pure Python tools of ROS have no wheel.
FROM_SOURCE = ('colcon', 'ros')
# Torch pins its own CUDA parts; OpenVINO works without the package that reports its use.
SKIPPED = re.compile(r'(nvidia|cuda|triton|openvino-telemetry)')
# The version all figures in docs/ were measured with.
FIXED = ('torch==2.13.0',)


@dataclass(frozen=True)
class Environment:
    """
    One pair of Python and NumPy major.

    Attributes:
        python: minor version.
        numpy_major: 1 or 2; distributions up to Ubuntu 24.04 have 1.
        numpy_oldest: the oldest NumPy that a ROS with this Python brings.
        numpy_newest: requirement for the one that is installed where nothing brings one.

    """

    python: str
    numpy_major: int
    numpy_oldest: str
    numpy_newest: str

    @property
    def path(self) -> Path:
        """Return the lock file."""
        return HERE / 'locks' / f'py{self.python.replace(".", "")}-numpy{self.numpy_major}.txt'


ENVIRONMENTS = (
    Environment('3.10', 1, '1.21.5', 'numpy==1.26.4'),  # Humble on Ubuntu 22.04, JetPack 6
    Environment('3.10', 2, '2.0.0', 'numpy>=2'),
    Environment('3.11', 1, '1.24.2', 'numpy==1.26.4'),  # Debian 12
    Environment('3.11', 2, '2.0.0', 'numpy>=2'),
    Environment('3.12', 1, '1.26.4', 'numpy==1.26.4'),  # Jazzy, Kilted on Ubuntu 24.04
    Environment('3.12', 2, '2.0.0', 'numpy>=2'),
    Environment('3.13', 2, '2.1.0', 'numpy>=2'),
)


class ResolutionError(Exception):
    """The resolver found no set of versions; the text is its explanation."""


def fingerprint() -> str:
    """Return a hash of all requirement files, comments left out: what locks are made from."""
    lines = [f'{stage}: {line}' for stage in STAGES for line in requirements(stage)]
    return hashlib.sha256('\n'.join(lines).encode()).hexdigest()[:16]


def requirements(stage: str) -> list[str]:
    """Return the lines of a requirement file without comments."""
    lines = (HERE / f'{stage}.txt').read_text(encoding='utf-8').splitlines()
    return [line for line in (re.sub(r'(^|\s)#.*', '', text).strip() for text in lines) if line]


def resolve(
    environment: Environment,
    stages: Sequence[str],
    constraints: Iterable[str],
    preferred: Iterable[str] = (),
    machine: str = 'x86_64',
) -> dict[str, str]:
    """
    Return the versions that stages need, by name.

    Args:
        environment: Python to resolve for.
        stages: names of requirement files.
        constraints: requirements that hold for whatever is needed.
        preferred: pins that are taken where they serve.
        machine: architecture of the wheels.

    Raises:
        ResolutionError: no set of versions fits.

    """
    with tempfile.TemporaryDirectory() as folder:
        output, limits = Path(folder, 'out.txt'), Path(folder, 'constraints.txt')
        wheels_only = () if set(stages) & set(FROM_SOURCE) else ('--only-binary', ':all:')
        output.write_text('\n'.join(preferred), encoding='utf-8')
        limits.write_text('\n'.join((*constraints, *FIXED)), encoding='utf-8')
        done = subprocess.run(
            [
                shutil.which('uv') or 'uv', 'pip', 'compile', '--quiet', '--no-header',
                '--no-annotate', '--no-strip-extras', '--python', sys.executable,
                '--python-version', environment.python,
                '--python-platform', PLATFORMS[machine], *wheels_only,
                '--constraint', str(limits), '--output-file', str(output),
                *(str(HERE / f'{stage}.txt') for stage in stages),
            ],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise ResolutionError(done.stderr.strip())
        return dict(parse_pins(output.read_text(encoding='utf-8')))


def parse_pins(text: str) -> Iterator[tuple[str, str]]:
    """Yield name and version of every pin in a text; what SKIPPED names is left out."""
    for match in re.finditer(r'^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==(\S+)', text, re.MULTILINE):
        if not SKIPPED.match(match[1]):
            yield match[1], match[2]


def pins_of(versions: dict[str, str]) -> list[str]:
    """Return versions as requirements."""
    return [f'{name}=={version}' for name, version in versions.items()]


def lock(environment: Environment, upgrade: bool) -> str:
    """Return the text of the lock of an environment."""
    preferred: list[str] = []
    if environment.path.exists() and not upgrade:
        preferred = pins_of(dict(parse_pins(environment.path.read_text(encoding='utf-8'))))
    pins: dict[str, str] = {}
    stages: dict[str, list[str]] = {}
    newest = resolve(environment, ['core'], [environment.numpy_newest], preferred)['numpy']
    # What all stages could share is preferred in each, so that a later one still fits.
    with contextlib.suppress(ResolutionError):
        preferred = pins_of(resolve(environment, STAGES, [f'numpy=={newest}'], preferred))
    for stage in STAGES:
        # What also goes with the oldest NumPy of these systems is taken where there is such.
        tries = [newest] if environment.numpy_major > 1 else [environment.numpy_oldest, newest]
        for numpy in tries:
            try:
                found = resolve(
                    environment, [stage], [*pins_of(pins), f'numpy=={numpy}'], preferred
                )
                break
            except ResolutionError:
                if numpy == tries[-1]:
                    raise
        found.pop('numpy', None)
        pins |= found
        for name in found:
            stages.setdefault(name, []).append(stage)
    oldest = {
        stage: next(
            numpy
            for numpy in (environment.numpy_oldest, newest)
            if accepts(environment, stage, pins, numpy)
        )
        for stage in STAGES
    }
    with_numpy = sorted([*pins, 'numpy'])
    pair = f'Python {environment.python} and NumPy {environment.numpy_major}'
    return '\n'.join(
        [
            f'# Exact versions for {pair},',
            '# each with the stages that need it. Written by scripts/lock.py.',
            f'# made from {fingerprint()}',
            *(f'# oldest numpy for {stage}: {version}' for stage, version in oldest.items()),
            *(
                f'numpy=={newest}  # {" ".join(STAGES)}'
                if name == 'numpy'
                else f'{name}=={pins[name]}  # {" ".join(stages[name])}'
                for name in with_numpy
            ),
            '',
        ]
    )


def accepts(environment: Environment, stage: str, pins: dict[str, str], numpy: str) -> bool:
    """Return whether the pins of a stage go with a version of NumPy."""
    try:
        resolve(environment, [stage], [*pins_of(pins), f'numpy=={numpy}'])
    except ResolutionError:
        return False
    return True


def check(environment: Environment) -> list[str]:
    """Return what is wrong with a lock: sets of stages that do not resolve with it."""
    text = environment.path.read_text(encoding='utf-8')
    pins = dict(parse_pins(text))
    newest = pins.pop('numpy')
    problems = []
    for stages, numpy, machine in (
        (STAGES, newest, 'x86_64'),
        (ROBOT, environment.numpy_oldest, 'x86_64'),
        (ROBOT, newest, 'aarch64'),
    ):
        try:
            resolve(environment, stages, [*pins_of(pins), f'numpy=={numpy}'], machine=machine)
        except ResolutionError as error:
            problems.append(f'{environment.path.name} with NumPy {numpy} on {machine}: {error}')
    return problems


def main() -> int:
    """Do what the command line says; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[1])
    parser.add_argument('--check', action='store_true', help='confirm the locks, write nothing')
    parser.add_argument('--upgrade', action='store_true', help='take the newest versions')
    known = {environment.path.stem: environment for environment in ENVIRONMENTS}
    parser.add_argument('locks', nargs='*', metavar='LOCK', help=f'some of {", ".join(known)}')
    options = parser.parse_args()
    unknown = [name for name in options.locks if name not in known]
    if unknown:
        parser.error(f'LOCK is {unknown[0]!r}, expected some of {", ".join(known)}')
    chosen = [known[name] for name in options.locks] or list(ENVIRONMENTS)
    if shutil.which('uv') is None:
        print('lock.py: no uv found: pip install uv', file=sys.stderr)
        return 2
    with ThreadPoolExecutor(max_workers=4) as pool:
        if options.check:
            problems = [text for texts in pool.map(check, chosen) for text in texts]
            print('\n'.join(problems) or f'{len(chosen)} locks resolve')
            return 1 if problems else 0
        (HERE / 'locks').mkdir(exist_ok=True)
        for environment, text in zip(
            chosen,
            pool.map(lambda environment: lock(environment, options.upgrade), chosen),
            strict=True,
        ):
            environment.path.write_text(text, encoding='utf-8')
            print(environment.path.name)
    return 0


if __name__ == '__main__':
    sys.exit(main())
