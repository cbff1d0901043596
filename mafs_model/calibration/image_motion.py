"""How much moves where and when: the part of a video that two kinds of cameras share."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import cv2
from mafs_model.images.registration import Registration
from mafs_model.types import Size, UInt8Image
import numpy as np
from numpy.typing import NDArray

SIZE: Size = (120, 160)  # at which motion is looked for
CELLS: Size = (24, 32)  # for images that lie on each other
COARSE_CELLS: Size = (6, 8)  # for images that do so only roughly
# Changes over less time drown in noise, and cameras of 9 Hz see none over less.
MIN_LAG_S = 0.1
_LAG_RANGE = (0.6, 1.4)  # of the lag that frames should have: what is left where some were lost
_NEIGHBOURHOOD_PX = 31
_NOISE_SHARE = 0.3
_NOISE_FLOOR = 0.02


class MotionSamples(NamedTuple):
    """
    Motion of one stream.

    Attributes:
        times_s: middle between the two frames that were compared, float64 [n], rising.
        energy: change per second in each cell, float32 [n,cells].

    """

    times_s: NDArray[np.float64]
    energy: NDArray[np.float32]


class MotionTrack:
    """
    Collects the motion of one stream, frame by frame; about 0.3 ms each.

    Args:
        lag_s: time between compared frames: the longer frame period of the two streams, and at
            least `MIN_LAG_S`.
        cells: rows and columns in which motion is summed up.
        window_s: how much is kept.

    """

    def __init__(
        self, lag_s: float = MIN_LAG_S, cells: Size = CELLS, window_s: float = 3600.0
    ) -> None:
        self._lag_s = lag_s
        self._cells = cells
        self._window_s = window_s
        self._frames: deque[tuple[float, NDArray[np.float32]]] = deque()
        self._samples: deque[tuple[float, NDArray[np.float32]]] = deque()

    def __len__(self) -> int:
        return len(self._samples)

    def add_image(self, time_s: float, image: UInt8Image) -> None:
        """
        Add a frame; one that is not newer than the last is ignored.

        Args:
            time_s: its stamp.
            image: uint8 [H,W] of any size; averaged down to `SIZE`.

        """
        if self._frames and time_s <= self._frames[-1][0]:
            return
        frame = _normalise(image)
        shortest, longest = (share * self._lag_s for share in _LAG_RANGE)
        while self._frames and self._frames[0][0] < time_s - longest:
            self._frames.popleft()
        partner = min(
            (old for old in self._frames if time_s - old[0] >= shortest),
            key=lambda old: abs(time_s - old[0] - self._lag_s),
            default=None,
        )
        self._frames.append((time_s, frame))
        if partner is None:
            return
        lag = time_s - partner[0]
        change = cv2.resize(
            cv2.absdiff(frame, partner[1]), self._cells[::-1], interpolation=cv2.INTER_AREA
        )
        middle = time_s - lag / 2
        if self._samples and middle <= self._samples[-1][0]:
            return
        self._samples.append((middle, change.ravel() / np.float32(lag)))
        while self._samples[0][0] < middle - self._window_s:
            self._samples.popleft()

    def samples(self) -> MotionSamples:
        """Return what was collected."""
        cells = self._cells[0] * self._cells[1]
        return MotionSamples(
            np.array([time for time, _ in self._samples], np.float64),
            np.array([energy for _, energy in self._samples], np.float32).reshape(-1, cells),
        )


def on_visible(registration: Registration, image: UInt8Image, visible_size: Size) -> UInt8Image:
    """
    Return a thermal image where the visible one is; what it does not show is grey.

    Args:
        registration: of the thermal onto the visible image.
        image: thermal uint8 [h,w].
        visible_size: (height, width) of the visible image.

    Returns:
        uint8 of `SIZE`.

    """
    warped = registration.warp(image, SIZE, visible_size)
    own: Size = image.shape[0], image.shape[1]
    outside = registration.coverage(own, SIZE, visible_size)
    if outside is not None:
        warped = np.where(outside > 0, np.uint8(128), warped)
    return warped


def _normalise(image: UInt8Image) -> NDArray[np.float32]:
    """Return fine detail divided by its local strength, so that faint things count, too."""
    if image.shape != SIZE:
        method = cv2.INTER_AREA if image.shape[0] > SIZE[0] else cv2.INTER_LINEAR
        image = cv2.resize(image, SIZE[::-1], interpolation=method)
    plain = image.astype(np.float32)
    detail = cv2.GaussianBlur(plain, (0, 0), 1.2) - cv2.GaussianBlur(plain, (0, 0), 4.0)
    energy = detail * detail
    noise = _NOISE_SHARE * float(np.median(energy)) + _NOISE_FLOOR
    around = cv2.blur(energy, (_NEIGHBOURHOOD_PX, _NEIGHBOURHOOD_PX))
    return detail / np.sqrt(around + noise)
