"""
The exceptions of the project: one base class, one child per kind of cause.

Every message is one line that names the offending value and what was expected, so that the
command line, the node's log and its status can show it as it is.
"""

from __future__ import annotations


class MafsError(Exception):
    """Base of every error that a user can cause or needs to read."""


class ConfigError(MafsError):
    """A setting has a wrong type, value or combination."""


class ImageError(MafsError):
    """
    An image cannot be used.

    Args:
        reason: short counter key for statistics, e.g. ``'encoding'``, ``'size'``, ``'step'``,
            ``'data'``, ``'decode'``, ``'nonfinite'``.
        message: one line that names the value and the expectation.

    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type[ImageError], tuple[str, str]]:
        """Keep both arguments when the error crosses a process boundary."""
        return type(self), (self.reason, str(self))


class CheckpointError(MafsError):
    """A weights file is missing, damaged, unsafe or made for something else."""


class ModeError(CheckpointError):
    """The weights cannot be computed for the cameras that are there; for others they can."""


class DeviceError(MafsError):
    """A compute device or a runtime backend was asked for that is not there or failed."""


class OutOfMemoryError(DeviceError):
    """A device has no memory left for the work asked for."""


class BagError(MafsError):
    """A bag cannot be opened, lacks a topic or holds something unexpected."""


class DatasetError(MafsError):
    """A data set on disk is incomplete or does not match its description."""


class CalibrationError(MafsError):
    """Recordings do not show what a calibration needs, or it would be wrong."""
