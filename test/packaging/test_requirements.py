"""The locks fit the requirements, go with the NumPy of every supported ROS, and are followed."""

from __future__ import annotations

import importlib.util
from pathlib import Path
import shutil
import subprocess
import sys
from types import ModuleType

import pytest

packaging = pytest.importorskip('packaging.requirements', reason='packaging is not installed')


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='module')
def lock(root):
    return load(root / 'scripts' / 'lock.py')


@pytest.fixture
def select(root, monkeypatch):
    module = load(root / 'scripts' / 'select_pins.py')
    monkeypatch.setattr(module.sys, 'version_info', Version(3, 12))
    return module


class Version:
    """Stands for sys.version_info."""

    def __init__(self, major: int, minor: int) -> None:
        self.major, self.minor = major, minor


SUPPORTED = {
    'py310-numpy1', 'py310-numpy2', 'py311-numpy1', 'py311-numpy2', 'py312-numpy1',
    'py312-numpy2', 'py313-numpy2',
}  # fmt: skip


def test_there_is_a_lock_for_every_supported_pair(root, lock):
    files = {path.stem for path in (root / 'requirements' / 'locks').iterdir()}
    assert files == SUPPORTED == {e.path.stem for e in lock.ENVIRONMENTS}


@pytest.mark.parametrize('name', sorted(SUPPORTED))
def test_lock_is_made_from_the_present_requirements(root, lock, name):
    text = (root / 'requirements' / 'locks' / f'{name}.txt').read_text(encoding='utf-8')
    assert f'# made from {lock.fingerprint()}' in text, 'run scripts/lock.py'


@pytest.mark.parametrize('name', sorted(SUPPORTED))
def test_every_requirement_has_a_version_in_its_stage(root, lock, select, name):
    stages, oldest = select.read_lock(root / 'requirements' / 'locks' / f'{name}.txt')
    python = f'{name[2]}.{name[3:5]}'
    for stage in lock.STAGES:
        for line in lock.requirements(stage):
            requirement = packaging.Requirement(line)
            if requirement.marker and not requirement.marker.evaluate({'python_version': python}):
                continue
            version = stages[stage].get(requirement.name.lower())
            assert version is not None, f'{stage}: {requirement.name} has no version'
            assert requirement.specifier.contains(version, prereleases=True), line
    everything = {name: version for pins in stages.values() for name, version in pins.items()}
    assert everything['numpy'].startswith(f'{name[-1]}.')
    assert everything['torch'] == '2.13.0'
    opencv = [name for name in everything if name.startswith('opencv')]
    assert opencv == ['opencv-python-headless'], 'headless and full OpenCV must not meet'
    # What the robot needs has nothing of what a developer needs.
    robot = {name for stage in ('core', 'torch', 'openvino') for name in stages[stage]}
    assert not robot & {'nncf', 'onnxruntime', 'scipy', 'scikit-image', 'lightning'}
    assert not {'nncf', 'scikit-learn'} & set(stages['onnx'])
    assert set(oldest) == set(lock.STAGES)


def test_humble_keeps_its_numpy_for_the_node(root, select):
    _, oldest = select.read_lock(root / 'requirements' / 'locks' / 'py310-numpy1.txt')
    assert {oldest[stage] for stage in ('core', 'torch', 'openvino', 'demo')} == {'1.21.5'}


def pins(folder: Path, stage: str) -> dict[str, str]:
    lines = (folder / f'{stage}.txt').read_text(encoding='utf-8').splitlines()
    return dict(line.split('==') for line in lines)


def test_what_the_machine_has_is_kept(select, tmp_path, monkeypatch):
    there = {'numpy': '1.26.4', 'cv2': '9999', 'torch': '2.5.0a0+nv24.08'}
    monkeypatch.setattr(select, 'machine_version', lambda module, path: there.get(module))
    select.write(tmp_path, 'system', ['core', 'torch', 'openvino', 'train'])
    core = pins(tmp_path, 'core')
    assert 'safetensors' in core
    assert not {'numpy', 'opencv-python-headless'} & set(core)
    assert 'torch' not in pins(tmp_path, 'torch') | pins(tmp_path, 'train')
    assert 'openvino' in pins(tmp_path, 'openvino')


def test_what_is_too_old_is_replaced(select, tmp_path, monkeypatch):
    monkeypatch.setattr(select.sys, 'version_info', Version(3, 10))
    there = {'numpy': '1.21.5', 'cv2': '9999', 'torch': '1.8.1', 'onnxruntime': '1.10'}
    monkeypatch.setattr(select, 'machine_version', lambda module, path: there.get(module))
    select.write(tmp_path, 'system', ['core', 'torch', 'onnx'])
    assert 'numpy' not in pins(tmp_path, 'core')
    assert pins(tmp_path, 'torch')['torch'] == '2.13.0'
    # ONNX Runtime does not go with that NumPy: a newer one of the same major, which bears what
    # was built with the older one.
    assert pins(tmp_path, 'onnx')['numpy'] == '1.26.4'
    assert 'onnxruntime' in pins(tmp_path, 'onnx')


def test_pip_mode_keeps_nothing(select, tmp_path, monkeypatch):
    monkeypatch.setattr(select, 'machine_version', lambda module, path: '1.26.4')
    select.write(tmp_path, 'pip', ['core'])
    assert pins(tmp_path, 'core')['numpy'].startswith('2.')


def test_pair_without_a_lock_is_one_line(select, tmp_path, monkeypatch):
    monkeypatch.setattr(select, 'machine_version', lambda module, path: '3.0.0')
    with pytest.raises(SystemExit, match=r'no py312-numpy3\.txt in requirements/locks'):
        select.write(tmp_path, 'system', ['core'])


def test_apt_modules_are_seen_without_metadata(select, tmp_path):
    (tmp_path / 'cv2.py').write_text('', encoding='utf-8')
    assert select.machine_version('cv2', [str(tmp_path)]) == '9999'
    assert select.machine_version('openvino', [str(tmp_path)]) is None
    info = tmp_path / 'torch-1.8.1.dist-info'
    info.mkdir()
    (info / 'METADATA').write_text('Name: torch\nVersion: 1.8.1\n', encoding='utf-8')
    (tmp_path / 'torch.py').write_text('', encoding='utf-8')
    assert select.machine_version('torch', [str(tmp_path)]) == '1.8.1'


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_resolver_confirms_the_locks(root, lock):
    """Nothing is installed: x86_64 and aarch64, with the oldest and the newest NumPy of each."""
    if shutil.which('uv') is None:
        pytest.skip('uv is not installed')
    try:
        lock.resolve(lock.ENVIRONMENTS[0], ['build'], [])
    except lock.ResolutionError as error:
        pytest.skip(f'no package index: {str(error).splitlines()[0]}')
    done = subprocess.run(
        [sys.executable, str(root / 'scripts' / 'lock.py'), '--check'],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip() == '7 locks resolve'


def test_bootstrap_without_ros_installs_the_build_tool(root):
    text = (root / 'scripts' / 'bootstrap.sh').read_text(encoding='utf-8')
    assert 'stages+=(colcon ros)' in text, 'the wheels of ROS do not bring colcon'
