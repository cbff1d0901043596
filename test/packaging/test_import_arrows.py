"""The arrows between the packages: every one points at the model, and there is no other."""

from __future__ import annotations

from pathlib import Path
import re

import pytest

# What each package may import of the project besides itself: whole packages, or single modules.
ALLOWED = {
    'mafs_ros': {'mafs_model'},
    'mafs_model': set(),
    'mafs_training': {'mafs_model', 'mafs_synthetic', 'mafs_demo.replay.bag_run'},
    'mafs_demo': {
        'mafs_ros',
        'mafs_model',
        'mafs_synthetic',
        'mafs_calibration',
        'mafs_training.metrics.qabf',
    },
    'mafs_synthetic': {'mafs_model.errors', 'mafs_model.version'},
    'mafs_calibration': {'mafs_model'},
}
PROJECT = set(ALLOWED)
# Only the node package knows ROS: the client library, messages, launch and what belongs to them.
ROS_NAMES = {
    'ament_index_python', 'bond', 'cv_bridge', 'launch', 'launch_ros', 'message_filters', 'rclpy',
    'ros2cli', 'rosbag2_py', 'rosidl_runtime_py', 'tf2_ros',
}  # fmt: skip
ROS_ENDINGS = ('_msgs', '_interfaces', '_srvs')
TRAINING_ONLY = {
    'jsonargparse', 'kornia', 'lightning', 'pytorch_lightning', 'tensorboard', 'torchmetrics',
}  # fmt: skip


def top(module: str) -> str:
    return module.split('.', maxsplit=1)[0]


def is_allowed(module: str, allowed: set[str]) -> bool:
    return any(module == name or module.startswith(f'{name}.') for name in allowed)


def is_ros(module: str) -> bool:
    name = top(module)
    return name in ROS_NAMES or name.endswith(ROS_ENDINGS)


@pytest.mark.parametrize('package', sorted(ALLOWED))
def test_package_imports_only_what_it_may(package_imports, package):
    wrong = [
        str(i)
        for i in package_imports[package]
        if top(i.module) in PROJECT - {package} and not is_allowed(i.module, ALLOWED[package])
    ]
    assert not wrong, '\n'.join(wrong)


@pytest.mark.parametrize('package', sorted(ALLOWED))
def test_every_allowed_arrow_is_there(package_imports, package):
    used = [i.module for i in package_imports[package]]
    idle = [name for name in ALLOWED[package] if not any(is_allowed(m, {name}) for m in used)]
    assert not idle, f'{package} imports nothing of {idle}: take the arrow away'


def test_the_picture_has_these_arrows(root):
    text = (root / 'docs' / 'architecture.md').read_text('utf-8')
    picture = text.partition('```mermaid')[2].partition('```')[0]
    drawn = {tuple(arrow) for arrow in re.findall(r'(mafs_\w+) (--|-\.-)> (mafs_\w+)', picture)}
    assert drawn == {
        (package, '--' if name in PROJECT else '-.-', top(name))
        for package, names in ALLOWED.items()
        for name in names
    }


@pytest.mark.parametrize('package', sorted(ALLOWED))
def test_the_table_says_what_a_package_may_import(root, package):
    text = (root / 'docs' / 'architecture.md').read_text('utf-8')
    row = re.search(rf'^\| `{package}` \| ([^|]*) \|', text, re.MULTILINE)
    assert row, f'docs/architecture.md has no row of {package}'
    assert set(re.findall(r'`([\w.]+)`', row[1])) == ALLOWED[package]


@pytest.mark.parametrize(
    'package', ['mafs_calibration', 'mafs_model', 'mafs_training', 'mafs_synthetic']
)
def test_no_ros_outside_the_node_package(package_imports, package):
    wrong = [str(i) for i in package_imports[package] if is_ros(i.module)]
    assert not wrong, '\n'.join(wrong)


@pytest.mark.parametrize('package', sorted(PROJECT - {'mafs_training'}))
def test_no_training_dependency_outside_training(package_imports, package):
    # The one exception: reading a Lightning checkpoint needs only torch, so not even that one.
    wrong = [str(i) for i in package_imports[package] if top(i.module) in TRAINING_ONLY]
    assert not wrong, '\n'.join(wrong)


@pytest.mark.parametrize('package', sorted(PROJECT))
def test_no_module_imports_itself_by_way_of_others(package_imports, package):
    imports = [(module_of(i.file), i.module) for i in package_imports[package]]
    modules = {importer for importer, _ in imports}
    arrows: dict[str, set[str | None]] = {name: set() for name in modules}
    for importer, imported in imports:
        arrows[importer] |= {home_of(imported, modules)} - {importer, None}
    # Imports inside functions count: they hide a circle, they do not open it.
    while leaves := {name for name, needed in arrows.items() if not needed & arrows.keys()}:
        for name in leaves:
            del arrows[name]
    assert not arrows, '\n'.join(f'{n} -> {sorted(arrows[n] & arrows.keys())}' for n in arrows)


def module_of(file: Path) -> str:
    return '.'.join(file.with_suffix('').parts).removesuffix('.__init__')


def home_of(module: str, modules: set[str]) -> str | None:
    """Return the module that an imported name is in, None outside of them."""
    while module and module not in modules:
        module = module.rpartition('.')[0]
    return module or None


def test_the_packages_are_not_empty(package_imports):
    # Guards the tests above against looking in the wrong place.
    assert all(len(found) > 10 for found in package_imports.values())


@pytest.mark.parametrize(
    ('source', 'module'),
    [
        ('import rclpy', 'rclpy'),
        ('def f():\n    from rclpy.node import Node', 'rclpy.node.Node'),
        ('if True:\n    import rclpy as r', 'rclpy'),
        ("import importlib\nimportlib.import_module('rclpy')", 'rclpy'),
        ('from ..mafs_ros import node', 'mafs_ros.node'),
        ('from . import classes', 'mafs_model.classes'),
    ],
)
def test_the_parser_sees_every_form_of_import(parse_imports, source, module):
    found = [i.module for i in parse_imports(source, Path('mafs_model/module.py'))]
    assert module in found
