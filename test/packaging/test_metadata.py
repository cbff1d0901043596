"""package.xml, setup.py, CMakeLists.txt and the code agree about versions and dependencies."""

from __future__ import annotations

import ast
import importlib
import re
import runpy
import sys
from xml.etree import ElementTree as ET

from mafs_model.version import __version__
import pytest

# Import name -> what setup.py calls it, where they differ.
DISTRIBUTION = {
    'google': 'protobuf',
    'PIL': 'pillow',
    'cv2': 'opencv-python-headless',
    'yaml': 'pyyaml',
}
# Import name -> rosdep key in package.xml, for what package.xml can name.
ROSDEP = {
    'PIL': 'python3-pil',
    'cv2': 'python3-opencv',
    'numpy': 'python3-numpy',
    'tqdm': 'python3-tqdm',
    'yaml': 'python3-yaml',
}
PROJECT = {
    'mafs_ros',
    'mafs_model',
    'mafs_training',
    'mafs_demo',
    'mafs_synthetic',
    'mafs_calibration',
}


@pytest.fixture(scope='module')
def manifest(root):
    return ET.parse(root / 'package.xml').getroot()


@pytest.fixture(scope='module')
def required(root):
    """Return what every file in requirements/ asks for: its name -> distribution names."""
    return {
        path.stem: {
            re.split(r'[<>=\[ ]', line)[0].lower()
            for line in path.read_text(encoding='utf-8').splitlines()
            if line and not line.startswith('#')
        }
        for path in (root / 'requirements').glob('*.txt')
    }


def depends(manifest, *tags: str) -> set[str]:
    return {element.text for tag in tags for element in manifest.findall(tag)}


def third_party(package_imports, package: str) -> set[str]:
    names = {i.module.split('.')[0] for i in package_imports[package] if not i.for_types_only}
    return {n for n in names if n and n not in sys.stdlib_module_names | PROJECT}


def is_ros(name: str) -> bool:
    known = {
        'ament_index_python',
        'bond',
        'cv_bridge',
        'launch',
        'launch_ros',
        'message_filters',
        'rclpy',
    }
    return name in known or name.endswith(('_msgs', '_interfaces', '_srvs'))


def test_version_is_the_same_everywhere(root, manifest):
    changelog = (root / 'CHANGELOG.rst').read_text(encoding='utf-8')
    assert manifest.findtext('version') == __version__
    assert re.search(rf'^{re.escape(__version__)} \(', changelog, re.MULTILINE)
    for package in sorted(PROJECT):
        assert importlib.import_module(package).__version__ == __version__


def test_manifest_is_one_that_colcon_accepts(root):
    # Colcon itself says nothing about a manifest it cannot read: it builds something else.
    catkin_pkg = pytest.importorskip('catkin_pkg.package', reason='catkin_pkg is not installed')
    package = catkin_pkg.parse_package(str(root / 'package.xml'))
    package.validate()
    assert package.name == 'mafs_ros'
    assert package.get_build_type() == 'ament_cmake'


def test_every_ros_import_is_declared(package_imports, manifest):
    declared = depends(manifest, 'depend', 'exec_depend')
    used = {
        name
        for package in ('mafs_ros', 'mafs_demo')
        for name in third_party(package_imports, package)
        if is_ros(name)
    }
    assert used <= declared, f'missing in package.xml: {sorted(used - declared)}'
    # The converse, but for the packages whose programs or types are used without an import.
    without_import = {
        'launch', 'launch_ros', 'lifecycle_msgs', 'ros2launch', 'rosidl_default_runtime',
    }  # fmt: skip
    unused = {n for n in declared if not n.startswith('python3-')} - used - without_import
    assert not unused, f'declared in package.xml and not imported: {sorted(unused)}'


def test_every_python_import_of_node_and_model_is_declared(
    root, package_imports, manifest, required
):
    used = {
        name
        for package in sorted(PROJECT - {'mafs_training', 'mafs_demo'})
        for name in third_party(package_imports, package)
        if not is_ros(name)
    }
    optional = required['onnx'] | required['openvino'] | required['quantise']
    optional |= {'argcomplete', 'flyr', 'tensorrt'}
    distributions = {DISTRIBUTION.get(name, name) for name in used}
    undeclared = distributions - required['core'] - required['torch'] - optional
    # Bags are written where the extra is there.
    assert undeclared <= required['demo'], f'not in requirements/: {sorted(undeclared)}'
    demo = {
        DISTRIBUTION.get(name, name)
        for name in third_party(package_imports, 'mafs_demo')
        if not is_ros(name)
    }
    missing = demo - required['core'] - required['demo']
    assert not missing, f'not in requirements/demo.txt: {sorted(missing)}'
    keys = {ROSDEP[name] for name in used if name in ROSDEP}
    assert keys <= depends(manifest, 'exec_depend')
    # Whatever has no rosdep key is named in the manifest's comment, so that it is not forgotten.
    text = (root / 'package.xml').read_text(encoding='utf-8')
    for name in used - set(ROSDEP):
        assert DISTRIBUTION.get(name, name) in text, (
            f'{name}: neither a rosdep key nor named in package.xml'
        )


