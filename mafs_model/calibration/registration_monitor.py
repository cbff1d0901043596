"""Whether the registered thermal image still lies on the visible one, and where to if not."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import cv2
from mafs_model.calibration.structure import agreement, fit_size, Structure, structure
from mafs_model.images.preprocessing import luminance
from mafs_model.types import Size, UInt8Image
import numpy as np
from numpy.typing import NDArray

MIN_PAIRS = 4
_WIDTH_PX = 160
_REACH_PX = 24  # of the shift looked for, at that width: 15 % of the image
# Agreement of images that have nothing to do with each other stays below this, at its best shift.
_MIN_AGREEMENT = 0.12
# The peak is above the others by this factor where it is no chance.
_MIN_UNIQUENESS = 1.25
_LOBE_PX = 5  # A peak is this wide; what is farther away is another one.

# Cheap to try and worth naming: what is wrong when the cables or drivers are.
TURNS = {
    'mirrored left to right': lambda a: a[:, ::-1],
    'mirrored top to bottom': lambda a: a[::-1],
    'rotated by 180 degrees': lambda a: a[::-1, ::-1],
}


class RegistrationState(NamedTuple):
    """
    What the last pairs tell together.

    Attributes:
        agreement: of the edges where they lie now, -1 to 1; 0.15 to 0.4 is good.
        best: agreement at the best shift.
        shift_px: (x, y) in visible px by which the thermal image is shifted; positive: too far
            to the right, too low. None while it cannot be told.
        turned: how the thermal image is turned, if that explains it far better; else None.
        pairs: how many pairs this is from.

    """

    agreement: float
    best: float
    shift_px: tuple[float, float] | None
    turned: str | None
    pairs: int

    @property
    def off_px(self) -> float | None:
        """Return the length of the shift, px; None while it cannot be told."""
        return None if self.shift_px is None else float(np.hypot(*self.shift_px))

    def sentence(self) -> str:
        """Return what a person should read."""
        if self.turned is not None:
            return f'the thermal image is {self.turned}'
        if self.shift_px is None:
            return 'registration cannot be judged: the two images show no common edges'
        x, y = (round(v) for v in self.shift_px)
        parts = [
            f'{abs(v)} px {direction}'
            for v, direction in (
                (x, 'to the right' if x > 0 else 'to the left'),
                (y, 'down' if y > 0 else 'up'),
            )
            if v
        ]
        if not parts:
            return 'thermal and visible image lie on each other'
        return f'the thermal image is shifted by about {" and ".join(parts)}'


class RegistrationMonitor:
    """
    Keeps the edges of the last pairs and compares them on request.

    For the node: every few seconds call `add_pair` with the visible image and the registered
    thermal one of a fused pair (about 2 ms), and now and then `state` (about 5 ms). One pair alone
    tells too little; the scene must have changed between them for each to count.

    Args:
        pairs: how many are kept.

    """

    def __init__(self, pairs: int = 8) -> None:
        self._kept: deque[tuple[Structure, Structure]] = deque(maxlen=pairs)
        self._visible_size: Size = (0, 0)

    def reset(self) -> None:
        """Forget all pairs, as after a change of the registration."""
        self._kept.clear()

    def add_pair(
        self, visible: UInt8Image, thermal: UInt8Image, outside: UInt8Image | None = None
    ) -> None:
        """
        Add a pair.

        Args:
            visible: uint8 [H,W,3] RGB or [H,W].
            thermal: registered thermal image uint8 [H,W].
            outside: uint8 [H,W], not 0 where there is no thermal data, see
                `Registration.coverage`.

        """
        size: Size = (visible.shape[0], visible.shape[1])
        if size != self._visible_size:
            self._visible_size = size
            self._kept.clear()
        small = fit_size(size, _WIDTH_PX)
        shrunk = cv2.resize(visible, small[::-1], interpolation=cv2.INTER_AREA)
        grey = shrunk if shrunk.ndim == 2 else luminance(shrunk)
        live = None
        if outside is not None:
            seen = cv2.resize(outside, small[::-1], interpolation=cv2.INTER_AREA) == 0
            live = cv2.erode(seen.astype(np.float32), np.ones((5, 5), np.uint8))
        warm = cv2.resize(thermal, small[::-1], interpolation=cv2.INTER_AREA)
        self._kept.append((structure(grey), structure(warm, live)))

    def state(self) -> RegistrationState | None:
        """Return what the pairs kept tell together; None before there are `MIN_PAIRS`."""
        if len(self._kept) < MIN_PAIRS:
            return None
        visible = [v for v, _ in self._kept]
        thermal = [t for _, t in self._kept]
        here = agreement(np.stack(visible), np.stack(thermal))
        surface = _correlate(visible, thermal)
        best, unique, place = _peak(surface)
        scale = self._visible_size[1] / _WIDTH_PX
        certain = best >= _MIN_AGREEMENT and unique >= _MIN_UNIQUENESS
        shift = None
        if certain:
            # The visible content is found at +place from the thermal one: that one lies at -place.
            shift = (-place[0] * scale, -place[1] * scale)
        turned = None if certain else self._find_turn(best)
        return RegistrationState(here, best, shift, turned, len(self._kept))

    def _find_turn(self, best: float) -> str | None:
        """Return how the thermal images are turned, if they then fit far better."""
        visible = [v for v, _ in self._kept]
        for name, turn in TURNS.items():
            # A mirror image has mirrored angles: the conjugate of twice the angle; a rotation by
            # 180 degrees leaves twice the angle as it is.
            mirrored = 'mirrored' in name
            turned = [
                np.ascontiguousarray(turn(np.conj(t) if mirrored else t)) for _, t in self._kept
            ]
            found, unique, _ = _peak(_correlate(visible, turned))
            if found >= max(_MIN_AGREEMENT, 1.5 * best) and unique >= _MIN_UNIQUENESS:
                return name
        return None


def _correlate(visible: list[Structure], thermal: list[Structure]) -> NDArray[np.float64]:
    """Return the agreement of all pairs for every shift within reach, [2r+1,2r+1]."""
    height, width = visible[0].shape
    padded = (
        cv2.getOptimalDFTSize(height + _REACH_PX),
        cv2.getOptimalDFTSize(width + _REACH_PX),
    )
    cross = np.zeros(padded, np.complex128)
    for v, t in zip(visible, thermal, strict=True):
        cross += np.fft.fft2(v, padded) * np.conj(np.fft.fft2(t, padded))
    energy_v = sum(float(np.vdot(v, v).real) for v in visible)
    energy_t = sum(float(np.vdot(t, t).real) for t in thermal)
    found = np.fft.ifft2(cross).real
    found = np.roll(found, (_REACH_PX, _REACH_PX), (0, 1))
    found = found[: 2 * _REACH_PX + 1, : 2 * _REACH_PX + 1]
    # Energies of the parts in common, taken as proportional to their areas.
    shifts = np.arange(-_REACH_PX, _REACH_PX + 1)
    common = (1 - np.abs(shifts)[:, None] / height) * (1 - np.abs(shifts)[None, :] / width)
    # A thermal image that covers a part only is compared with that part of the visible energy.
    covered = sum(int(np.count_nonzero(t)) for t in thermal) / (len(thermal) * height * width)
    scale = np.sqrt(max(energy_v * covered * energy_t, 1e-9))
    result: NDArray[np.float64] = found / (scale * common)
    return result


def _peak(surface: NDArray[np.float64]) -> tuple[float, float, tuple[float, float]]:
    """Return height, height over the next peak, and place (x, y) to a fraction of a px."""
    row, column = (int(v) for v in np.unravel_index(int(np.argmax(surface)), surface.shape))
    best = float(surface[row, column])
    elsewhere = surface.copy()
    rows = slice(max(0, row - _LOBE_PX), row + _LOBE_PX + 1)
    elsewhere[rows, max(0, column - _LOBE_PX) : column + _LOBE_PX + 1] = -1
    rival = float(elsewhere.max())
    place = []
    for index, line in ((column, surface[row]), (row, surface[:, column])):
        fraction = 0.0
        if 0 < index < len(line) - 1:
            left, middle, right = line[index - 1 : index + 2]
            bend = 2 * middle - left - right
            fraction = float((right - left) / (2 * bend)) if bend > 0 else 0.0
        place.append(index + fraction - _REACH_PX)
    return best, best / max(rival, 1e-9), (place[0], place[1])
