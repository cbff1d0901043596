"""Computes the pictures of the page in a thread of its own: new pairs, new settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import threading
import time
from typing import Any

import cv2
from mafs_model.errors import ImageError, MafsError
from mafs_model.images.preprocessing import gray_to_rgb
from mafs_model.images.thermal import ThermalScaler
from mafs_model.images.visualization import put_notice
from mafs_model.predictor import Predictor
from mafs_model.result import Painter, Result
from mafs_model.sources.items import Images, Item, PairSource
from mafs_model.types import UInt8Image
from mafs_model.view.settings import ViewSettings
import numpy as np

MAX_WIDTH_PX = 1920  # Wider pictures are made smaller: a browser shows no more.
STILL_S = 2.0  # How long single pictures are shown while playing.
_IDLE_S = 0.5  # How often the thread looks whether it should end.
_SMOOTHING = 0.9
_JPEG_QUALITY = 85


class Viewer:
    """
    Keeps the newest picture.

    Args:
        predictor: used by this thread only; the viewer replaces its thermal scaling.
        open_source: opens the pairs; called again when a recording has ended.

    """

    def __init__(self, predictor: Predictor, open_source: Callable[[], PairSource]) -> None:
        self._predictor = predictor
        self._open_source = open_source
        self._source = open_source()
        self._items: Iterator[Item] = iter(self._source)
        self._changed = threading.Condition()
        self._settings = ViewSettings()
        self._step = True  # The first pair is shown whatever the settings say.
        self._picture = b''
        self._number = 0
        self._name = ''
        self._problem = ''
        self._shares: dict[str, float] = {}
        self._time_ms = 0.0
        self._end = False
        self._thread = threading.Thread(target=self._work, name='viewer', daemon=True)

    def start(self) -> None:
        """Start computing."""
        self._thread.start()

    def close(self, timeout_s: float = 10.0) -> bool:
        """
        End the thread and close the source; may be repeated.

        Args:
            timeout_s: longest wait for the pair that is being computed.

        Returns:
            False if the thread is still at it; then nothing is closed.

        """
        with self._changed:
            self._end = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        if self._thread.is_alive():
            return False
        self._source.close()
        return True

    def change(self, values: Any) -> None:
        """Take new settings; raises ConfigError where they are wrong."""
        with self._changed:
            self._settings = self._settings.changed(values)
            self._changed.notify_all()

    def step(self) -> None:
        """Go on to the next pair."""
        with self._changed:
            self._step = True
            self._changed.notify_all()

    def picture(self, after: int, timeout_s: float) -> tuple[int, bytes] | None:
        """
        Return number and JPEG of the newest picture.

        Args:
            after: number of the picture that is known already, 0 for none.
            timeout_s: longest wait for a newer one.

        Returns:
            None if there is none in time, or the viewer has ended.

        """
        with self._changed:
            self._changed.wait_for(lambda: self._number > after or self._end, timeout_s)
            if self._end or self._number <= after:
                return None
            return self._number, self._picture

    def state(self) -> dict[str, Any]:
        """Return what the page shows in words, plain values for JSON."""
        with self._changed:
            return {
                'settings': self._settings.to_dict(),
                'number': self._number,
                'name': self._name,
                'problem': self._problem,
                'shares': {n: round(s, 4) for n, s in self._shares.items()},
                'ms': round(self._time_ms, 1),
                'weights': self._predictor.weights_id,
                'backend': self._predictor.backend,
                'device': self._predictor.device,
                'live': self._source.is_live,
            }

    def _work(self) -> None:
        """Compute until the end."""
        images: Images | None = None
        result: Result | None = None
        shown = ViewSettings()
        due = time.monotonic()
        while True:
            with self._changed:
                settings, step = self._settings, self._step
                self._step = False
                if self._end:
                    return
            new = False
            if step or (settings.playing and time.monotonic() >= due):
                item = self._next()
                new = item is not None
                if item is not None:
                    due = time.monotonic() + self._period()
                    images = self._read(item)
            try:
                if images is not None:
                    if new or result is None or _scaling(settings) != _scaling(shown):
                        result = self._fuse(images, settings)
                    if new or settings != shown:
                        self._publish(paint(result, settings))
                shown = settings
            except MafsError as error:
                result = None
                shown = settings
                self._tell(str(error))
            with self._changed:
                if settings == self._settings and not self._step and not self._end:
                    wait = due - time.monotonic() if settings.playing else _IDLE_S
                    if wait > 0:
                        self._changed.wait(min(wait, _IDLE_S))

    def _next(self) -> Item | None:
        """Return the next pair; a recording starts over. None where there is none."""
        for _ in range(2):
            item = next(self._items, None)
            if item is not None:
                return item
            if self._source.problems:
                self._tell(self._source.problems[-1])
            if self._source.is_live:
                with self._changed:
                    self._settings = self._settings.changed({'playing': False})
                return None
            self._source.close()
            self._source = self._open_source()
            self._items = iter(self._source)
            self._predictor.reset()
        with self._changed:
            self._settings = self._settings.changed({'playing': False})
        return None

    def _period(self) -> float:
        """Return how long a pair is shown, in s."""
        if self._source.is_live:
            return 0.0
        return 1.0 / self._source.rate_hz if self._source.rate_hz else STILL_S

    def _read(self, item: Item) -> Images | None:
        """Return the images of a pair, None if they are unusable."""
        with self._changed:
            self._name, self._problem = item.name, ''
        try:
            return item.read()
        except ImageError as error:
            self._tell(str(error))
            return None

    def _fuse(self, images: Images, settings: ViewSettings) -> Result:
        """Return the result of a pair with the thermal scaling that is set."""
        scaler = self._predictor.thermal_scaler
        if (scaler.low, scaler.high) != _scaling(settings) or scaler.method != 'percentile':
            self._predictor.thermal_scaler = ThermalScaler(
                'percentile',
                *_scaling(settings),
                smoothing=_SMOOTHING if self._source.is_sequence else 0.0,
            )
        prediction = self._predictor.predict(*images)
        result = self._predictor.result(prediction, images, self._name)
        with self._changed:
            self._time_ms = sum(prediction.timings_ms.values())
            self._shares = result.shares()
        return result

    def _publish(self, picture: UInt8Image) -> None:
        """Make a picture the newest."""
        if picture.shape[1] > MAX_WIDTH_PX:
            height = round(picture.shape[0] * MAX_WIDTH_PX / picture.shape[1])
            picture = cv2.resize(picture, (MAX_WIDTH_PX, height), interpolation=cv2.INTER_AREA)
        quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
        good, data = cv2.imencode('.jpg', cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), quality)
        assert good, 'JPEG holds every picture up to 65535 px'
        with self._changed:
            self._picture, self._number = data.tobytes(), self._number + 1
            self._changed.notify_all()

    def _tell(self, problem: str) -> None:
        """Show a problem in words and on the picture."""
        with self._changed:
            self._problem = problem
        dark = np.zeros((120, 640, 3), np.uint8)
        self._publish(put_notice(dark, problem))


def paint(result: Result, settings: ViewSettings) -> UInt8Image:
    """Return the picture that the settings ask for, uint8 [H,W,3] RGB."""
    visible, thermal = result.images
    if settings.picture == 'visible':
        return _or_dark(visible, result)
    if settings.picture == 'thermal':
        scaler = ThermalScaler('percentile', *_scaling(settings), smoothing=0.0)
        return _or_dark(None if thermal is None else gray_to_rgb(scaler(thermal)), result)
    painter = Painter(settings.opacity, settings.min_confidence)
    painter.scaler = ThermalScaler('percentile', *_scaling(settings), smoothing=0.0)
    picture = painter.paint(result, settings.picture)  # type: ignore[arg-type]
    return gray_to_rgb(picture) if picture.ndim == 2 else picture


def _or_dark(image: UInt8Image | None, result: Result) -> UInt8Image:
    """Return an image, or a dark one of the size of the result."""
    return np.zeros_like(result.fused) if image is None else image


def _scaling(settings: ViewSettings) -> tuple[float, float]:
    """Return the percentiles of the thermal scaling."""
    return settings.thermal_low, settings.thermal_high
