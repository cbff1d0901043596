"""
What all commands of the project have in common: options, exit codes and how they end.

Nothing heavy is imported here, so that a wrong option costs no time.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
import difflib
import logging
import os
import signal
import sys
from typing import Any, NoReturn

from mafs_model.errors import MafsError
from mafs_model.extras import how_to_install

EXIT_OK, EXIT_PARTIAL, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130
EXIT_CODES = (
    'exit codes: 0 done; 1 done in part: some inputs were left out or a check failed; '
    '2 wrong usage, settings or files, nothing done; 130 interrupted'
)


class OneLineParser(argparse.ArgumentParser):
    """A parser whose errors are one line on stderr that names the right help, exit code 2."""

    def __init__(self, *arguments: object, **options: object) -> None:
        options.setdefault('epilog', EXIT_CODES)
        options.setdefault('allow_abbrev', False)
        super().__init__(*arguments, **options)  # type: ignore[arg-type]

    def exit(self, status: int = EXIT_OK, message: str | None = None) -> NoReturn:
        """End, after help and version are written as far as anybody reads them."""
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            _drop_output()
        super().exit(status, message)

    def print_help(self, file: Any = None) -> None:
        """Print the help; argparse itself lets a closed pipe through."""
        try:
            super().print_help(file)
        except BrokenPipeError:
            _drop_output()

    def error(self, message: str) -> NoReturn:
        """End with the message."""
        line = ' '.join(message.split())
        self.exit(EXIT_USAGE, f'{self.prog}: {line} (see {self.prog} --help)\n')


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that every command has, before and after the subcommand."""
    group = parser.add_argument_group('output')
    group.add_argument(
        '--json',
        action='store_true',
        default=argparse.SUPPRESS,
        help='print the result as JSON on stdout',
    )
    add_talk_options(group)


def add_talk_options(
    group: argparse._ActionsContainer, quiet: str = 'no progress and no summary; errors only'
) -> None:
    """Add the options of how much is told, whose defaults :func:`parse` sets."""
    group.add_argument(
        '-q',
        '--quiet',
        action='store_true',
        default=argparse.SUPPRESS,
        help=quiet,
    )
    group.add_argument(
        '-v',
        '--verbose',
        action='store_true',
        default=argparse.SUPPRESS,
        help='log what is chosen and why',
    )


def parse(
    parser: argparse.ArgumentParser, argv: Sequence[str] | None = None
) -> argparse.Namespace:
    """
    Return the options; an unknown one is answered by the subcommand's help, with a suggestion.

    Args:
        parser: with subparsers in ``command``, or without.
        argv: arguments without the program name; None for those of the process.

    """
    # Defaults of options that stand on both sides of the subcommand are set here: argparse would
    # let the subcommand's default win over what was given before it.
    start = argparse.Namespace(json=False, quiet=False, verbose=False)
    arguments, unknown = parser.parse_known_args(argv, start)
    if unknown:
        asked = _subparser(parser, getattr(arguments, 'command', None))
        known = [o for action in asked._actions for o in action.option_strings]
        near = difflib.get_close_matches(unknown[0].split('=')[0], known, 1, 0.75)
        hint = f', did you mean {near[0]}?' if near else ''
        asked.error(f'unrecognized arguments: {" ".join(unknown)}{hint}')
    return arguments


def completing() -> bool:
    """Return whether a shell asks for completions instead of running the command."""
    return '_ARGCOMPLETE' in os.environ


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer a shell that asks for completions, where argcomplete is installed."""
    if not completing():
        return
    try:
        import argcomplete
    except ModuleNotFoundError:
        return
    argcomplete.autocomplete(parser)


def run(name: str, action: Callable[[], int], verbose: bool = False) -> int:
    """
    Run the work of a command and return its exit code.

    A user's mistake becomes one line, Ctrl-C a word, and a closed pipe the end.

    Args:
        name: how messages begin, e.g. ``mafs fuse``.
        action: the work; returns the exit code.
        verbose: log what is chosen.

    """
    handler = logging.StreamHandler(sys.stderr)
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        format='%(levelname)s: %(message)s',
        handlers=[handler],
    )
    try:
        code = int(action())
        sys.stdout.flush()  # what is met at the exit of Python has no handler
        return code
    except MafsError as error:
        _say(f'{name}: {error}')
        return EXIT_USAGE
    except ModuleNotFoundError as error:
        if (error.name or '').startswith('mafs'):
            raise
        _say(f'{name}: {how_to_install(error.name or str(error))}')
        return EXIT_USAGE
    except KeyboardInterrupt:
        _say(f'{name}: interrupted')
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        _drop_output()
        return EXIT_OK
    except OSError as error:
        _say(f'{name}: {error.filename or "files"}: {error.strerror or error}')
        return EXIT_USAGE


def _drop_output() -> None:
    """Let what is still to be written vanish: the reader (head, less) has seen enough."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class quiet_start:  # noqa: N801 - reads as a phrase after `with`
    """
    Let Ctrl-C end the process at once while libraries are loaded and nothing is written yet.

    Compiled modules turn an interrupt during their import into whatever error they stumble over.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._before: object = None

    def __enter__(self) -> None:
        """Take over the signal, where this is the main thread."""
        try:
            self._before = signal.signal(signal.SIGINT, self._end)
        except ValueError:
            self._before = None

    def __exit__(self, *unused: object) -> None:
        """Give the signal back."""
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)  # type: ignore[arg-type]

    def _end(self, *unused: object) -> None:
        """End without running any half-imported code."""
        os.write(2, f'{self._name}: interrupted\n'.encode())
        os._exit(EXIT_INTERRUPTED)


def _say(text: str) -> None:
    """Write a line to stderr."""
    sys.stderr.write(f'{text}\n')


def _subparser(parser: argparse.ArgumentParser, command: str | None) -> argparse.ArgumentParser:
    """Return the parser of a subcommand, the parser itself where there is none."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction) and command in action.choices:
            found: argparse.ArgumentParser = action.choices[command]
            return found
    return parser


def add_thermal_camera(parser: argparse._ActionsContainer) -> None:
    """Add the option that says what the thermal camera sends."""
    parser.add_argument(
        '--thermal-camera',
        default='auto',
        metavar='NAME|FILE',
        help='what the thermal camera sends: lepton, boson, optris ... or a YAML file, see '
        'docs/cameras.md (default: auto, told by its images)',
    )
