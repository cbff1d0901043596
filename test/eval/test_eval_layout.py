"""The rooms of `mafs-eval`: one folder a command, one row a metric, a fast command line."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
import pkgutil
import re
import subprocess
import sys

from mafs_training import evaluation, metrics
from mafs_training.evaluation.arguments import build_parser, COMMANDS
from mafs_training.metrics import docs, fusion
from mafs_training.metrics.fusion import TABLE
import pytest

ROOM = Path(evaluation.__file__).parent
DOCS = Path(__file__).parents[2] / 'docs'


def test_every_command_has_its_room():
    rooms = {path.parent.name for path in ROOM.glob('*/command.py')}
    assert rooms == set(COMMANDS)
    for name in COMMANDS:
        assert (ROOM / name / 'arguments.py').is_file(), name
        documented = f'## `mafs-eval {name}`'
        assert documented in (DOCS / 'evaluation.md').read_text(encoding='utf-8'), documented


def test_the_command_line_is_built_without_anything_heavy():
    code = (
        'import sys; from mafs_training.evaluation.arguments import build_parser; build_parser(); '
        "print([m for m in ('torch', 'cv2', 'numpy', 'lightning', 'yaml') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == '[]'


@pytest.mark.parametrize('name', COMMANDS)
def test_every_command_explains_itself(name, capsys):
    with pytest.raises(SystemExit) as ended:
        build_parser().parse_args([name, '--help'])
    assert ended.value.code == 0
    assert f'usage: mafs-eval {name}' in capsys.readouterr().out


def test_names_of_metrics_are_unique_and_every_row_is_full():
    names = [metric.name for metric in TABLE]
    assert len(set(names)) == len(names)
    for metric in TABLE:
        for text in (metric.meaning, metric.formula, metric.conventions, metric.source):
            assert text.strip(), metric.name
            assert '|' not in text, metric.name


def measures():
    """Yield every function that measures a fused image and its sources, whatever its module."""
    for found in pkgutil.iter_modules(metrics.__path__):
        module = importlib.import_module(f'{metrics.__name__}.{found.name}')
        for name, function in inspect.getmembers(module, inspect.isfunction):
            parameters = inspect.signature(function).parameters
            image = 'fused' in parameters and parameters['fused'].annotation
            if function.__module__ == module.__name__ and image in ('ImageLike', 'Plane'):
                yield f'{found.name}.{name}'


# The same measure for those who want it alone, with the convention as an argument.
ALONE = {'qabf.edge_transfer': 'edge_transfers', 'fusion.fusion_metrics': 'METRICS'}


@pytest.mark.parametrize('measure', measures())
def test_every_measure_has_a_row(measure):
    _, _, name = measure.rpartition('.')
    called = re.search(rf'\b{ALONE.get(measure, name)}\b[([]', inspect.getsource(fusion))
    assert called or name.startswith('_'), f'mafs_training.metrics.{measure} has no row in TABLE'


def test_measures_are_looked_for_everywhere():
    found = set(measures())
    assert {'detail.visible_kept', 'intensity.entropy', 'ssim.similarities'} <= found
    assert found >= ALONE.keys()


def test_the_documents_have_the_table_of_metrics():
    text = (DOCS / 'metrics.md').read_text(encoding='utf-8')
    rows = {line.split('|')[1].strip(): line for line in text.splitlines() if line.count('|') == 5}
    for metric in TABLE:
        assert metric.name in rows, f'{metric.name}: run python -m mafs_training.metrics.docs'
    assert docs.filled(text) == text, 'run python -m mafs_training.metrics.docs'
    with pytest.raises(ValueError, match='expected <!-- generated: fusion metrics -->'):
        docs.filled('nothing')
