"""The command `mafs-eval`: exit codes; the work is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
import sys

from mafs_model.errors import MafsError
from mafs_training.evaluation.arguments import build_parser

EXIT_OK, EXIT_PROBLEMS, EXIT_INTERRUPTED = 0, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run `mafs-eval`.

    Args:
        arguments: command line without the program's name; None: that of the process.

    Returns:
        The exit code.

    """
    parser = build_parser()
    options = parser.parse_args(arguments)
    options.command_line = ' '.join(
        ['mafs-eval', *(sys.argv[1:] if arguments is None else arguments)]
    )
    try:
        command = import_module(f'mafs_training.evaluation.{options.command}.command')
        problems = command.run(options)
    except MafsError as error:
        print(f'mafs-eval: {error}', file=sys.stderr)
        return EXIT_PROBLEMS
    except BrokenPipeError:
        sys.stderr.close()
        return EXIT_PROBLEMS
    except KeyboardInterrupt:
        print('mafs-eval: interrupted', file=sys.stderr)
        return EXIT_INTERRUPTED
    return EXIT_PROBLEMS if problems else EXIT_OK


if __name__ == '__main__':
    sys.exit(main())
