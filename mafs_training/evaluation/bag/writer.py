"""Writes the outputs of a run over a bag as a new bag."""

from __future__ import annotations

from pathlib import Path
import shutil
import tempfile
from types import TracebackType
from typing import TYPE_CHECKING

from mafs_model.bags.reader import BagWriter
from mafs_model.errors import BagError
from mafs_model.predictor import Prediction
from mafs_model.topics import absolute, IMAGE_TOPICS
from mafs_training.evaluation.bag.pairs import BagPair

if TYPE_CHECKING:
    from typing_extensions import Self

# As the node's outputs, so that viewers set up for it show this bag.
TOPICS = {name: absolute(topic) for name, topic in IMAGE_TOPICS.items()}


class OutputBag:
    """
    A bag of fused, label, confidence and overlay images, to be used in a `with` statement.

    Stamps and frame are those of the visible image, as the node publishes them.

    Args:
        path: with the suffix .mcap one file, else a folder.

    Raises:
        BagError: something is at `path` already, or it cannot be written.

    """

    def __init__(self, path: Path) -> None:
        if path.exists():
            raise BagError(f'{path} exists already, choose another --out-bag')
        self._path = path
        self._folder: Path | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == '.mcap':
                self._folder = Path(tempfile.mkdtemp(prefix='.mafs-eval-', dir=path.parent))
            self._writer = BagWriter(self._folder / 'bag' if self._folder else path)
        except OSError as error:
            raise BagError(f'cannot write {path}: {error.strerror or error}') from None

    def __enter__(self) -> Self:
        self._writer.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._writer.__exit__(kind, error, trace)
            if kind is None and self._folder is not None:
                (file,) = (self._folder / 'bag').glob('*.mcap')
                file.replace(self._path)
        finally:
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)

    def write(self, pair: BagPair, prediction: Prediction) -> None:
        """Write the outputs of one pair."""
        assert prediction.fused is not None
        assert prediction.labels is not None
        assert prediction.confidence is not None
        assert prediction.overlay is not None
        receive_ns = max(pair.visible.receive_ns, pair.thermal.receive_ns)
        for name, image, encoding in (
            ('fused', prediction.fused, 'rgb8'),
            ('labels', prediction.labels, 'mono8'),
            ('confidence', prediction.confidence, 'mono8'),
            ('overlay', prediction.overlay, 'rgb8'),
        ):
            self._writer.write_image(
                TOPICS[name], pair.visible_ns, pair.visible.frame_id, image, encoding, receive_ns
            )
