"""The command line of `mafs-eval`; importing this imports nothing heavy."""

from __future__ import annotations

import argparse
from importlib import import_module

from mafs_model.command_line import add_talk_options, EXIT_CODES, OneLineParser
from mafs_model.version import __version__
from mafs_training.evaluation.argument_parts import QUIET

# In the order of `mafs-eval --help`; each is a folder with arguments, command, run and report.
COMMANDS = (
    'fusion',
    'seg',
    'objects',
    'model',
    'bag',
    'flicker',
    'calibrate',
    'panels',
    'agree',
    'card',
    'compare',
)
DESCRIPTION = 'Measure fused images, label images, models and bags the way the field does.'
EPILOG = (
    f'{EXIT_CODES}. Bad input is one line on stderr each; what could be read is measured and '
    'written all the same. Metrics: docs/metrics.md. Commands, JSON schema and reports: '
    'docs/evaluation.md.'
)


def build_parser() -> argparse.ArgumentParser:
    """Describe the whole command line."""
    parser = OneLineParser(prog='mafs-eval', description=DESCRIPTION, epilog=EPILOG)
    parser.add_argument('--version', action='version', version=f'mafs-eval {__version__}')
    add_talk_options(parser.add_argument_group('output'), quiet=QUIET)
    commands = parser.add_subparsers(dest='command', required=True, metavar='COMMAND')
    for name in COMMANDS:
        module = import_module(f'mafs_training.evaluation.{name}.arguments')
        module.add_arguments(commands)
    return parser
