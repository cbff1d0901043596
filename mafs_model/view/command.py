"""The work of ``mafs view``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import closing, suppress
import ipaddress
import os
import webbrowser

from mafs_model.command_line import EXIT_OK, quiet_start
from mafs_model.errors import ConfigError
from mafs_model.pair_setup import check_settings, create_predictor, open_source
from mafs_model.view.server import ViewServer
from mafs_model.view.viewer import Viewer

_END_S = 1.0  # how long Ctrl-C waits for the pair that is being computed


def view(arguments: argparse.Namespace, say: Callable[[str], None]) -> None:
    """
    Serve the page until Ctrl-C.

    Args:
        arguments: parsed options, see ``mafs_model.cli``.
        say: prints a line.

    Raises:
        MafsError: settings, inputs, weights, device or address are wrong.

    """
    check_settings(arguments)
    source = open_source(arguments)
    try:
        if source.count == 0:
            problems = source.problems or ['no image files found']
            raise ConfigError(problems[0])
        with quiet_start('mafs view'):
            predictor = create_predictor(arguments, source.is_sequence)
    except BaseException:
        source.close()
        raise
    # The first time the source that is open already; when a recording starts over, a new one.
    waiting = [source]
    with (
        predictor,
        closing(
            Viewer(predictor, lambda: waiting.pop() if waiting else open_source(arguments))
        ) as viewer,
        ViewServer(viewer, arguments.host, arguments.port) as server,
    ):
        viewer.change({'opacity': arguments.opacity})
        viewer.start()
        with suppress(KeyboardInterrupt):  # This is how it ends, from when it says so.
            if not arguments.quiet:
                say(f'{server.url}  (Ctrl-C ends)')
                if not _is_loopback(arguments.host):
                    say(f'everybody who reaches {arguments.host} can see the pictures')
            if arguments.open:
                webbrowser.open(server.url)
            server.serve_forever(poll_interval=0.2)
        if not viewer.close(_END_S):
            # A network of a new image size is being compiled, which nothing interrupts; there is
            # nothing to lose, and taking its libraries away beneath it would be a crash.
            os._exit(EXIT_OK)


def _is_loopback(host: str) -> bool:
    """Return whether an address is reached from this computer only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == 'localhost'
