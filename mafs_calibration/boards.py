"""Calibration boards: what they are called, where their points are, and how they are found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
from mafs_calibration.circle_lattice import find_blobs, Lattice
from mafs_model.errors import ConfigError
from mafs_model.types import UInt8Image
import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]

KINDS = (
    'chessboard:COLSxROWS:SQUARE_MM (inner corners), circles:COLSxROWS:STEP_MM (asymmetric), '
    'circles:FILE.csv (X,Y in mm), aruco:COLSxROWS:MARKER_MM:GAP_MM[xGAP_MM][:DICTIONARY'
    '[:FIRST_ID]], charuco:COLSxROWS:SQUARE_MM:MARKER_MM[:DICTIONARY]'
)
_MAX_SIDE = 100
_MAX_POINTS = 2000
_MIN_MARKERS = 4
_MAX_BYTES = 1 << 20
_SHARPNESS = 3.0  # of the Laplacian, counts: below it edges are wider than corners can be found in
_CONTRAST = 25.0  # between the 5th and 95th percentile, counts


@dataclass(frozen=True)
class Detection:
    """
    A board in an image.

    Attributes:
        ids: number of each point on the board, int64 [n].
        points: where it is, px, float64 [n,2].
        variant: how the image was prepared when it was found.

    """

    ids: NDArray[np.int64]
    points: Points
    variant: str


class Board(Protocol):
    """
    A board.

    Attributes:
        name: as the user wrote it.
        points: every point of the board in its plane, m, float64 [n,3].

    """

    name: str
    points: Points

    def find(self, image: UInt8Image) -> tuple[NDArray[np.int64], Points] | None:
        """Return numbers and places of the points that are seen in uint8 [H,W], or None."""


def detect(board: Board, image: UInt8Image) -> Detection | str:
    """
    Look for a board.

    Heated and cooled boards are bright where the print is dark, and warm people beside a board
    take the contrast: the image is also tried inverted and with local equalisation.

    Args:
        board: what to look for.
        image: uint8 [H,W].

    Returns:
        The board with the most points among the variants, or why there is none.

    """
    best: Detection | None = None
    for name, variant in _variants(image):
        found = board.find(variant)
        if found is not None and (best is None or len(found[0]) > len(best.ids)):
            best = Detection(found[0], found[1], name)
            if len(best.ids) == len(board.points):
                break
    return _reason(image) if best is None else best


def parse_board(text: str) -> Board:
    """
    Return the board that a text like ``chessboard:9x6:25`` names.

    Raises:
        ConfigError: unknown kind or bad numbers; the message says what can be written.

    """
    kind, *rest = text.split(':')
    try:
        if kind == 'chessboard' and len(rest) == 2:
            return Chessboard(text, *_grid(rest[0], 3), _length(rest[1]))
        if kind == 'circles' and len(rest) == 2:
            return CircleBoard(text, _asymmetric(*_grid(rest[0], 2), _length(rest[1])))
        if kind == 'circles' and len(rest) == 1 and rest[0]:
            return CircleBoard(text, _read_points(rest[0]))
        if kind == 'aruco' and 3 <= len(rest) <= 5:
            gaps = [_length(gap) for gap in rest[2].split('x')]
            if len(gaps) > 2:
                raise ValueError(f"'{rest[2]}': expected one gap, or two joined by x")
            marker = _length(rest[1]), gaps[0], gaps[-1]
            first = _whole(rest[4], 0, 10_000) if len(rest) == 5 else 0
            return ArucoBoard(
                text, _grid(rest[0], 1), marker, rest[3] if len(rest) > 3 else '4X4_50', first
            )
        if kind == 'charuco' and 3 <= len(rest) <= 4:
            sizes = _length(rest[1]), _length(rest[2])
            return CharucoBoard(
                text, _grid(rest[0], 3), sizes, rest[3] if len(rest) > 3 else '4X4_50'
            )
    except ValueError as error:
        raise ConfigError(f"board '{text}': {error}; expected {KINDS}") from None
    raise ConfigError(f"board '{text}': expected {KINDS}")


class Chessboard:
    """
    A chessboard; see :class:`Board`.

    Args:
        name: as written.
        columns: inner corners in a row.
        rows: rows of inner corners.
        square_m: side of a square, m.

    """

    def __init__(self, name: str, columns: int, rows: int, square_m: float) -> None:
        self.name = name
        self._pattern = (columns, rows)
        y, x = np.mgrid[:rows, :columns]
        self.points: Points = np.stack([x, y, np.zeros_like(x)], -1).reshape(-1, 3) * square_m

    def find(self, image: UInt8Image) -> tuple[NDArray[np.int64], Points] | None:
        """Return all inner corners or None."""
        flags = cv2.CALIB_CB_EXHAUSTIVE | cv2.CALIB_CB_ACCURACY
        found = False
        # Reflections on a board and the grain of small sensors go away in a little blur.
        for prepared in (image, cv2.GaussianBlur(image, (0, 0), 1.5)):
            try:
                found, corners = cv2.findChessboardCornersSB(prepared, self._pattern, flags=flags)
            except cv2.error:  # images smaller than its windows
                return None
            if found:
                break
        if not found:
            return None
        points = np.asarray(corners, np.float64).reshape(-1, 2)
        # The same way round for both cameras, although one sees it inverted.
        if (points[-1] - points[0]).sum() < 0:
            points = points[::-1]
        return np.arange(len(points)), points


class CircleBoard:
    """
    Circles on a lattice, heated or printed; see :class:`Board`.

    Args:
        name: as written.
        layout: centres in m, float64 [n,2].

    Raises:
        ValueError: they are on no lattice.

    """

    def __init__(self, name: str, layout: Points) -> None:
        self.name = name
        self._lattice = Lattice(layout)
        self.points: Points = np.column_stack([layout, np.zeros(len(layout))])

    def find(self, image: UInt8Image) -> tuple[NDArray[np.int64], Points] | None:
        """Return all circles or None."""
        found = self._lattice.find(find_blobs(image))
        return None if found is None else (np.arange(len(found)), found)


class ArucoBoard:
    """
    A grid of ArUco markers, numbered row by row; see :class:`Board`.

    Args:
        name: as written.
        grid: columns and rows.
        sizes_m: side of a marker, gap between columns, gap between rows, m.
        dictionary: e.g. '4X4_50', '6X6_250', 'ARUCO_ORIGINAL'.
        first: number of the first marker.

    Raises:
        ConfigError: unknown dictionary, or this OpenCV has no module aruco.
        ValueError: the dictionary has not as many markers.

    """

    def __init__(
        self,
        name: str,
        grid: tuple[int, int],
        sizes_m: tuple[float, float, float],
        dictionary: str,
        first: int = 0,
    ) -> None:
        self.name = name
        self._first, self._count = first, grid[0] * grid[1]
        self._detector = _MarkerDetector(dictionary)
        if first + self._count > self._detector.count:
            raise ValueError(f'dictionary {dictionary} has {self._detector.count} markers')
        side, *gaps = sizes_m
        pitch = side + np.array(gaps)
        square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float64) * side
        corners = [
            square + np.array([column, row]) * pitch
            for row in range(grid[1])
            for column in range(grid[0])
        ]
        flat = np.concatenate(corners)
        self.points: Points = np.column_stack([flat, np.zeros(len(flat))])

    def find(self, image: UInt8Image) -> tuple[NDArray[np.int64], Points] | None:
        """Return the corners of the markers seen, or None if they are fewer than four."""
        markers = {
            number - self._first: corners
            for number, corners in self._detector.find(image).items()
            if 0 <= number - self._first < self._count
        }
        if len(markers) < min(_MIN_MARKERS, self._count):
            return None
        ids = np.concatenate([np.arange(4) + 4 * number for number in sorted(markers)])
        return ids, np.concatenate([markers[number] for number in sorted(markers)])


class CharucoBoard:
    """
    A chessboard with ArUco markers in its light squares; see :class:`Board`.

    Args:
        name: as written.
        grid: squares in a row, and rows.
        sizes_m: side of a square and of a marker, m.
        dictionary: as for :class:`ArucoBoard`.

    Raises:
        ConfigError: as for :class:`ArucoBoard`.
        ValueError: markers that do not fit their squares.

    """

    def __init__(
        self, name: str, grid: tuple[int, int], sizes_m: tuple[float, float], dictionary: str
    ) -> None:
        if not sizes_m[1] < sizes_m[0]:
            raise ValueError('expected markers smaller than squares')
        self.name = name
        self._aruco = _aruco()
        self._detector = _MarkerDetector(dictionary)
        marker_set = self._detector.dictionary
        if grid[0] * grid[1] // 2 > self._detector.count:
            raise ValueError(f'dictionary {dictionary} has {self._detector.count} markers')
        if hasattr(self._aruco, 'CharucoDetector'):
            self._board = self._aruco.CharucoBoard(grid, *sizes_m, marker_set)
            corners = self._board.getChessboardCorners()
            self._charuco = self._aruco.CharucoDetector(self._board)
        else:  # before OpenCV 4.7
            self._board = self._aruco.CharucoBoard_create(*grid, *sizes_m, marker_set)
            corners = self._board.chessboardCorners
        self.points: Points = np.asarray(corners, np.float64).reshape(-1, 3)

    def find(self, image: UInt8Image) -> tuple[NDArray[np.int64], Points] | None:
        """Return the chessboard corners beside markers seen, or None if they are too few."""
        if hasattr(self._aruco, 'CharucoDetector'):
            corners, ids, _, _ = self._charuco.detectBoard(image)
        else:
            markers = self._detector.find_raw(image)
            if markers[1] is None:
                return None
            _, corners, ids = self._aruco.interpolateCornersCharuco(*markers, image, self._board)
        if ids is None or len(ids) < 6:
            return None
        numbers = np.asarray(ids).ravel().astype(np.int64)
        on_board = self.points[numbers, :2]
        if np.linalg.matrix_rank(on_board - on_board[0]) < 2:
            return None
        return numbers, np.asarray(corners, np.float64).reshape(-1, 2)


class _MarkerDetector:
    """ArUco markers with any OpenCV from 4.5 on."""

    def __init__(self, dictionary: str) -> None:
        aruco = _aruco()
        names = sorted(n.removeprefix('DICT_') for n in dir(aruco) if n.startswith('DICT_'))
        wanted = dictionary.upper().removeprefix('DICT_')
        if wanted not in names:
            raise ConfigError(
                f"marker dictionary '{dictionary}': expected one of {', '.join(names)}"
            )
        self._aruco = aruco
        number = getattr(aruco, f'DICT_{wanted}')
        if hasattr(aruco, 'getPredefinedDictionary'):
            self.dictionary = aruco.getPredefinedDictionary(number)
        else:
            self.dictionary = aruco.Dictionary_get(number)
        self.count = len(self.dictionary.bytesList)
        modern = hasattr(aruco, 'ArucoDetector')
        self._options = aruco.DetectorParameters() if modern else aruco.DetectorParameters_create()
        # Markers of thermal images are blurred: their corners are found along the edges.
        self._options.cornerRefinementMethod = aruco.CORNER_REFINE_SUBPIX
        self._options.cornerRefinementWinSize = 3
        self._detector = aruco.ArucoDetector(self.dictionary, self._options) if modern else None

    def find_raw(self, image: UInt8Image) -> tuple[Any, Any]:
        """Return corners and numbers as OpenCV gives them."""
        if self._detector is not None:
            corners, ids, _ = self._detector.detectMarkers(image)
        else:
            corners, ids, _ = self._aruco.detectMarkers(
                image, self.dictionary, parameters=self._options
            )
        return corners, ids

    def find(self, image: UInt8Image) -> dict[int, Points]:
        """Return the corners [4,2] of each marker by its number; doubled ones are left out."""
        corners, ids = self.find_raw(image)
        if ids is None:
            return {}
        numbers = [int(n) for n in np.asarray(ids).ravel()]
        return {
            number: np.asarray(places, np.float64).reshape(4, 2)
            for number, places in zip(numbers, corners, strict=True)
            if numbers.count(number) == 1
        }


def _aruco() -> Any:
    """Return OpenCV's module of markers."""
    module = getattr(cv2, 'aruco', None)
    if module is None:
        raise ConfigError(
            f'marker boards: OpenCV {cv2.__version__} has no module aruco, expected OpenCV 4.7 or '
            'later, or opencv-contrib'
        )
    return module


