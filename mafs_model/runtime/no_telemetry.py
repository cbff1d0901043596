"""Keeps the optional runtimes from reporting their use, and from leaving files for it at home."""

from __future__ import annotations

import os
import sys

# Read by ONNX Runtime when its library is loaded.
VARIABLE = 'ORT_DISABLE_TELEMETRY'
# OpenVINO and NNCF import it where it is installed and do without it elsewhere.
MODULE = 'openvino_telemetry'


def forbid_telemetry() -> None:
    """
    Switch off the usage reports of ONNX Runtime, OpenVINO and NNCF.

    All of them identify the machine by a file below the home folder and report to their makers
    when imported. It works only before they are; what the environment says already stays.
    """
    os.environ.setdefault(VARIABLE, '1')
    if MODULE not in sys.modules:
        # An entry of None makes the import fail, which the runtimes are prepared for.
        sys.modules[MODULE] = None  # type: ignore[assignment]
