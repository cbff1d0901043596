"""The command line of `mafs-eval`; importing this imports nothing heavy."""

from __future__ import annotations

import argparse
from importlib import import_module

from mafs_model.version import __version__

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
EPILOG = """\
exit codes: 0 all was measured; 2 bad input (one line on stderr each; what could be read is
measured and written all the same); 130 interrupted.
Metrics: docs/metrics.md. Commands, JSON schema and reports: docs/evaluation.md.
"""


def build_parser() -> argparse.ArgumentParser:
    """Describe the whole command line."""
    parser = argparse.ArgumentParser(
        prog='mafs-eval',
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--version', action='version', version=f'mafs-eval {__version__}')
    commands = parser.add_subparsers(dest='command', required=True, metavar='COMMAND')
    for name in COMMANDS:
        module = import_module(f'mafs_training.evaluation.{name}.arguments')
        module.add_arguments(commands)
    return parser