def _variants(image: UInt8Image) -> Iterator[tuple[str, UInt8Image]]:
    """Yield the image as it is, inverted, equalised, and both."""
    yield 'as it is', image
    yield 'inverted', cv2.bitwise_not(image)
    equalised = cv2.createCLAHE(2.0, (8, 8)).apply(image)
    yield 'equalised', equalised
    yield 'equalised and inverted', cv2.bitwise_not(equalised)


def _reason(image: UInt8Image) -> str:
    """Return why a board is most likely not found."""
    dark, bright = (float(v) for v in np.percentile(image, (5, 95)))
    if bright - dark < _CONTRAST:
        return f'no board found: hardly any contrast ({bright - dark:.0f} of 255 counts)'
    saturated = float(np.mean((image <= 2) | (image >= 253)))
    sharpness = float(cv2.Laplacian(cv2.GaussianBlur(image, (3, 3), 0), cv2.CV_32F).std())
    if sharpness < _SHARPNESS:
        return f'no board found: the image is blurred (sharpness {sharpness:.1f})'
    if saturated > 0.4:
        return f'no board found: {saturated:.0%} of the image are black or white (backlit?)'
    return 'no board found: not the board that was named, cut off, too small or covered'


def _grid(text: str, least: int) -> tuple[int, int]:
    """Return columns and rows of COLSxROWS."""
    parts = text.lower().split('x')
    if len(parts) != 2:
        raise ValueError(f"'{text}' is not COLSxROWS")
    return _whole(parts[0], least, _MAX_SIDE), _whole(parts[1], least, _MAX_SIDE)


