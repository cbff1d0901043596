"""Joints of people who walk or cycle: forward, to the right, up, in metres, for every phase."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Joints = dict[str, Array]

_THIGH, _SHIN, _UPPER_ARM, _FOREARM = 0.43, 0.43, 0.29, 0.26
# A bike, in the plane through its wheels: forward, up.
AXLES = ((-0.52, 0.34), (0.52, 0.34))
WHEEL_M = 0.34
CRANK = (-0.08, 0.30)
SADDLE = (-0.24, 0.94)
GRIP = (0.40, 1.04)
HEAD_TUBE = (0.36, 0.86)


def _joint(forward: float, right: float, up: float) -> Array:
    return np.array((forward, right, up))


def walking(phase: float, build: float) -> Joints:
    """
    Return the joints of somebody who walks and is 1.75 m tall.

    Args:
        phase: of two steps, radians.
        build: breadth, 1 is usual.

    """
    joints: Joints = {}
    for name, side, turn in (('left', -1.0, phase), ('right', 1.0, phase + math.pi)):
        swing = 0.44 * math.sin(turn)
        bend = 0.10 + 0.85 * max(0.0, math.cos(turn)) ** 1.5
        hip = _joint(0, 0.085 * side * build, 0.0)
        knee = hip + _joint(_THIGH * math.sin(swing), 0, -_THIGH * math.cos(swing))
        shin = swing - bend
        ankle = knee + _joint(_SHIN * math.sin(shin), 0, -_SHIN * math.cos(shin))
        toe = ankle + _joint(0.15 * math.cos(0.6 * shin), 0.02 * side, 0.15 * math.sin(0.6 * shin))
        joints |= {f'{name}_hip': hip, f'{name}_knee': knee, f'{name}_ankle': ankle}
        joints[f'{name}_toe'] = toe
        swing = -0.45 * math.sin(turn)
        shoulder = _joint(0.02, 0.175 * side * build, 0.50)
        away = 0.04 * side
        elbow = shoulder + _joint(
            _UPPER_ARM * math.sin(swing), away, -_UPPER_ARM * math.cos(swing)
        )
        fore = swing + 0.30 + 0.15 * math.sin(turn)
        hand = elbow + _joint(_FOREARM * math.sin(fore), 0, -_FOREARM * math.cos(fore))
        joints |= {f'{name}_shoulder': shoulder, f'{name}_elbow': elbow, f'{name}_hand': hand}
    joints |= {'pelvis': _joint(0, 0, 0), 'chest': _joint(0.02, 0, 0.42)}
    joints |= {'neck': _joint(0.025, 0, 0.53), 'head': _joint(0.05, 0, 0.70)}
    lowest = min(joints[f'{name}_{part}'][2] for name in ('left', 'right')
                 for part in ('ankle', 'toe'))  # fmt: skip
    # Whoever walks stands on the lower foot.
    return {name: joint - (0, 0, lowest - 0.05) for name, joint in joints.items()}


def cycling(phase: float, build: float) -> Joints:
    """
    Return the joints of somebody on a bike.

    Args:
        phase: of the pedals, radians.
        build: breadth, 1 is usual.

    """
    joints: Joints = {}
    for name, side, turn in (('left', -1.0, phase), ('right', 1.0, phase + math.pi)):
        hip = _joint(SADDLE[0], 0.09 * side * build, SADDLE[1] + 0.06)
        pedal = _joint(CRANK[0] + 0.17 * math.cos(turn), 0.11 * side,
                       CRANK[1] - 0.17 * math.sin(turn))  # fmt: skip
        ankle = pedal + _joint(-0.05, 0, 0.09)
        joints |= {f'{name}_hip': hip, f'{name}_knee': _knee(hip, ankle), f'{name}_ankle': ankle}
        joints[f'{name}_toe'] = pedal + _joint(0.09, 0, 0.02)
        shoulder = _joint(0.10, 0.175 * side * build, 1.46)
        hand = _joint(GRIP[0], 0.27 * side, GRIP[1] + 0.02)
        elbow = (shoulder + hand) / 2 + _joint(-0.05, 0.05 * side, -0.06)
        joints |= {f'{name}_shoulder': shoulder, f'{name}_elbow': elbow, f'{name}_hand': hand}
    joints |= {'pelvis': _joint(SADDLE[0], 0, SADDLE[1] + 0.08), 'chest': _joint(0.06, 0, 1.40)}
    joints |= {'neck': _joint(0.12, 0, 1.50), 'head': _joint(0.18, 0, 1.67)}
    return joints


def _knee(hip: Array, ankle: Array) -> Array:
    """Return where the knee is, bent forward."""
    way = ankle - hip
    reach = min(float(np.hypot(way[0], way[2])), _THIGH + _SHIN - 0.005)
    out = math.sqrt(max(_THIGH**2 - (reach / 2) ** 2, 0.0))
    forward = np.array((-way[2], 0.0, way[0])) / max(float(np.hypot(way[0], way[2])), 1e-6)
    return (hip + ankle) / 2 + out * forward
