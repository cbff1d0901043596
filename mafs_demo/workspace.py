"""The folder of the results: finished results, logs, and a place for everything in the making."""

from __future__ import annotations

from pathlib import Path
import shutil

from mafs_demo.mark import is_ours, set_mark
from mafs_model.errors import ConfigError

_RIG_FILES = ('calibration.yaml', 'calibration_scene.png')
_FILES = ('summary.json', 'contact_sheet.png', 'demo.mp4', *_RIG_FILES)
_BAG = 'bag'


class Workspace:
    """
    Results are made in `work` and moved to their place when all are there.

    An interrupted run so leaves logs, but neither half a result nor an old one that could pass
    for new.

    Args:
        out: folder of the results.

    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self.work = out / 'work'
        self.logs = out / 'logs'

    def prepare(self) -> None:
        """
        Make the folders, remove the results of an earlier run and nothing else.

        Raises:
            ConfigError: the folder cannot be written, or holds something of the names of our
                results that the demo has not made.

        """
        self._refuse_foreign()
        bag = self.out / _BAG
        if bag.exists() and not (bag / 'metadata.yaml').is_file():
            raise ConfigError(f'{bag} exists and is not a bag: not replaced')
        try:
            for folder in (self.work, self.logs):
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(parents=True)
            set_mark(self.out)
            for name in _FILES:
                (self.out / name).unlink(missing_ok=True)
        except OSError as error:
            raise ConfigError(f'cannot write to {self.out}: {error.strerror}') from error

    def _refuse_foreign(self) -> None:
        """Raise ConfigError where something of our names is not ours to replace."""
        for name in (self.work.name, self.logs.name, *_FILES, _BAG):
            place = self.out / name
            if place.is_symlink():
                raise ConfigError(f'{place} is a link: not replaced; remove it')
            if place.exists() and not is_ours(self.out):
                raise ConfigError(
                    f'{place} exists and was not made by the demo: not replaced; choose another '
                    '--out or move it away'
                )

    def publish(self) -> None:
        """Move the finished results to their place."""
        for name in (*_FILES, _BAG):
            made, place = self.work / name, self.out / name
            if made.exists():
                if place.is_dir():
                    shutil.rmtree(place)
                made.replace(place)

    def clean(self) -> None:
        """Remove everything in the making."""
        shutil.rmtree(self.work, ignore_errors=True)
