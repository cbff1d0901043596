"""One look and feel: options, help, exit codes and ends of the command ``mafs``."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time

from mafs_model.cli import build_parser, COMMANDS, main
from mafs_model.command_line import EXIT_CODES
from mafs_model.command_line import run as run_command
from mafs_model.info import model_info
import pytest


def run(arguments, capsys):
    try:
        code = main(arguments)
    except SystemExit as end:
        code = end.code
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize('arguments', [['--json', 'info'], ['info', '--json']])
def test_common_options_stand_on_both_sides(arguments, capsys):
    code, out, _ = run(arguments, capsys)
    assert code == 0
    assert json.loads(out) == model_info()


@pytest.mark.parametrize('name', [None, *COMMANDS])
def test_every_help_has_the_common_options_and_the_exit_codes(name, capsys):
    code, out, _ = run([*([name] if name else []), '--help'], capsys)
    assert code == 0
    for option in ('--json', '--quiet', '--verbose'):
        assert option in out
    assert ' '.join(EXIT_CODES.split()) in ' '.join(out.split())


@pytest.mark.parametrize(
    ('arguments', 'program', 'hint'),
    [
        (['fuse', '--out', 'x', '--ovewrite'], 'mafs fuse', 'did you mean --overwrite?'),
        (['info', '--jsn'], 'mafs info', 'did you mean --json?'),
        (['export', '--formt=onnx', '--format', 'onnx'], 'mafs export', 'did you mean --format?'),
        (['classes', 'mfnet', 'more'], 'mafs classes', 'unrecognized arguments: more'),
        (['fuse', '--out'], 'mafs fuse', 'expected one argument'),
        (['fly'], 'mafs', "invalid choice: 'fly'"),
        (['--wrong', 'info'], 'mafs info', 'unrecognized arguments: --wrong (see'),
        (['fuse', '--out', 'x', '--rg', 'y'], 'mafs fuse', 'did you mean --rgb?'),
    ],
)
def test_errors_point_to_the_right_help(arguments, program, hint, capsys):
    code, _, err = run(arguments, capsys)
    assert code == 2
    assert len(err.splitlines()) == 1
    assert err.startswith(f'{program}: ')
    assert hint in err
    assert err.rstrip().endswith(f'(see {program} --help)')


def test_no_word_about_cuda_that_nobody_asked_for(tmp_path, monkeypatch):
    code = (
        'import logging, sys\n'
        'from mafs_model.command_line import run\n'
        'from mafs_model.runtime.device import resolve_device\n'
        'import mafs_model.runtime.device as d; d._DRIVER_FILES = ()\n'
        "run('x', lambda: len(resolve_device('auto')) and 0, verbose='-v' in sys.argv)\n"
        "logging.getLogger('mafs_model').warning('this is news')\n"
    )
    for options, told in (((), False), (('-v',), True)):
        done = subprocess.run(
            [sys.executable, '-c', code, *options], capture_output=True, text=True, check=True
        )
        assert ('CUDA' in done.stderr) == told
        assert 'this is news' in done.stderr


def test_info_needs_no_heavy_library():
    code = (
        'import sys; from mafs_model.cli import main\n'
        "main(['info'])\n"
        "heavy = {'torch', 'cv2', 'numpy', 'openvino', 'onnxruntime'} & set(sys.modules)\n"
        'assert not heavy, heavy'
    )
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert 'mafs_t' in done.stdout


@pytest.mark.parametrize(
    ('error', 'line'),
    [
        (PermissionError(13, 'Permission denied', '/sealed/x'), '/sealed/x: Permission denied'),
        (OSError(28, 'No space left on device'), 'files: No space left on device'),
    ],
)
def test_what_the_system_refuses_is_one_line(error, line, capsys):
    def work():
        raise error

    assert run_command('mafs x', work) == 2
    assert capsys.readouterr().err == f'mafs x: {line}\n'


HELP = """
import contextlib, importlib, io, sys
module, function, *commands = sys.argv[1:]
main = getattr(importlib.import_module(module), function)
for words in (['--version'], ['--help'], *([name, '--help'] for name in commands)):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        main(words)
libraries = {'torch', 'cv2', 'numpy', 'openvino', 'onnxruntime', 'lightning', 'yaml', 'av', 'PIL'}
print(*sorted(libraries & set(sys.modules)))
"""


@pytest.mark.parametrize(
    ('module', 'function', 'commands'),
    [
        ('mafs_model.cli', 'main', tuple(COMMANDS)),
        ('mafs_calibration.cli', 'main', ('target', 'scene', 'time', 'check')),
        ('mafs_training.cli', 'main_data', ('check', 'from-bag', 'synthetic', 'pack')),
        ('mafs_training.cli', 'main_train', ()),
        ('mafs_training.evaluation.cli', 'main', ('bag', 'fusion', 'seg', 'model')),
    ],
)
def test_help_loads_no_heavy_library(module, function, commands):
    done = subprocess.run(
        [sys.executable, '-c', HELP, module, function, *commands],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == []


def test_the_table_of_info_is_that_of_the_networks():
    from mafs_model.network.cost import model_info as count

    assert model_info() == count(), (
        'renew it with: python -m mafs_model.network.cost > mafs_model/data/variants.json'
    )


START = """
import sys
from mafs_model.cli import main
print('ready', flush=True)
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize('delay', [0.05, 0.2, 0.5, 1.0, 2.0])
def test_ctrl_c_during_the_start_is_quiet(delay, tmp_path):
    from mafs_model.images.image_files import write_png
    import numpy as np

    for index in range(3):
        write_png(tmp_path / 'vi' / f'{index}.png', np.full((480, 640, 3), 9, np.uint8))
    process = subprocess.Popen(
        [sys.executable, '-c', START, 'fuse', '--rgb', str(tmp_path / 'vi'), '--out',
         str(tmp_path / 'o'), '--device', 'cpu', '--quiet'],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == 'ready\n'
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert 'Traceback' not in err
    assert 'Exception ignored' not in err
    # It may have been done before the signal.
    assert process.returncode in {0, 130}, err
    if process.returncode == 130:
        assert re.search(r'^mafs( fuse)?: interrupted$', err, re.MULTILINE)


@pytest.mark.parametrize('unbuffered', ['', '1'])
@pytest.mark.parametrize('arguments', [['classes', '--json'], ['--version'], ['fuse', '--help']])
def test_a_closed_pipe_is_the_end(arguments, unbuffered):
    process = subprocess.Popen(
        [sys.executable, '-m', 'mafs_model.cli', *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=os.environ | {'PYTHONUNBUFFERED': unbuffered},
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    err = process.stderr.read().decode()
    process.wait(timeout=60)
    assert not err
    assert process.returncode == 0


def test_completion_names_commands_and_options():
    pytest.importorskip('argcomplete')
    for line, expected in (('mafs f', 'fuse'), ('mafs fuse --over', '--overwrite')):
        environment = {
            **os.environ, '_ARGCOMPLETE': '1', 'COMP_LINE': line, 'COMP_POINT': str(len(line)),
            'IFS': '\n', '_ARGCOMPLETE_IFS': '\n', '_ARGCOMPLETE_STDOUT_FILENAME': '/dev/fd/1',
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, '-m', 'mafs_model.cli'], env=environment, capture_output=True,
            text=True, timeout=120, check=False,
        )  # fmt: skip
        assert expected in done.stdout, done.stderr


def test_options_of_others_are_not_loaded():
    parser = build_parser(['info'])
    names = {a for action in parser._actions for a in action.choices or () if action.choices}
    assert names == set(COMMANDS)
