"""What one word of the command line is: a picture, a folder, a film, a camera ... by its look."""

from __future__ import annotations

from dataclasses import dataclass
import glob
from pathlib import Path
import re
from typing import Literal
from urllib.parse import unquote, urlsplit

from mafs_model.errors import ConfigError
from mafs_model.images.image_files import SUFFIXES

Kind = Literal['picture', 'table', 'pages', 'folder', 'glob', 'video', 'camera', 'stream']

TABLE_SUFFIXES = ('.npy', '.csv', '.tsv')
VIDEO_SUFFIXES = (
    '.mp4', '.m4v', '.mov', '.avi', '.mkv', '.webm', '.mpg', '.mpeg', '.ts', '.wmv', '.gif',
    '.mjpeg', '.mjpg', '.h264', '.h265', '.ogv',
)  # fmt: skip
STREAM_SCHEMES = ('rtsp', 'rtsps', 'rtmp', 'http', 'https', 'udp', 'tcp', 'srt')
_CAMERA = re.compile(r'\d{1,2}|/dev/video\d{1,3}')
_EXPECTED = (
    'an image, a .npy or .csv with temperatures, a multi-page TIFF, a video, a folder, a '
    'pattern such as "DIR/*.png", the number of a webcam, or rtsp://...'
)
# Files that people try and that something else is for.
_ELSEWHERE = {
    ('.mcap', '.db3', '.bag'): 'a bag: use `mafs-eval bag`, or `mafs-data` to take images from it',
    ('.zip', '.tar', '.gz', '.tgz', '.7z', '.rar'): 'an archive: unpack it and give its folder',
    ('.heic', '.heif', '.avif', '.dng', '.cr2', '.cr3', '.nef', '.arw', '.raw'): (
        'a format of phones and cameras that is not read: convert it to JPEG, PNG or TIFF'
    ),
    ('.seq', '.csq', '.ats', '.fff', '.sfmov'): (
        'a radiometric recording of a maker: export it as multi-page TIFF, .npy or .csv'
    ),
    ('.npz', '.mat', '.h5', '.hdf5', '.pt', '.pth', '.pkl'): (
        'a container of several arrays: save the temperatures as .npy'
    ),
    ('.pdf', '.doc', '.docx', '.xlsx', '.xls'): 'a document: save the temperatures as .csv',
}
_MAGIC = {
    b'\x89PNG': 'picture', b'\xff\xd8\xff': 'picture', b'BM': 'picture', b'\x93NUMPY': 'table',
    b'II*\x00': 'picture', b'MM\x00*': 'picture', b'\x1aE\xdf\xa3': 'video', b'GIF8': 'video',
}  # fmt: skip


@dataclass(frozen=True)
class Given:
    """
    One input and what it is.

    Attributes:
        kind: what it was recognised as.
        text: as it was given.
        path: file, folder or device file; None for patterns, webcam numbers and streams.

    """

    kind: Kind
    text: str
    path: Path | None = None

    @property
    def shown(self) -> str:
        """Return the text for messages, without the password that a URL may hold."""
        return without_password(self.text)


def recognise(text: str, what: str = 'input') -> Given:
    """
    Return what a word is, without decoding any image.

    Args:
        text: word of the command line.
        what: how messages call it, e.g. ``visible``.

    Raises:
        ConfigError: nothing there, or something that cannot be fused; the message says what to
            do with it instead.

    """
    if not text.strip():
        raise ConfigError(f'{what} {text!r}: expected {_EXPECTED}')
    scheme, separator, rest = text.partition('://')
    if separator and scheme.lower() == 'file':
        text = unquote(urlsplit(text).path)
    elif separator:
        if scheme.lower() not in STREAM_SCHEMES or not rest:
            raise ConfigError(
                f"{what} '{without_password(text)}': expected an address that begins with "
                f'{", ".join(f"{s}://" for s in STREAM_SCHEMES)}'
            )
        return Given('stream', text)
    path = Path(text).expanduser()
    if _CAMERA.fullmatch(text) and (text.startswith('/dev/') or not _exists(path)):
        return Given('camera', text, path if text.startswith('/dev/') else None)
    if _exists(path):
        if path.is_dir():
            return Given('folder', text, path)
        return Given(_kind_of_file(path, what), text, path)
    if glob.has_magic(text):
        return Given('glob', text)
    raise ConfigError(f"{what} '{text}': no such file or folder")


def without_password(text: str) -> str:
    """Return an address with user and password replaced by ``***``."""
    return re.sub(r'://[^/@]*@', '://***@', text)


def _exists(path: Path) -> bool:
    """Return whether the path is there; a name that no file can have is not."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _kind_of_file(path: Path, what: str) -> Kind:
    """Return the kind of an existing file, by its suffix, else by its first bytes."""
    suffix = path.suffix.lower()
    for suffixes, advice in _ELSEWHERE.items():
        if suffix in suffixes:
            raise ConfigError(f"{what} '{path}': {advice}")
    if not path.is_file():
        raise ConfigError(f"{what} '{path}': neither a file nor a folder, expected {_EXPECTED}")
    if suffix in {'.tif', '.tiff'}:
        return 'pages' if count_pages(path) > 1 else 'picture'
    if suffix == '.npy':
        return 'pages' if _is_stack(path) else 'table'
    if suffix in SUFFIXES:
        return 'picture'
    if suffix in TABLE_SUFFIXES:
        return 'table'
    if suffix in VIDEO_SUFFIXES:
        return 'video'
    return _kind_by_content(path, what)


def _kind_by_content(path: Path, what: str) -> Kind:
    """Return the kind of a file whose name says nothing."""
    try:
        with path.open('rb') as file:
            start = file.read(16)
    except OSError as error:
        raise ConfigError(f"{what} '{path}': cannot be read: {error.strerror}") from None
    for magic, kind in _MAGIC.items():
        if start.startswith(magic):
            return kind  # type: ignore[return-value]
    if start[4:8] == b'ftyp' or (start[:4] == b'RIFF' and start[8:12] == b'AVI '):
        return 'video'
    raise ConfigError(f"{what} '{path}': not recognised, expected {_EXPECTED}")


def count_pages(path: Path) -> int:
    """Return the number of pictures in a TIFF; 1 where reading will say what is wrong."""
    import cv2

    try:
        return max(1, int(cv2.imcount(str(path))))
    except cv2.error:
        return 1


def _is_stack(path: Path) -> bool:
    """Return whether an .npy holds several frames [N,h,w]; reading says what is wrong with it."""
    import numpy as np

    try:
        array = np.load(path, mmap_mode='r', allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return False
    return bool(array.ndim == 3 and array.shape[2] > 4)
