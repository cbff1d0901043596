"""Environment variables and imports that the libraries of the engines look at when they load."""

from __future__ import annotations

import os
import sys

OMP_VARIABLE = 'OMP_WAIT_POLICY'
# Read by ONNX Runtime when its library is loaded.
TELEMETRY_VARIABLE = 'ORT_DISABLE_TELEMETRY'
# OpenVINO and NNCF import it where it is installed and do without it elsewhere.
TELEMETRY_MODULE = 'openvino_telemetry'


def wait_passively() -> bool:
    """
    Make OpenMP threads sleep instead of spin, unless the environment says otherwise.

    A node shares its cores with camera drivers and recorders. With spinning threads every one of
    the hundreds of barriers of a pair burns what others need: on a busy two-core machine torch
    took 5 to 10 times as long. It works only before torch is loaded, whose OpenMP library reads
    the environment once.

    Returns:
        Whether the policy will hold.

    """
    if 'torch' not in sys.modules:
        os.environ.setdefault(OMP_VARIABLE, 'PASSIVE')
    return os.environ.get(OMP_VARIABLE, '').upper() == 'PASSIVE'


def forbid_telemetry() -> None:
    """
    Switch off the usage reports of ONNX Runtime, OpenVINO and NNCF.

    All of them identify the machine by a file below the home folder and report to their makers
    when imported. It works only before they are; what the environment says already stays.
    """
    os.environ.setdefault(TELEMETRY_VARIABLE, '1')
    if TELEMETRY_MODULE not in sys.modules:
        # An entry of None makes the import fail, which the runtimes are prepared for.
        sys.modules[TELEMETRY_MODULE] = None  # type: ignore[assignment]
