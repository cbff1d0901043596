"""What all tests need where ROS is installed: loggers as Python makes them."""

from __future__ import annotations

import logging

import pytest


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
