"""Files name values; nothing that they say is imported or called without the command line."""

from __future__ import annotations

import sys

from mafs_model.errors import ConfigError
from mafs_training.cli import main_train, parse_stage
from mafs_training.trust import refuse_imports
import pytest

MARK = 'was_imported'


@pytest.fixture
def trap(tmp_path, monkeypatch):
    """Offer a module that leaves a mark when it is imported; return its name and the mark."""
    mark = tmp_path / MARK
    (tmp_path / 'trap_module.py').write_text(
        f'open({str(mark)!r}, "w").close()\n'
        'import torch\n'
        'def build():\n    return torch.nn.Conv2d(3, 9, 1)\n'
        'class OptimOptions:\n    pass\n'
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield 'trap_module', mark
    sys.modules.pop('trap_module', None)


@pytest.mark.parametrize('place', ['command line', 'file'])
def test_a_factory_needs_the_flag(trap, tmp_path, capsys, place):
    module, mark = trap
    arguments = ['--segmenter.kind', 'torch', '--segmenter.factory', f'{module}:build']
    if place == 'file':
        path = tmp_path / 'c.yaml'
        path.write_text(f'segmenter:\n  kind: torch\n  factory: "{module}:build"\n')
        arguments = ['--config', str(path)]
    assert main_train(['joint', '--dry-run', *arguments]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert f"segmenter.factory is '{module}:build', which would be imported" in last
    assert 'expected --trust-config on the command line' in last
    assert not mark.exists()


def test_no_file_can_give_the_flag(trap, tmp_path, capsys):
    module, mark = trap
    path = tmp_path / 'c.yaml'
    path.write_text(f'trust_config: true\nsegmenter: {{kind: torch, factory: "{module}:build"}}\n')
    assert main_train(['joint', '--dry-run', '--config', str(path)]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith('mafs-')
    assert not mark.exists()


@pytest.mark.parametrize(
    'arguments',
    [
        ['--optim', '{class_path: trap_module.OptimOptions}'],
        ['--optim={"class_path": "trap_module.OptimOptions", "init_args": {}}'],
        ['--optim', '{"class\\u005fpath": "trap_module.OptimOptions"}'],
        ['--optim.class_path', 'trap_module.OptimOptions'],
        ['--optim.class_path=trap_module.OptimOptions'],
        ['--config', 'FILE'],
        ['--optim', 'FILE'],
        ['--config', 'OUTER'],
        ['--model.overrides', '{a: {class_path: trap_module.OptimOptions}}'],
    ],
)
def test_nothing_is_imported_before_its_type_is_allowed(trap, tmp_path, arguments):
    _, mark = trap
    inner, outer = tmp_path / 'inner.yaml', tmp_path / 'outer.yaml'
    inner.write_text('optim:\n  class_path: trap_module.OptimOptions\n')
    outer.write_text(f'optim: {inner}\n')
    places = {'FILE': str(inner), 'OUTER': str(outer)}
    with pytest.raises(ConfigError):
        parse_stage('mae', [places.get(word, word) for word in arguments])
    assert not mark.exists()


@pytest.mark.parametrize(
    'text',
    ['[' * 5000, '{a: ' * 3000, '1' * 5000, '&a [*a]', '!!python/object/apply:os.system [true]'],
)
@pytest.mark.parametrize('place', ['value', 'file'])
def test_strange_yaml_is_one_line(tmp_path, capsys, text, place):
    path = tmp_path / 'c.yaml'
    path.write_text(f'optim:\n  lr: {text}\n')
    arguments = ['--config', str(path)] if place == 'file' else ['--optim.lr', text]
    assert main_train(['mae', *arguments, '--data.train', '[x]']) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith('mafs-')
    assert len(lines[0]) < 600


def test_what_is_plain_passes():
    for text in ('0.1', '[a, b]', 'class_path_like', '--data.train', '{a: 1}', 'x.yaml', '@', '%'):
        refuse_imports(text)
