"""One fused pair as people use it: its arrays, and the pictures that can be made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from mafs_model.classes import ClassTable
from mafs_model.defaults import OPACITY
from mafs_model.detections import Detection
from mafs_model.errors import ConfigError
from mafs_model.images.overlay import OverlayStyle, paint
from mafs_model.images.preprocessing import gray_to_rgb, resize
from mafs_model.images.thermal import ThermalScaler
from mafs_model.images.visualization import colorize, draw_legend, put_notice
from mafs_model.prediction import Prediction
from mafs_model.sources.items import Images
from mafs_model.types import Mode, Picture, PICTURES, UInt8Image
import numpy as np


@dataclass(frozen=True, repr=False)
class Result:
    """
    One fused pair.

    Attributes:
        prediction: what was computed, with fused image, labels and confidence.
        images: the pair itself.
        classes: the classes of the labels.
        name: name of the pair, without suffix.
        notice: a line that belongs over every overlay; empty: none.
        time_s: moment in its recording, None for single pictures.

    """

    prediction: Prediction
    images: Images
    classes: ClassTable
    name: str = ''
    notice: str = ''
    time_s: float | None = None

    @property
    def fused(self) -> UInt8Image:
        """Return the fused image, uint8 [H,W,3] RGB."""
        assert self.prediction.fused is not None
        return self.prediction.fused

    @property
    def labels(self) -> UInt8Image:
        """Return the class ids, uint8 [H,W]."""
        assert self.prediction.labels is not None
        return self.prediction.labels

    @property
    def confidence(self) -> UInt8Image:
        """Return the probability of the labels, uint8 [H,W], 255 = 1."""
        assert self.prediction.confidence is not None
        return self.prediction.confidence

    @property
    def detections(self) -> tuple[Detection, ...]:
        """Return the objects, the largest first; their tracks mean something in films only."""
        return self.prediction.detections or ()

    @property
    def mode(self) -> Mode:
        """Return which cameras were used, ``'classical'`` if no network was."""
        return self.prediction.mode

    @property
    def timings_ms(self) -> Mapping[str, float]:
        """Return the wall time of the stages in ms."""
        return self.prediction.timings_ms

    def shares(self) -> dict[str, float]:
        """Return class name -> share of the pixels, 0 to 1, largest first; {} without network."""
        if self.mode == 'classical':
            return {}
        counts = np.bincount(self.labels.ravel(), minlength=256)
        found = {n: int(counts[i]) / self.labels.size for i, n in enumerate(self.classes.names)}
        return dict(sorted(((n, s) for n, s in found.items() if s), key=lambda e: -e[1]))

    def overlay(self, opacity: float = OPACITY, *, legend: bool = True) -> UInt8Image:
        """
        Return the fused image with the class colours over it.

        Args:
            opacity: weight of the colours, 0 to 1.
            legend: put the names of the classes under the image, which becomes higher.

        Returns:
            uint8 [H,W,3] RGB; without legend of the size of the fused image.

        Raises:
            ConfigError: opacity out of range.

        """
        return Painter(opacity).overlay(self, legend=legend)

    def colors(self) -> UInt8Image:
        """Return the labels in the colours of their classes, uint8 [H,W,3] RGB."""
        return colorize(self.labels, self.classes)

    def plot(self, picture: Picture = 'panels') -> Any:
        """
        Return a picture that notebooks show and ``.show()`` opens, a ``PIL.Image``.

        Args:
            picture: one of :data:`PICTURES`; ``panels``: thermal, visible, fused and overlay.

        """
        from PIL import Image

        return Image.fromarray(Painter().paint(self, picture))

    def save(
        self, path: str | Path, picture: Picture | None = None, *, overwrite: bool = True
    ) -> Path:
        """
        Write the result.

        Args:
            path: name of a picture (PNG, JPEG, WebP, BMP, TIFF), which gets ``picture``; any other
                name is a folder, which gets ``fused/``, ``labels/``, ``colors/``, ``overlay/``.
            picture: one of :data:`PICTURES`; None: the fused image.
            overwrite: replace what is there.

        Returns:
            The path.

        Raises:
            ConfigError: the name does not fit, or something is there already.
            MafsError: it cannot be written.

        """
        from mafs_model.sinks.folder import FolderSink
        from mafs_model.sinks.opening import check_suffix
        from mafs_model.sinks.pictures import PICTURE_SUFFIXES, PictureSink

        path = Path(path).expanduser()
        check_picture(picture)
        if path.suffix.lower() in PICTURE_SUFFIXES and not path.is_dir():
            PictureSink(path, picture or 'fused', overwrite).write(
                self.name, partial(Painter().paint, self)
            )
            return path
        check_suffix(path, picture)
        name = self.name or 'result'
        FolderSink(path, [name], overwrite).write(name, partial(Painter().paint, self))
        return path

    def __repr__(self) -> str:
        """Return one line: size, mode and the three largest classes."""
        height, width = self.labels.shape
        shares = [f'{n} {100 * s:.0f} %' for n, s in list(self.shares().items())[:3]]
        name = f'{self.name!r}, ' if self.name else ''
        return f'Result({name}{width}x{height}, {self.mode}{"".join(f", {s}" for s in shares)})'

    def _repr_png_(self) -> bytes:
        """Return the panels for notebooks."""
        import io

        buffer = io.BytesIO()
        self.plot().save(buffer, 'PNG')
        return buffer.getvalue()


@dataclass
class Painter:
    """
    Makes the pictures of results, the same way for all images of a film.

    Attributes:
        opacity: weight of the class colours in overlays, 0 to 1.
        min_confidence: pixels whose class is less probable, 0 to 1, stay clear in overlays.
        scaler: shows thermal images in panels.

    """

    opacity: float = OPACITY
    min_confidence: float = 0.0
    scaler: ThermalScaler = field(default_factory=ThermalScaler, repr=False)

    def __post_init__(self) -> None:
        """Check the numbers; raises ConfigError."""
        self._style = OverlayStyle(self.opacity, min_confidence=self.min_confidence)

    def paint(self, result: Result, picture: Picture) -> UInt8Image:
        """
        Return one picture of a result.

        Args:
            result: the fused pair.
            picture: ``fused`` image; ``labels``, the class ids [H,W]; ``colors``, the labels in
                the colours of their classes; ``overlay``, these over the fused image with a
                legend under it; ``panels``, thermal, visible, fused and overlay in one picture.

        Returns:
            uint8 [H,W,3] RGB, for ``labels`` uint8 [H,W].

        Raises:
            ConfigError: no such picture.

        """
        check_picture(picture)
        if picture == 'fused':
            return result.fused
        if picture == 'labels':
            return result.labels
        if picture == 'colors':
            return result.colors()
        return self._panels(result) if picture == 'panels' else self.overlay(result, legend=True)

    def overlay(self, result: Result, *, legend: bool) -> UInt8Image:
        """Return the class colours over the fused image, with the notice, uint8 [H,W,3] RGB."""
        confidence = result.prediction.confidence
        picture = paint(result.fused, result.labels, result.classes, self._style, confidence)
        if result.notice:
            put_notice(picture, result.notice)
        return self._with_legend(picture, result.classes) if legend else picture

    def _with_legend(self, picture: UInt8Image, classes: ClassTable) -> UInt8Image:
        """Return a picture over the legend of all classes, the same for every one of a film."""
        return np.vstack([picture, draw_legend(classes, picture.shape[1])])

    def _panels(self, result: Result) -> UInt8Image:
        """Return thermal, visible, fused and overlay, two by two, over the legend."""
        size = (result.fused.shape[0], result.fused.shape[1])
        dark = np.zeros((*size, 3), np.uint8)
        visible, thermal = result.images
        left = dark if thermal is None else gray_to_rgb(resize(self.scaler(thermal), size))
        right = dark if visible is None else resize(visible, size)
        lower = np.hstack([result.fused, self.overlay(result, legend=False)])
        return self._with_legend(np.vstack([np.hstack([left, right]), lower]), result.classes)


def check_picture(picture: object) -> None:
    """Raise ConfigError unless it is None or one of :data:`PICTURES`."""
    if picture is not None and picture not in PICTURES:
        raise ConfigError(f'picture {picture!r}: expected one of {", ".join(PICTURES)}')
