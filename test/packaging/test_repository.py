"""What is committed: no leftovers, no huge files, valid data files, documents and code agree."""

from __future__ import annotations

from pathlib import Path
import re
import subprocess
import xml.etree.ElementTree as ET

import pytest
import yaml

MAX_BYTES = 1_000_000  # weights aside
WEIGHTS = 'data/weights'  # trained weights and the graphs made of them
MAX_WEIGHTS_BYTES = 10_000_000
TEXT = {'.py', '.md', '.rst', '.yaml', '.yml', '.toml', '.cfg', '.txt', '.msg', '.xml', '.sh'}
# Bracketed so that this file does not contain the words itself.
LEFTOVERS = re.compile(r'\b(T[O]DO|F[I]XME|X[X]X|H[A]CK)\b')


@pytest.fixture(scope='module')
def files(root) -> list[Path]:
    done = subprocess.run(
        ['git', 'ls-files', '-z'], cwd=root, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        pytest.skip('not a git checkout')
    found = [root / name for name in done.stdout.split('\0') if name]
    return [path for path in found if path.is_file()]


@pytest.fixture(scope='module')
def texts(files) -> dict[Path, str]:
    return {
        path: path.read_text(encoding='utf-8')
        for path in files
        if path.suffix in TEXT and not (WEIGHTS in path.as_posix() and path.suffix == '.xml')
    }


def test_no_file_is_huge(files):
    for path in files:
        limit = MAX_WEIGHTS_BYTES if WEIGHTS in path.as_posix() else MAX_BYTES
        assert path.stat().st_size <= limit, f'{path}: {path.stat().st_size} bytes'


def test_no_leftover_marks(texts):
    for path, text in texts.items():
        found = LEFTOVERS.search(text)
        assert found is None, f'{path}: {found.group()}'


def test_no_merge_marks_and_clean_whitespace(texts):
    for path, text in texts.items():
        assert not re.search(r'^(<{7}|>{7}) ', text, re.MULTILINE), path
        assert not text or text.endswith('\n'), f'{path}: no newline at the end'
        for number, line in enumerate(text.splitlines(), 1):
            assert line == line.rstrip(), f'{path}:{number}: blank at the end of the line'
            assert '\t' not in line or path.suffix in {'.md', '.txt'}, f'{path}:{number}: tab'


def test_data_files_are_valid(texts):
    for path, text in texts.items():
        if path.suffix in {'.yaml', '.yml'}:
            list(yaml.safe_load_all(text))
        elif path.suffix == '.xml':
            ET.fromstring(text)


def test_scripts_are_executable(files):
    for path in files:
        if path.suffix == '.sh' and path.name != 'env.sh':
            assert path.stat().st_mode & 0o111, path


def test_links_in_documents_lead_somewhere(texts):
    for path, text in texts.items():
        if path.suffix != '.md':
            continue
        for target in re.findall(r'\]\(([^)#\s]+)(?:#[^)]*)?\)', text):
            if '://' not in target:
                assert (path.parent / target).exists(), f'{path}: no {target}'


def test_makefile_targets_named_in_documents_exist(texts, root):
    targets = set(re.findall(r'^([a-z]+):', (root / 'Makefile').read_text('utf-8'), re.MULTILINE))
    for path, text in texts.items():
        if path.suffix == '.md':
            named = set(re.findall(r'(?:^|`)make ([a-z]+)', text, re.MULTILINE))
            assert named <= targets, f'{path}: {sorted(named - targets)}'