def test_rosdep_installs_nothing_by_pip(manifest):
    # Keys that end in -pip go into the Python of the system: refused on Ubuntu 24.04, and where
    # forced, another NumPy than its OpenCV was built with. The torch and av of apt are too old.
    tags = ('depend', 'exec_depend', 'test_depend', 'build_depend')
    keys = {key for key in depends(manifest, *tags) if key.startswith('python3-')}
    assert keys == {
        'python3-dev', 'python3-hypothesis', 'python3-numpy', 'python3-opencv', 'python3-pil',
        'python3-pytest', 'python3-pytest-timeout', 'python3-tqdm', 'python3-venv',
        'python3-yaml',
    }  # fmt: skip


def test_every_import_of_training_is_declared(package_imports, required):
    used = {DISTRIBUTION.get(n, n) for n in third_party(package_imports, 'mafs_training')}
    stages = ('core', 'torch', 'train', 'onnx', 'quantise', 'demo')
    undeclared = used - set().union(*(required[stage] for stage in stages)) - {'distributed'}
    assert not undeclared, f'not in requirements/: {sorted(undeclared)}'


def test_extras_of_pip_are_the_files_of_requirements(root, required, monkeypatch):
    asked = {}
    monkeypatch.setattr('setuptools.setup', lambda **options: asked.update(options))
    runpy.run_path(str(root / 'setup.py'))

    def names(lines):
        return {re.split(r'[<>=\[ ]', line)[0].lower() for line in lines}

    # Inference is the base, PyTorch an extra, and of what needs it.
    assert names(asked['install_requires']) == required['core'] | required['openvino']
    assert not {'torch', 'onnx'} & names(asked['install_requires'])
    extras = {name: names(lines) for name, lines in asked['extras_require'].items()}
    assert extras.pop('tensorrt') == {'tensorrt'} | required['torch']
    assert extras.pop('completion') == {'argcomplete'}
    assert extras.pop('radiometric') == {'flyr'}
    assert extras.pop('cluster') == {'distributed'}
    assert extras == {
        name: required[name] | (required['torch'] if name in {'train', 'quantise'} else set())
        for name in extras
    }
    assert set(extras) == set(required) - {'core', 'build', 'colcon', 'ros'}
    assert 'nncf' not in extras['onnx'] | extras['openvino'], 'it is for those who quantise'


def test_all_messages_are_generated(root):
    text = (root / 'CMakeLists.txt').read_text('utf-8')
    for kind in ('msg', 'srv'):
        listed = set(re.findall(rf'"({kind}/\w+\.{kind})"', text))
        assert listed == {f'{kind}/{path.name}' for path in (root / kind).glob(f'*.{kind}')}
        assert listed


def test_every_message_field_is_explained(root):
    for path in sorted([*(root / 'msg').glob('*.msg'), *(root / 'srv').glob('*.srv')]):
        lines = path.read_text(encoding='utf-8').splitlines()
        assert lines[0].startswith('# '), f'{path.name} begins without a sentence'
        for number, line in enumerate(lines, 1):
            if line and not line.startswith((' ', '#', '---')):
                assert '#' in line, f'{path.name}:{number}: no meaning and unit beside {line!r}'


def test_pip_installs_every_data_file_of_the_packages(root):
    # A wheel without its class tables would only be noticed by whoever installs it.
    text = (root / 'setup.py').read_text(encoding='utf-8')
    patterns = ast.literal_eval(re.search(r'(?ms)^DATA = (\[.*?\])', text).group(1))
    missed = []
    for package in sorted(PROJECT):
        folder = root / package
        shipped = {path for pattern in patterns for path in folder.glob(pattern)}
        missed += [
            str(path.relative_to(root))
            for path in folder.rglob('*')
            if path.is_file() and path.suffix not in {'.py', '.pyc'} and path not in shipped
        ]
    assert not missed, f'not in package_data of setup.py: {missed}'


def test_colcon_installs_the_commands_and_packages_of_pip(root, monkeypatch):
    asked = {}
    monkeypatch.setattr('setuptools.setup', lambda **options: asked.update(options))
    packages = runpy.run_path(str(root / 'setup.py'))['PACKAGES']
    commands = dict(line.split(' = ') for line in asked['entry_points']['console_scripts'])
    cmake = (root / 'CMakeLists.txt').read_text(encoding='utf-8')
    listed = {
        name: re.search(rf'foreach\({name} (.*?)\)', cmake)[1].split()
        for name in ('package', 'command')
    }
    assert sorted(listed['package']) == sorted(packages)
    assert sorted(listed['command']) == sorted(commands)
    assert runpy.run_path(str(root / 'scripts' / 'command'))['COMMANDS'] == commands
