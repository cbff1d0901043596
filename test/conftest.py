"""What all tests need: loggers and signals as Python makes them, wherever pytest was started."""

from __future__ import annotations

import logging
import signal

import pytest


def pytest_configure() -> None:
    """Let programs that tests start be interrupted, also where a shell runs pytest with `&`."""
    # Such a shell has SIGINT ignored, and what is ignored stays so in every child.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _loggers_reach_the_root() -> None:
    """
    Undo what the pytest plugins of launch do to every logger made after their import.

    Their class of loggers does not hand records to the root logger, where `caplog` listens.
    """
    logging.setLoggerClass(logging.Logger)
    for name, logger in logging.Logger.manager.loggerDict.items():
        if isinstance(logger, logging.Logger) and name.split('.')[0].startswith('mafs'):
            logger.propagate = True
