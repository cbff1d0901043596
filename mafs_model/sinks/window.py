"""A window that shows results as they come, where the OpenCV that is installed has windows."""

from __future__ import annotations

from collections.abc import Iterator
import subprocess
import sys
import time

import cv2
from mafs_model.errors import ConfigError
from mafs_model.sinks.results import Paint
from mafs_model.types import Picture

TITLE = 'mafs fuse'
_PROBE = "import cv2; cv2.namedWindow('probe')"
_PROBE_TIMEOUT_S = 30.0
_KEY_EVERY_MS = 50  # how often it is looked whether the window was closed
_ENDING_KEYS = (ord('q'), 27)  # 27: Escape
_ADVICE = 'mafs view shows the same in a browser'


def check_windows() -> None:
    """
    Try a window in a process of its own: without a display some libraries end theirs.

    Raises:
        ConfigError: there are no windows here.

    """
    try:
        probe = subprocess.run(
            [sys.executable, '-c', _PROBE],
            capture_output=True,
            text=True,
            errors='replace',
            timeout=_PROBE_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(f'--show: no window can be tried ({error}); {_ADVICE}') from None
    if probe.returncode == 0:
        return
    if 'not implemented' in probe.stderr:
        raise ConfigError(
            '--show: the OpenCV that is installed has no windows, expected opencv-python instead '
            f'of opencv-python-headless; {_ADVICE}'
        )
    raise ConfigError(f'--show: no window can be opened, is there a display? {_ADVICE}')


class Window:
    """
    Shows one picture after the other; q, Escape and closing the window end it.

    Args:
        rate_hz: pictures per second at most; 0: each stays until a key is pressed; None: as
            they come.
        picture: which picture of a result.

    Attributes:
        ended: whether the user wants no more.

    Raises:
        ConfigError: there are no windows here.

    """

    def __init__(self, rate_hz: float | None, picture: Picture = 'panels') -> None:
        check_windows()
        self.ended = False
        self._rate_hz = rate_hz
        self._picture: Picture = picture
        self._next_s = 0.0
        cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)

    def write(self, name: str, paint: Paint) -> None:
        """Show the picture of a result for as long as it is meant to stay."""
        picture = paint(self._picture)
        cv2.imshow(
            TITLE, picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
        )
        if self._rate_hz == 0:
            self.ended = not self._goes_on(until_s=None)
            return
        self._next_s = max(self._next_s, time.monotonic())
        self.ended = not self._goes_on(self._next_s)
        if self._rate_hz is not None:
            self._next_s += 1.0 / self._rate_hz

    def close(self) -> None:
        """Close the window; may be repeated."""
        cv2.destroyAllWindows()

    def abort(self) -> None:
        """Close the window."""
        self.close()

    def files(self) -> Iterator[str]:
        """Yield nothing: what was shown is gone."""
        return iter(())

    def _goes_on(self, until_s: float | None) -> bool:
        """Return whether the user wants more, at that time or once a key was pressed."""
        while True:
            left_ms = _KEY_EVERY_MS if until_s is None else 1e3 * (until_s - time.monotonic())
            key = cv2.waitKey(max(1, min(_KEY_EVERY_MS, round(left_ms))))
            if cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) < 1:
                return False
            if key >= 0:
                return key & 0xFF not in _ENDING_KEYS
            if until_s is not None and time.monotonic() >= until_s:
                return True
