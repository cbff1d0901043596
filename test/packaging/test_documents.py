"""The documents as a site, and the commands they name: what they say can be done."""

from __future__ import annotations

import importlib
import re
import runpy
import shlex

from mafs_calibration.cli import build_parser as calibrate_parser
from mafs_model.cli import build_parser
from mafs_model.command_line import parse
from mafs_training.cli import parse_stage
from mafs_training.datasets.cli import build_parser as data_parser
from mafs_training.evaluation.arguments import build_parser as eval_parser
from mafs_training.option_checks import check_config
import pytest
import yaml

SYNOPSIS = re.compile(r'\.\.\.|\[-')  # what a reader fills in
PARSERS = {
    'mafs': build_parser,
    'mafs-calibrate': calibrate_parser,
    'mafs-data': data_parser,
    'mafs-eval': eval_parser,
}
PROGRAMS = {*PARSERS, 'mafs-train'}  # whose parser depends on the stage
PACKAGES = (
    'mafs_ros', 'mafs_model', 'mafs_training', 'mafs_calibration', 'mafs_demo', 'mafs_synthetic',
)  # fmt: skip


def code_blocks(text: str, *languages: str) -> list[str]:
    blocks = re.findall(r'^```(\w*)\n(.*?)^```$', text, re.DOTALL | re.MULTILINE)
    return [block for language, block in blocks if language in languages]


def commands(root) -> list[tuple[str, list[str]]]:
    """Return (document, words) of every command of ours in a code block."""
    found = []
    for path in (root / 'README.md', *sorted((root / 'docs').glob('*.md'))):
        for block in code_blocks(path.read_text('utf-8'), 'bash', ''):
            for line in map(str.strip, block.replace('\\\n', ' ').splitlines()):
                if line.partition(' ')[0] in PROGRAMS and not SYNOPSIS.search(line):
                    words = shlex.split(line, comments=True)
                    end = next((i for i, w in enumerate(words) if w in {'>', '|', '&&'}), None)
                    found.append((path.name, words[:end]))
    return found


def test_commands_in_documents_are_understood(root, capsys):
    found = commands(root)
    assert len(found) > 50
    for name, words in found:
        if words[0] == 'mafs-train':
            continue
        try:
            parse(PARSERS[words[0]](), words[1:])
        except SystemExit:
            pytest.fail(f'{name}: {" ".join(words)}: {capsys.readouterr().err}')


def test_training_commands_in_documents_are_understood(root, monkeypatch):
    monkeypatch.chdir(root)  # configurations are named from there
    runs = [words for _, words in commands(root) if words[0] == 'mafs-train']
    assert len(runs) > 8
    for words in runs:
        # A list that the shell has filled; a number of the loop.
        options = [w.replace('$seed', '1') for w in words[2:] if w not in ('${init[@]}', '--help')]
        config = parse_stage(words[1], options)
        if options and not config.trainer.dry_run:
            check_config(config)


def test_python_blocks_compile(root):
    count = 0
    for path in (root / 'README.md', *sorted((root / 'docs').glob('*.md'))):
        for block in code_blocks(path.read_text('utf-8'), 'python'):
            compile(block, path.name, 'exec')
            count += 1
    assert count >= 4


def test_readme_is_short_and_shows_what_it_does(root):
    text = (root / 'README.md').read_text('utf-8')
    assert len(text.split()) <= 1200
    assert len(re.findall(r'^!\[[^\]]+\]\(docs/images/\w+\.jpg\)$', text, re.MULTILINE)) == 2
    first, *_ = code_blocks(text, 'bash')
    assert first.split() == ['make', 'demo', 'make', 'test'], 'the two commands of a newcomer'


def test_readme_leads_to_every_document(root):
    text = (root / 'README.md').read_text('utf-8')
    named = set(re.findall(r'\]\(docs/(\w+\.md)', text))
    assert named == {path.name for path in (root / 'docs').glob('*.md')} - {'index.md'}


@pytest.fixture(scope='module')
def site(root):
    return yaml.safe_load((root / 'mkdocs.yml').read_text('utf-8'))


def pages(entry) -> list[str]:
    if isinstance(entry, str):
        return [entry]
    values = entry.values() if isinstance(entry, dict) else entry
    return [page for value in values for page in pages(value)]


def test_every_document_is_on_the_site(root, site):
    named = pages(site['nav'])
    assert len(named) == len(set(named))
    assert set(named) == {path.name for path in (root / 'docs').glob('*.md')}
    for hook in site['hooks']:
        assert (root / hook).is_file()
    assert site['theme']['font'] is False, 'nothing is loaded from elsewhere'


def test_links_out_of_the_folder_become_text(root):
    change = runpy.run_path(str(root / 'scripts' / 'site_links.py'))['on_page_markdown']
    text = 'see [config](../config/x.yaml#a) and [node](node.md), ![p](../p.png)'
    assert change(text) == 'see config and [node](node.md), ![p](../p.png)'


def test_roles_of_docstrings_become_code(root):
    change = runpy.run_path(str(root / 'scripts' / 'site_links.py'))['on_page_content']
    assert change('see :meth:<code>reset</code>: it') == 'see <code>reset</code>: it'


def test_the_api_page_names_what_exists(root):
    named = re.findall(r'^::: (\S+)$', (root / 'docs/api.md').read_text('utf-8'), re.MULTILINE)
    assert len(named) >= 5
    for name in named:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:
            module, _, attribute = name.rpartition('.')
            assert getattr(importlib.import_module(module), attribute).__doc__


def test_versions_of_the_site_are_exact(root):
    lines = (root / 'docs/requirements.txt').read_text('utf-8').splitlines()
    for line in lines:
        assert line.startswith('#') or re.fullmatch(r'[\w-]+(\[\w+\])?==[\d.]+', line), line


def wanted_changes(root) -> dict[str, str]:
    """Return the rows of "I want to change ... -> open ...", without their headings."""
    text = (root / 'docs' / 'architecture.md').read_text('utf-8')
    section = text.partition('## I want to change')[2].partition('\n## ')[0]
    rows = re.findall(r'^\| (.+?) \| (.+) \|$', section, re.MULTILINE)
    return {what: where for what, where in rows if what != 'I want to change'}


def test_what_to_open_is_there(root):
    rows = wanted_changes(root)
    assert len(rows) > 70
    for what, where in rows.items():
        named = re.findall(r'`((?:mafs_\w+|msg)/[\w./]*)`', where)
        assert named, f'{what}: names no file'
        missing = [path for path in named if not (root / path).exists()]
        assert not missing, f'docs/architecture.md, {what}: {missing[0]} is not there'
        for symbol in re.findall(r'(?:in|field in|row in) `([A-Z]\w+)`', where):
            sources = [(root / path).read_text('utf-8') for path in named if path.endswith('.py')]
            assert any(symbol in source for source in sources), f'{what}: {symbol} is gone'


def test_every_room_is_named_in_what_to_open(root):
    text = ' '.join(wanted_changes(root).values())
    rooms = {p.parent.relative_to(root) for name in PACKAGES for p in (root / name).rglob('*.py')}
    # One folder a command of `mafs-eval`, all alike: one stands for them.
    alike = root / 'mafs_training' / 'evaluation'
    rooms -= {p.parent.relative_to(root) for p in alike.glob('*/arguments.py')}
    unnamed = [str(room) for room in sorted(rooms) if f'`{room}/' not in text]
    assert not unnamed, f'docs/architecture.md names no file of {unnamed[0]}/'
