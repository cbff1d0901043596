"""From the words of a command line to a checked stream of pairs."""

from __future__ import annotations

from collections.abc import Sequence as Words
from dataclasses import dataclass, field, replace
from functools import partial

from mafs_model.errors import ConfigError, ImageError
from mafs_model.images import image_files
from mafs_model.images.image_files import PairFiles
from mafs_model.sources import pair_names, plausibility, stills
from mafs_model.sources.given import Given, recognise
from mafs_model.sources.items import Camera, Images, Item, PairSource, StillPairs
from mafs_model.sources.live import LiveCamera, LivePairs, TIMEOUT_S
from mafs_model.sources.recordings import RecordedPairs
from mafs_model.sources.sequences import open_sequence
from mafs_model.sources.side_by_side import SplitPairs
from mafs_model.types import Layout, LAYOUTS

_LIVE = frozenset({'camera', 'stream'})
_RECORDED = frozenset({'video', 'pages'})


@dataclass(frozen=True)
class Request:
    """
    What is to be fused.

    Attributes:
        visible: inputs of the visible camera.
        thermal: inputs of the thermal camera.
        both: one input that holds both cameras.
        pattern: ``VISIBLE:THERMAL``, two patterns with ``*``.
        layout: where the cameras are in the images of ``both``.
        limit: number of pairs after which to stop.
        timeout_s: longest wait for an image of a camera.
        unchecked: take also what looks like a mistake.

    """

    visible: Words[str] = field(default=())
    thermal: Words[str] = field(default=())
    both: str | None = None
    pattern: str | None = None
    layout: Layout | None = None
    limit: int | None = None
    timeout_s: float = TIMEOUT_S
    unchecked: bool = False


def open_pairs(request: Request) -> PairSource:
    """
    Return the pairs that are meant; nothing but their first one has been read.

    Raises:
        ConfigError: nothing is given, something is not there or not fusable, inputs do not go
            together, or they look like a mistake.

    """
    _check_ways(request)
    if request.pattern is not None:
        pairs, problems = pair_names.match_pattern(request.pattern)
        source: PairSource = _stills(pairs, problems, request.limit)
    elif request.both is not None:
        source = _open_both(request)
    else:
        source = _open_given(_recognise(request), request)
    if not request.unchecked:
        try:
            plausibility.check_images(source.first())
        except ConfigError:
            source.close()
            raise
    return source


def _check_ways(request: Request) -> None:
    """Raise ConfigError unless inputs are named in exactly one way."""
    ways = {
        'one input for both': request.both is not None,
        '--rgb and --thermal': bool(request.visible or request.thermal),
        '--pair': request.pattern is not None,
    }
    named = [way for way, used in ways.items() if used]
    if not named:
        raise ConfigError(
            'no input: expected a visible or a thermal file or folder (--rgb, --thermal), a '
            'pattern (--pair), or one input that holds both'
        )
    if len(named) > 1:
        raise ConfigError(f'{" and ".join(named)}: expected one of them')
    if request.layout is not None and request.both is None:
        raise ConfigError('--layout is for one input that shows both cameras side by side')
    if request.layout is not None and request.layout not in LAYOUTS:
        raise ConfigError(f"--layout '{request.layout}': expected {', '.join(LAYOUTS)}")


def _recognise(request: Request) -> dict[Camera, list[Given]]:
    """Return what the inputs of each camera are."""
    given: dict[Camera, list[Given]] = {}
    if request.visible:
        given['visible'] = pair_names.recognise_all(request.visible, 'visible')
    if request.thermal:
        given['thermal'] = pair_names.recognise_all(request.thermal, 'thermal')
    return given