def _whole(text: str, low: int, high: int) -> int:
    """Return a whole number in a range."""
    if not (text.isascii() and text.isdigit()) or not low <= int(text) <= high:
        raise ValueError(f"'{text}' is not a whole number from {low} to {high}")
    return int(text)


def _length(text: str) -> float:
    """Return millimetres as metres."""
    try:
        value = float(text.removesuffix('mm'))
    except ValueError:
        raise ValueError(f"'{text}' is not a length in mm") from None
    if not 0.1 <= value <= 10_000:
        raise ValueError(f"'{text}': expected 0.1 to 10000 mm")
    return value / 1000


def _asymmetric(columns: int, rows: int, step_m: float) -> Points:
    """Return OpenCV's asymmetric grid: every other row is shifted by one step."""
    return np.array(
        [((2 * j + i % 2) * step_m, i * step_m) for i in range(rows) for j in range(columns)]
    )


def _read_points(path: str) -> Points:
    """Return the points of a file with a head line and X,Y in mm, in m."""
    file = Path(path).expanduser()
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise ValueError(f'{path} is larger than {_MAX_BYTES} bytes')
        lines = file.read_text(encoding='utf-8').splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f'{path} cannot be read: {error}') from None
    points = []
    for number, line in enumerate(lines, 1):
        try:
            x, y = (float(v) for v in line.replace(';', ',').split(',')[:2])
        except ValueError:
            if number == 1 or not line.strip():
                continue
            raise ValueError(f'{path}, line {number}: expected X,Y') from None
        points.append((x, y))
    array = np.array(points, np.float64).reshape(-1, 2) / 1000
    if not 6 <= len(array) <= _MAX_POINTS or not np.isfinite(array).all():
        raise ValueError(f'{path}: {len(array)} points, expected 6 to {_MAX_POINTS} finite ones')
    return array
