"""Two recordings as one stream of pairs: by their moments, else by their order."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from mafs_model.errors import ImageError
from mafs_model.sources.items import Camera, Images, Item
from mafs_model.sources.sequences import as_thermal, Frame, Sequence


class RecordedPairs:
    """
    Pairs of one or two recordings; see ``items.PairSource``.

    Where both keep moments, every visible image gets the thermal image nearest to it, with both
    counted from their beginning; else images pair by order, and the longer rest is reported.

    Args:
        sequences: the recordings.
        limit: number of pairs after which to stop, None for no limit.
        files: the files that are read.

    """

    is_sequence = True
    is_live = False
    names = None

    def __init__(
        self,
        sequences: dict[Camera, Sequence],
        limit: int | None = None,
        files: list[Path] | None = None,
    ) -> None:
        self.sequences = sequences
        self.files = files or []
        self.limit = limit
        self.problems: list[str] = []
        first = next(iter(sequences.values()))
        rates = [s.rate_hz for s in sequences.values() if s.rate_hz]
        self.rate_hz = first.rate_hz or (rates[0] if rates else None)
        self.count = first.count
        if len(sequences) == 2 and not self._by_moment():
            counts = [s.count for s in sequences.values() if s.count is not None]
            self.count = min(counts) if counts else None

    def __iter__(self) -> Iterator[Item]:
        """Yield the pairs until a recording ends or breaks off."""
        if self.limit == 0:
            return
        count = 0
        try:
            for count, (images, time_s) in enumerate(self._images(), 1):
                yield Item(f'frame_{count:06d}', partial(Images, *images), time_s)
                if count == self.limit:
                    return
        except ImageError as error:
            self.problems.append(str(error))

    def first(self) -> Images | None:
        """Return the first images as they are stored (thermal colours included)."""
        found = {}
        for camera, sequence in self.sequences.items():
            try:
                frame = next(sequence.frames(), None)
            except ImageError:
                frame = None
            found[camera] = None if frame is None else frame.image
        return Images(found.get('visible'), found.get('thermal'))

    def close(self) -> None:
        """Do nothing: files are closed after reading."""

    def _by_moment(self) -> bool:
        """Return whether the images pair by their moments."""
        return all(s.is_timed for s in self.sequences.values())

    def _images(self) -> Iterator[tuple[Images, float | None]]:
        """Yield the images of every pair and its moment."""
        if len(self.sequences) == 1:
            camera, sequence = next(iter(self.sequences.items()))
            for frame in sequence.frames():
                if camera == 'visible':
                    yield Images(frame.image, None), frame.time_s
                else:
                    yield Images(None, as_thermal(frame.image)), frame.time_s
            return
        visible, thermal = (self.sequences[c].frames() for c in ('visible', 'thermal'))  # type: ignore[index]
        pairs = (
            nearest(visible, thermal) if self._by_moment() else self._in_order(visible, thermal)
        )
        for one, other in pairs:
            yield Images(one.image, as_thermal(other.image)), one.time_s

    def _in_order(
        self, visible: Iterator[Frame], thermal: Iterator[Frame]
    ) -> Iterator[tuple[Frame, Frame]]:
        """Pair by order; report images left over."""
        count = 0
        while True:
            pair = (next(visible, None), next(thermal, None))
            if pair[0] is None or pair[1] is None:
                break
            count += 1
            yield pair[0], pair[1]
        for camera, frame in zip(('visible', 'thermal'), pair, strict=True):
            if frame is not None:
                total = self.sequences[camera].count  # type: ignore[index]
                left = 'some' if total is None else total - count
                self.problems.append(
                    f'{camera}: {left} of its images come after the end of the other recording'
                )


def nearest(visible: Iterator[Frame], thermal: Iterator[Frame]) -> Iterator[tuple[Frame, Frame]]:
    """
    Give every visible image the thermal image nearest in time.

    Args:
        visible: images with moments that do not decrease.
        thermal: the same; both are counted from their own first image.

    Yields:
        Pairs while the thermal recording lasts (its last image serves for half a period more).

    """
    current, upcoming = next(thermal, None), next(thermal, None)
    start: float | None = None
    if current is None:
        return
    origin = current.time_s or 0.0
    period = None
    for frame in visible:
        start = (frame.time_s or 0.0) if start is None else start
        moment = (frame.time_s or 0.0) - start + origin
        while upcoming is not None and abs((upcoming.time_s or 0.0) - moment) <= abs(
            (current.time_s or 0.0) - moment
        ):
            period = (upcoming.time_s or 0.0) - (current.time_s or 0.0)
            current, upcoming = upcoming, next(thermal, None)
        behind = moment - (current.time_s or 0.0)
        if upcoming is None and period is not None and behind > max(period, 1e-6):
            return
        yield frame, current
