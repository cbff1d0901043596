"""Command lines ``mafs-train`` and ``mafs-data``; heavy libraries are imported when needed."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING

from mafs_model.command_line import complete, OneLineParser, parse, quiet_start, run
from mafs_model.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mafs_training.options import StageConfig

_STAGES = {
    'mae': 'stage I: masked autoencoder, no labels',
    'joint': 'stage II: fusion and segmentation with a teacher',
    'ssvif': 'self-supervised consistency, without or with some labels',
}


def _parser() -> OneLineParser:
    """Return the parser of what stands before the options of a stage."""
    parser = OneLineParser(
        prog='mafs-train',
        usage='mafs-train [-h] [--version] STAGE [--config FILE] [--dry-run] [--trust-config] '
        '[options]',
        description='Train a network in stages. Options of a stage: mafs-train STAGE --help',
    )
    parser.add_argument('--version', action='version', version=f'mafs-train {__version__}')
    stages = parser.add_subparsers(title='stages', required=True, metavar='STAGE')
    for name, text in _STAGES.items():
        stages.add_parser(name, help=text)
    return parser


def parse_stage(stage: str, arguments: Sequence[str]) -> StageConfig:
    """
    Read the options of a stage from files and arguments; later ones win.

    Args:
        stage: name of the stage.
        arguments: command line after the stage.

    Raises:
        ConfigError: an unknown option or an unusable value.

    """
    from jsonargparse import ArgumentError, ArgumentParser
    from mafs_model.errors import ConfigError
    from mafs_training.options import CONFIGS
    from mafs_training.trust import refuse_imports

    parser = ArgumentParser(
        prog=f'mafs-train {stage}', description=_STAGES[stage], exit_on_error=False
    )
    parser.add_argument('--config', action='config', help='YAML file with any of the options')
    parser.add_class_arguments(CONFIGS[stage])
    for argument in arguments:
        refuse_imports(argument.partition('=')[2] or argument)
    arguments = ['--trainer.dry_run=true' if a == '--dry-run' else a for a in arguments]
    try:
        values = parser.parse_args(list(arguments))
        made = parser.instantiate(values)
        fields = {name: made[name] for name in CONFIGS[stage].__dataclass_fields__}
        return CONFIGS[stage](**fields)
    except (ArgumentError, ValueError, TypeError, OSError, RecursionError) as error:
        raise ConfigError(' '.join(str(error).split())[:400]) from None


def guard(name: str, action: Callable[[], int]) -> int:
    """
    Run a command.

    Args:
        name: how messages begin, e.g. ``mafs-train joint``.
        action: the work; returns the exit code.

    Returns:
        Its exit code, see :func:`mafs_model.command_line.run`; 128 and the number of the signal
        for a run that was ended by one.

    """
    from mafs_training.interruption import InterruptedRunError

    logging.basicConfig(level=logging.INFO, format='%(message)s', stream=sys.stderr)

    def work() -> int:
        try:
            return action()
        except InterruptedRunError as error:
            return 128 + error.number  # it has said where it stands

    return run(name, work)


def main_train(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``mafs-train``; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] not in _STAGES:
        _parser().parse_args(arguments)  # help, version, or what is wrong: it ends here
    stage, rest = arguments[0], arguments[1:]
    return guard(f'mafs-train {stage}', lambda: _train(stage, rest))


def _train(stage: str, arguments: Sequence[str]) -> int:
    import tempfile

    from mafs_training.teacher_weights import apply_teacher_weights
    from mafs_training.trust import check_trust, FLAG

    config = parse_stage(stage, [text for text in arguments if text != FLAG])
    apply_teacher_weights(config)
    check_trust(config, FLAG in arguments)
    from mafs_training.trainer import run

    command = ' '.join(['mafs-train', stage, *arguments])
    if config.trainer.dry_run and config.trainer.out == type(config.trainer)().out:
        with tempfile.TemporaryDirectory(prefix='mafs_dry_run_') as folder:
            config.trainer.out = folder
            result = run(config, command)
            print(
                f'dry run of {stage}: {result.steps} steps, '
                f'loss {result.metrics["train/loss"]:.4f}'
            )
        return 0
    result = run(config, command)
    if int(os.environ.get('LOCAL_RANK', '0')):
        return 0  # one process of several reports
    for name, value in sorted(result.metrics.items()):
        if name.startswith('val/'):
            print(f'{name} {value:.4f}')
    print(
        f'{result.steps} steps; '
        + (
            f'weights: {result.weights}'
            if result.weights
            else f'continue with --trainer.resume auto (checkpoint: {result.checkpoint})'
        )
    )
    return 0


def main_data(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``mafs-data``; returns the exit code."""
    from mafs_training.datasets.cli import build_parser

    with quiet_start('mafs-data'):
        parser = build_parser()
        complete(parser)
        arguments = parse(parser, argv)
    return guard(f'mafs-data {arguments.command}', lambda: int(arguments.run(arguments)))


if __name__ == '__main__':
    sys.exit(main_train())
