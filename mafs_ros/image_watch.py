"""What the images themselves tell: copies of a driver, a registration that is off, a swap."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
import time
from typing import Any

from mafs_model.calibration.registration_monitor import RegistrationMonitor, RegistrationState
from mafs_model.images.cameras import CameraProfile
from mafs_model.images.dead import FrozenFrames
from mafs_model.images.registration import Registration
from mafs_model.images.thermal import ThermalScaler
from mafs_model.images.thermal_decoder import ThermalDecoder
from mafs_model.sources.plausibility import look_swapped
from mafs_model.streams import OTHER_STREAM
from mafs_model.topics import INPUT_TOPICS
from mafs_model.types import ThermalImage, UInt8Image
from mafs_ros.conversions import carries_colour, Frame, thermal_array, visible_array
from numpy.typing import NDArray

# A driver that sends a 9 Hz camera at 27 Hz shows 4 new pictures and 8 copies among so many.
_WINDOW = 12
_MIN_COPIES = 4
_MIN_NEW = 2

_LOOK_PERIOD_S = 3.0  # The scene must change between two looks.
_LOOKS_PER_STATE = 4
# Beyond this share of the width (6 px of 640) fusion is worse than the visible image alone.
_OFF_SHARE = 0.01


class CopyWatch:
    """
    Tells copies that a driver adds to reach a higher rate from a scene in which nothing moves.

    A driver adds copies to one camera, and the other one goes on. Where both streams repeat
    (a simulation that rests, a slide show) there is nothing to choose among, and nothing is
    taken for a copy.

    Threads: the executor only.
    """

    def __init__(self) -> None:
        self._frozen = {stream: FrozenFrames() for stream in INPUT_TOPICS}
        self._copies: dict[str, deque[bool]] = {
            stream: deque(maxlen=_WINDOW) for stream in INPUT_TOPICS
        }

    def is_copy(self, stream: str, image: NDArray[Any], stamp_s: float) -> bool:
        """
        Return whether an image is one more copy of the last, from a driver that makes copies.

        A camera that hangs sends no new picture at all, and is not taken for one that copies.

        Args:
            stream: ``visible`` or ``thermal``.
            image: as received.
            stamp_s: when it was taken, s.

        """
        self._frozen[stream].age_s(image, stamp_s)
        copy = self._frozen[stream].repeats > 0
        seen = self._copies[stream]
        seen.append(copy)
        copies = sum(seen)
        makes_copies = copies >= _MIN_COPIES and len(seen) - copies >= _MIN_NEW
        others = sum(self._copies[OTHER_STREAM[stream]])
        return copy and makes_copies and others <= copies // 2


class Pictures:
    """
    Decodes frames for looking at their motion, apart from those that are fused.

    Threads: the executor only; the decoder of the worker has a past of its own.

    Args:
        camera: what the thermal camera sends.

    """

    def __init__(self, camera: CameraProfile) -> None:
        self._decode = ThermalDecoder(camera)

    def __call__(self, stream: str, frame: Frame) -> NDArray[Any]:
        """
        Return the image of a frame.

        Raises:
            ImageError: it cannot be decoded.

        """
        if stream == 'visible':
            return visible_array(frame)
        return thermal_array(frame, self._decode)


class RegistrationWatch:
    """
    Looks every few seconds whether the thermal image still lies on the visible one.

    Threads: `look` is called by the worker; `sentence` and `off` are read by anybody.

    Args:
        registration: of the thermal onto the visible image.
        clock: steady time in s, exchangeable for tests.

    """

    def __init__(
        self, registration: Registration, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._registration = registration
        self._clock = clock
        self._monitor = RegistrationMonitor()
        self._scaler = ThermalScaler(smoothing=0.0)
        self._next_s = clock()
        self._looks = 0
        self._found_off = 0
        self.sentence = ''
        self.off = False

    def look(self, visible: UInt8Image, thermal: ThermalImage) -> None:
        """
        Look at a pair, if it is time to.

        Args:
            visible: uint8 [H,W,3] RGB.
            thermal: uint8, uint16 or float32 [h,w], as received.

        """
        now = self._clock()
        if now < self._next_s:
            return
        self._next_s = now + _LOOK_PERIOD_S
        scaled = self._scaler(thermal)
        size = (visible.shape[0], visible.shape[1])
        unregistered = self._registration.unregistered(scaled, size)
        registered = scaled if unregistered is None else unregistered.registered(visible)
        self._monitor.add_pair(visible, registered)
        self._looks += 1
        if self._looks % _LOOKS_PER_STATE == 0:
            self._judge(self._monitor.state(), size[1])

    def _judge(self, state: RegistrationState | None, width: int) -> None:
        """Take over what was found; twice the same before it counts."""
        if state is None:
            return
        off_px = state.off_px
        wrong = state.turned is not None or (off_px is not None and off_px > _OFF_SHARE * width)
        self._found_off = self._found_off + 1 if wrong else 0
        self.off = self._found_off > 1
        self.sentence = state.sentence() if self.off else ''


class SwapWatch:
    """
    Looks every few seconds whether the cameras are swapped, by what their images show.

    Encodings tell that apart only where they differ: a driver may send thermal images as rgb8 too.

    Threads: `look` is called by the worker; `swapped` is read by anybody.

    Args:
        clock: steady time in s, exchangeable for tests.

    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next_s = clock()
        self._found = 0
        self.swapped = False

    def look(self, visible: UInt8Image, thermal: Frame) -> None:
        """
        Look at a pair, if it is time to; twice the same before it counts.

        Args:
            visible: uint8 [H,W,3] RGB.
            thermal: as received.

        Raises:
            ImageError: it cannot be decoded.

        """
        now = self._clock()
        if now < self._next_s:
            return
        self._next_s = now + _LOOK_PERIOD_S
        swapped = carries_colour(thermal.message) and look_swapped(visible, visible_array(thermal))
        self._found = self._found + 1 if swapped else 0
        self.swapped = self._found > 1
