"""How idle OpenMP threads of torch wait: asleep, so that they leave the cores to others."""

from __future__ import annotations

import os
import sys

VARIABLE = 'OMP_WAIT_POLICY'


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
        os.environ.setdefault(VARIABLE, 'PASSIVE')
    return os.environ.get(VARIABLE, '').upper() == 'PASSIVE'
