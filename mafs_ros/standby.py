"""What computes one camera alone, made ready in a thread while both cameras deliver."""

from __future__ import annotations

from collections.abc import Callable
import threading

from mafs_model.errors import ConfigError, ModeError
from mafs_model.images.preprocessing import format_size
from mafs_model.predictor import Predictor
from mafs_model.streams import STREAMS
from mafs_model.types import Size


class Standby:
    """
    Makes ready what computes one camera alone, so that a camera that stops costs no load.

    The first pair does not wait for it: it is begun once the node is active, and again for
    images of another size and for other weights.

    Threads: `tick` is called by the executor; the work is done in a thread that ends with it.

    Args:
        say: writes one line to the log.
        warn: writes one warning to the log.

    Attributes:
        lacking: stream -> why it cannot be computed alone, as far as that is known.
        state: one sentence for diagnostics.

    """

    def __init__(self, say: Callable[[str], object], warn: Callable[[str], object]) -> None:
        self._say, self._warn = say, warn
        self._begun: tuple[Predictor, Size] | None = None
        self._thread: threading.Thread | None = None
        self.lacking: dict[str, str] = {}
        self.state = 'not ready'

    def tick(self, predictor: Predictor) -> None:
        """Begin what is not ready yet for the images that a predictor has computed last."""
        size = predictor.work_size
        if size is None or (self._thread is not None and self._thread.is_alive()):
            return
        if not predictor.prepares:
            self.lacking, self.state = {}, 'ready'
        elif self._begun is None or self._begun[0] is not predictor or self._begun[1] != size:
            self._begun = predictor, size
            self.state = f'loading for {format_size(size)}'
            # A daemon: loading must not keep the process from ending.
            self._thread = threading.Thread(
                target=self._work, args=(predictor, size), name='standby', daemon=True
            )
            self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Wait for the thread to end, as it does once its predictor is closed."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _work(self, predictor: Predictor, size: Size) -> None:
        """Make both cameras ready, one after the other, and say so."""
        lacking = {}
        for stream in STREAMS:
            try:
                predictor.prepare(f'{stream}_only', size)
            except ModeError as error:
                lacking[stream] = str(error)
            except ConfigError:
                return  # the predictor was closed, or other weights took its place
            except Exception as error:  # noqa: BLE001 - of a runtime; pairs of both cameras go on
                reason = ' '.join(str(error).split()) or repr(error)
                self.state = f'failed: {reason}'
                self._warn(f'the {stream} camera alone cannot be made ready: {reason}')
                return
        new = [stream for stream in lacking if self.lacking.get(stream) != lacking[stream]]
        self.lacking = lacking
        for stream in new:
            self._warn(
                f'without the other camera the {stream} one gives nothing: {lacking[stream]}'
            )
        served = [stream for stream in STREAMS if stream not in lacking]
        self.state = f'{" and ".join(served) or "none"} ready for {format_size(size)}'
        if served:
            self._say(f'one camera alone: {self.state}')
