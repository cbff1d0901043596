"""Forwards the standard logger of the model library to the log of a node."""

from __future__ import annotations

import logging
from typing import Any

LIBRARY = 'mafs_model'


class RosLogHandler(logging.Handler):
    """
    A logging handler that writes to an rclpy logger; the library never learns about ROS.

    Args:
        logger: logger of the node.

    """

    def __init__(self, logger: Any) -> None:
        super().__init__()
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record with the severity it has."""
        text = record.getMessage()
        # rclpy remembers the severity of each calling line, hence one line for each of them.
        if record.levelno >= logging.ERROR:
            self._logger.error(text)
        elif record.levelno >= logging.WARNING:
            self._logger.warning(text)
        elif record.levelno >= logging.INFO:
            self._logger.info(text)
        else:
            self._logger.debug(text)


def attach(logger: Any) -> RosLogHandler:
    """Forward records of the library to this logger until `detach`."""
    handler = RosLogHandler(logger)
    library = logging.getLogger(LIBRARY)
    library.addHandler(handler)
    if library.level == logging.NOTSET:
        library.setLevel(logging.INFO)
    return handler


def detach(handler: RosLogHandler) -> None:
    """Stop forwarding."""
    logging.getLogger(LIBRARY).removeHandler(handler)
