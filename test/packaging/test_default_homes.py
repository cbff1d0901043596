"""A default has one home: no second module writes the number of a setting of the same name."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path
import re

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ('mafs_model', 'mafs_ros', 'mafs_training', 'mafs_demo', 'mafs_synthetic')
NEUTRAL = (0, 1, -1)  # switch something off or leave it as it is: no choice that could differ
_UNIT = re.compile(r'_(ms|ns|s|px|hz|deg|mb|gb|percent)$')

# One word, several ideas: these names say nothing without what they belong to.
GENERIC = {
    'depth', 'max_depth',
    'alpha', 'axis', 'bins', 'bound', 'channels', 'columns', 'contrast', 'count', 'degree',
    'digits', 'dim', 'epsilon', 'gradient', 'height', 'intensity', 'iterations', 'kernel_size',
    'level', 'levels', 'limit', 'max_entries', 'max_side', 'maximum', 'min_pairs', 'min_side',
    'minimum', 'most', 'noise', 'ns_per', 'num_classes', 'period', 'radius', 'rate', 'reach',
    'rows', 'runs', 'scale', 'second', 'seed', 'sigma', 'size', 'smoothing', 'step', 'steps',
    'stride', 'temperature', 'threshold', 'timeout', 'tolerance', 'width', 'window',
    'window_size',
}  # fmt: skip

# Second homes that are known and not yet mended: name -> all its modules. Only ever to shrink.
KNOWN = {
    'neighbourhood': {
        'mafs_model/calibration/image_motion.py',
        'mafs_model/calibration/structure.py',
    },
    'noise_floor': {
        'mafs_model/calibration/image_motion.py',
        'mafs_model/calibration/structure.py',
    },
    'noise_share': {
        'mafs_model/calibration/image_motion.py',
        'mafs_model/calibration/structure.py',
    },
    'best_and_worst': {
        'mafs_training/evaluation/fusion/report.py',
        'mafs_training/evaluation/model/report.py',
        'mafs_training/evaluation/seg/report.py',
    },
    'ignore_index': {
        'mafs_model/classes.py',
        'mafs_training/metrics/boundary.py',
        'mafs_training/metrics/calibration.py',
        'mafs_training/metrics/contrast.py',
        'mafs_training/metrics/segmentation.py',
    },
    'jpeg_quality': {
        'mafs_demo/replay/export.py',
        'mafs_model/sinks/pictures.py',
        'mafs_model/view/viewer.py',
        'mafs_ros/parameters.py',
    },
    'slop': {'mafs_model/defaults.py', 'mafs_training/datasets/cli.py'},  # node, data sets
    'tile_width': {'mafs_demo/pictures/contact_sheet.py', 'mafs_demo/pictures/movie.py'},
}


def number(node):
    """Return the literal number of an expression, a sign before it included, else None."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = number(node.operand)
        return None if inner is None else -inner
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return None if isinstance(node.value, bool) else node.value
    # a field with a default inside a call: bounded(0.5, ...), field(default=0.5)
    if isinstance(node, ast.Call):
        named = {keyword.arg: keyword.value for keyword in node.keywords}
        called = getattr(node.func, 'id', getattr(node.func, 'attr', ''))
        if called in ('bounded', 'term') and node.args:
            return number(node.args[0])
        if called in ('field', 'Field') and 'default' in named:
            return number(named['default'])
    return None


def plain(name):
    """Return a name without underscores in front, dashes and unit."""
    return _UNIT.sub('', name.lstrip('_-').replace('-', '_').lower().rpartition('.')[2])


def of_parameters(function):
    """Yield (name, number) of the parameters of a function that have a default."""
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    yield from (
        (argument.arg, number(value))
        for argument, value in [
            *zip(reversed(positional), reversed(arguments.defaults), strict=False),
            *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
        ]
    )


def of_call(call):
    """Yield (name, number) of a command line option or a row of the parameter table."""
    called = getattr(call.func, 'id', getattr(call.func, 'attr', ''))
    words = [a.value for a in call.args if isinstance(a, ast.Constant)]
    if called == 'add_argument' and words and str(words[-1]).startswith('--'):
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        yield str(words[-1]), number(given.get('default'))
    elif called == 'Parameter' and len(call.args) > 2 and words:
        yield str(words[0]), number(call.args[2])


def defaults(tree):
    """Yield (name, number or None) of each parameter, field, option and constant of a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from of_parameters(node)
        elif isinstance(node, ast.Call):
            yield from of_call(node)
        elif isinstance(node, ast.ClassDef):
            for item in node.body:
                if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
                    yield item.target.id, number(item.value)
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id, number(node.value)


def homes(sources):
    """
    Collect where each name has a number.

    Args:
        sources: module path to source text.

    Returns:
        Name to the set of modules, for names with a number in more than one of them.

    """
    found = defaultdict(set)
    for module, text in sources.items():
        for name, value in defaults(ast.parse(text)):
            if value is not None and value not in NEUTRAL and plain(name) not in GENERIC:
                found[plain(name)].add(module)
    return {name: modules for name, modules in found.items() if len(modules) > 1}


def tree():
    """Return all modules of the packages: path below the root to source text."""
    return {
        str(path.relative_to(ROOT)): path.read_text(encoding='utf-8')
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob('*.py'))
    }


def test_no_default_has_a_second_home():
    found = homes(tree())
    second = {
        name: sorted(modules)
        for name, modules in found.items()
        if modules - KNOWN.get(name, set())
    }
    assert not second, f'defaults that stand in more than one module: {second}'


def test_what_is_known_is_still_there():
    """A mended default leaves the list of known ones."""
    found = homes(tree())
    mended = {name: sorted(modules - found.get(name, set())) for name, modules in KNOWN.items()}
    assert not {name: modules for name, modules in mended.items() if modules}


@pytest.mark.parametrize(
    ('first', 'second'),
    [
        ('def pair(slop=0.03): ...', 'SLOP_S = 0.03'),
        ('class A:\n    queue: int = 30', 'def f(*, queue=10): ...'),
        ('class A:\n    decay: float = bounded(0.9, above=0)', 'def f(decay: float = 0.5): ...'),
        ("parser.add_argument('--slop-ms', default=20.0)", 'def f(a, slop_ms=20.0): ...'),
        ("Parameter('overlay.opacity', 'double', 0.5, '')", 'def f(opacity=0.5): ...'),
        ('LOW = -30.0', 'class A:\n    low: float = field(default=-30.0)'),
    ],
)
def test_each_kind_of_home_is_seen(first, second):
    assert list(homes({'a': first, 'b': second}).values()) == [{'a', 'b'}]
    assert homes({'a': first}) == {}


def test_neutral_and_computed_values_are_no_homes():
    assert homes({'a': 'def f(rate=1.0): ...', 'b': 'def f(rate=RATE): ...\nRATE = 0.5'}) == {}


def test_streams_and_seconds_have_one_home():
    other = re.compile(
        r"^\s*\w+ = (\('visible', 'thermal'\)|1_?000_?000_?000|10\*\*9)$", re.MULTILINE
    )
    homes = [
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob('*.py'))
        if other.search(path.read_text('utf-8'))
    ]
    # Bytes that a disk keeps free are as many as nanoseconds of a second by chance.
    assert set(homes) == {'mafs_model/streams.py', 'mafs_demo/replay/store.py'}
