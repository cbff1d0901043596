"""The command `mafs-eval`: exit codes; the work is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
import sys

from mafs_model.command_line import complete, EXIT_OK, EXIT_PARTIAL, parse, quiet_start, run
from mafs_training.evaluation.arguments import build_parser


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run `mafs-eval`.

    Args:
        arguments: command line without the program's name; None: that of the process.

    Returns:
        0 all was measured, 1 some inputs were not, a goal is missed or a check failed, 2 wrong
        usage, settings or files, 130 interrupted.

    """
    with quiet_start('mafs-eval'):
        parser = build_parser()
        complete(parser)
        options = parse(parser, arguments)
    words = sys.argv[1:] if arguments is None else arguments
    options.command_line = ' '.join(['mafs-eval', *words])

    def work() -> int:
        with quiet_start('mafs-eval'):
            command = import_module(f'mafs_training.evaluation.{options.command}.command')
        return EXIT_PARTIAL if command.run(options) else EXIT_OK

    return run('mafs-eval', work, verbose=options.verbose)


if __name__ == '__main__':
    sys.exit(main())