def _open_given(given: dict[Camera, list[Given]], request: Request) -> PairSource:
    """Open the inputs of the cameras."""
    if not request.unchecked:
        plausibility.check_inputs(given)
    kinds = {camera: {g.kind for g in inputs} for camera, inputs in given.items()}
    if any(k & _LIVE for k in kinds.values()):
        return _open_live(given, request)
    if any(k & _RECORDED for k in kinds.values()):
        files = {
            camera: [] if kinds[camera] & _RECORDED else pair_names.list_files(inputs, camera)
            for camera, inputs in given.items()
        }
        sequences = {c: open_sequence(inputs, c, files[c]) for c, inputs in given.items()}
        paths = [g.path for inputs in given.values() for g in inputs if g.path is not None]
        return RecordedPairs(sequences, request.limit, paths)
    if len({k == {'folder'} for k in kinds.values()}) > 1 and any(
        g.kind in {'picture', 'table'} for inputs in given.values() for g in inputs
    ):
        raise ConfigError(
            'one input is a file and the other a folder, expected two files or two folders'
        )
    return _stills(*pair_names.match_files(given), request.limit)


def _open_live(given: dict[Camera, list[Given]], request: Request) -> LivePairs:
    """Open cameras and streams."""
    for camera, inputs in given.items():
        if len(inputs) != 1 or inputs[0].kind not in _LIVE:
            other = next(g for g in inputs if len(inputs) > 1 or g.kind not in _LIVE)
            raise ConfigError(
                f"{camera} '{other.shown}': a camera goes together with one other camera only"
            )
    cameras: dict[Camera, LiveCamera] = {}
    try:
        for camera, (one,) in given.items():
            cameras[camera] = LiveCamera(one, camera, request.timeout_s)
    except ConfigError:
        for opened in cameras.values():
            opened.close()
        raise
    return LivePairs(cameras, request.limit)


def _open_both(request: Request) -> PairSource:
    """Open one input that holds both cameras."""
    assert request.both is not None
    given = recognise(request.both)
    if request.layout is not None:
        single = replace(request, both=None, layout=None)
        return SplitPairs(_open_given({'visible': [given]}, single), request.layout)
    if given.kind in {'picture', 'folder', 'glob'}:
        radiometric = pair_names.radiometric_pairs([given])
        if radiometric:
            return _stills(radiometric, [], request.limit)
    if given.kind == 'folder':
        assert given.path is not None
        sides = pair_names.split_folder(given.path)
        if sides is None:
            raise ConfigError(
                f"input '{given.path}': no subfolders vi/ and ir/ (rgb/ and thermal/ ...), and no "
                'names that end in _rgb and _th (_RGB and _IR ...); name both with --rgb and '
                '--thermal, or their names with --pair'
            )
        return _stills(*pair_names.match_files(sides), request.limit)
    raise ConfigError(
        f"input '{given.shown}': --layout says where it shows each camera ({', '.join(LAYOUTS)}); "
        'or name one input for each camera with --rgb and --thermal'
    )


def _stills(pairs: list[PairFiles], problems: list[str], limit: int | None) -> StillPairs:
    """Return matched files as a source."""
    pairs = pairs if limit is None else pairs[:limit]
    items = [Item(pair.name, partial(_read, pair)) for pair in pairs]
    files = [f for pair in pairs for f in (pair.visible, pair.thermal) if f is not None]
    return StillPairs(items, problems, look=lambda: _look(pairs), files=files)


def _read(pair: PairFiles) -> Images:
    """Read the files of a pair; raises ImageError."""
    return Images(
        None if pair.visible is None else stills.read_visible(pair.visible),
        None if pair.thermal is None else stills.read_thermal(pair.thermal),
    )


def _look(pairs: list[PairFiles]) -> Images | None:
    """Return the first readable pair in the colours it is stored in, None if there is none."""
    for pair in pairs[:3]:
        if pair.visible is None or pair.thermal is None:
            return None
        try:
            visible, thermal = _read(pair)
            if thermal is not None and thermal.dtype == 'uint8':
                thermal = image_files.read_visible(pair.thermal)
        except ImageError:
            continue  # It is reported when its turn comes.
        return Images(visible, thermal)
    return None
