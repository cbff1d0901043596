"""Which files belong together: by equal names, by the words that cameras add, or by a pattern."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
import glob
from pathlib import Path
import re

from mafs_model.errors import ConfigError
from mafs_model.images.image_files import natural_key, PairFiles, SUFFIXES
from mafs_model.images.radiometric_jpeg import maker_of
from mafs_model.sources.given import Given, recognise, TABLE_SUFFIXES
from mafs_model.sources.items import Camera

READABLE = {'visible': SUFFIXES, 'thermal': (*SUFFIXES, *TABLE_SUFFIXES)}
_HEAD_BYTES = 1 << 20  # The marks of a maker come before the picture.
MAX_FILES = 1_000_000  # Above it a pattern such as /** was not meant.
# Subfolders of a folder that holds both cameras, as data sets and recorders call them.
FOLDERS = {
    'visible': ('vi', 'vis', 'rgb', 'visible', 'visual', 'color', 'colour', 'eo'),
    'thermal': ('ir', 'th', 'thermal', 'infrared', 'lwir', 'tir'),
}
# Last words of names that tell the cameras apart: FLIR_0001_RGB.jpg and FLIR_0001_IR.jpg,
# DJI_0001_W.JPG and DJI_0001_T.JPG.
_LAST_WORD = {
    'visible': re.compile(
        r'[ ._-](rgb|vis|vi|visible|visual|color|colour|eo|w|v)$', re.IGNORECASE
    ),
    'thermal': re.compile(r'[ ._-](ir|th|thermal|infrared|lwir|tir|t)$', re.IGNORECASE),
}


def split_pattern(text: str) -> tuple[str, str]:
    """
    Return the visible and the thermal pattern of ``VISIBLE:THERMAL``.

    Raises:
        ConfigError: not two patterns, or their numbers of ``*`` differ.

    """
    # A drive letter or an address never is a pattern of ours, so any single colon parts them.
    parts = text.split(':')
    if len(parts) != 2 or not all(p.strip() for p in parts):
        raise ConfigError(
            f"--pair '{text}': expected two patterns joined by a colon, e.g. '*_rgb.*:*_th.*'"
        )
    stars = [len(re.findall(r'\*+', p)) for p in parts]
    if stars[0] != stars[1] or not stars[0]:
        raise ConfigError(
            f"--pair '{text}': {stars[0]} and {stars[1]} times *, expected the same number, at "
            'least one: what they stand for is what both names have in common'
        )
    return parts[0], parts[1]


def match_pattern(text: str) -> tuple[list[PairFiles], list[str]]:
    """
    Match files by two patterns: what the stars of both stand for must be the same.

    The last star of each may differ where it only stands for the suffix (``*_rgb.*``).

    Args:
        text: ``VISIBLE:THERMAL``, each a path with ``*``.

    Returns:
        The pairs in natural order, and one line for each file left over.

    Raises:
        ConfigError: malformed, or nothing matches one of the patterns.

    """
    found: dict[Camera, dict[str, list[Path]]] = {}
    cameras: tuple[Camera, Camera] = ('visible', 'thermal')
    for camera, pattern in zip(cameras, split_pattern(text), strict=True):
        by_key = defaultdict(list)
        expression = _capturing(pattern)
        for path in _expand(pattern, camera):
            match = expression.fullmatch(str(path))
            if match is not None:
                by_key[_key(match, pattern)].append(path)
        found[camera] = by_key
    return _join(found, 'matches the same *')


def match_files(
    given: dict[Camera, list[Given]],
) -> tuple[list[PairFiles], list[str]]:
    """
    Match pictures, folders and patterns of two cameras, or list those of one.

    Two single files belong together whatever their names, and lists of files that were named one
    by one do in their order. Else names count, without suffix, and where they differ without the
    last word that tells the cameras apart.

    Args:
        given: one or more inputs of each camera that is there.

    Returns:
        The pairs in natural order, and one line for each file left over.

    Raises:
        ConfigError: two lists of different length; a pattern without files.

    """
    files = {camera: list_files(inputs, camera) for camera, inputs in given.items()}
    one_by_one = all(g.kind in {'picture', 'table'} for inputs in given.values() for g in inputs)
    if one_by_one and len(files) == 2:
        return _in_order(files['visible'], files['thermal'])
    found: dict[Camera, dict[str, list[Path]]] = {}
    for camera, paths in files.items():
        found[camera] = _by_name(paths, str)
    if len(found) == 2 and not found['visible'].keys() & found['thermal'].keys():
        for camera, paths in files.items():
            word = _LAST_WORD[camera]
            found[camera] = _by_name(paths, lambda name, word=word: word.sub('', name).lower())
    return _join(found, 'of the same name')


def split_folder(folder: Path) -> dict[Camera, list[Given]] | None:
    """
    Return the inputs of both cameras that one folder holds, None if it does not tell them apart.

    Either it has a subfolder for each camera (``vi`` and ``ir``, ``rgb`` and ``thermal`` ...),
    or the names of its files end in words for the cameras (``_rgb`` and ``_th`` ...).
    """
    by_lower = {p.name.lower(): p for p in _iterate(folder) if p.is_dir()}
    chosen = {
        camera: next((by_lower[n] for n in names if n in by_lower), None)
        for camera, names in FOLDERS.items()
    }
    if chosen['visible'] and chosen['thermal']:
        return {
            'visible': [Given('folder', str(chosen['visible']), chosen['visible'])],
            'thermal': [Given('folder', str(chosen['thermal']), chosen['thermal'])],
        }
    sides: dict[Camera, list[Given]] = {'visible': [], 'thermal': []}
    for path in _iterate(folder):
        if path.suffix.lower() not in READABLE['thermal'] or not path.is_file():
            continue
        for camera, word in _LAST_WORD.items():
            if word.search(path.stem):
                # A pattern's files pair by name; 'glob' says so without reading the folder again.
                sides[camera].append(Given('glob', str(path), path))  # type: ignore[index]
    return sides if sides['visible'] and sides['thermal'] else None


def radiometric_pairs(inputs: Iterable[Given]) -> list[PairFiles]:
    """Return the radiometric JPEGs of FLIR among the inputs, each of which holds both images."""
    files = [f for f in list_files(inputs, 'visible') if is_radiometric(f)]
    return _with_unique_names([PairFiles(f.stem, f, f) for f in files])


def is_radiometric(path: Path) -> bool:
    """Return whether a file is a radiometric JPEG of FLIR."""
    if path.suffix.lower() not in {'.jpg', '.jpeg'}:
        return False
    try:
        with path.open('rb') as file:
            return maker_of(file.read(_HEAD_BYTES)) == 'flir'
    except OSError:
        return False  # Reading it will say why.


def _in_order(visible: list[Path], thermal: list[Path]) -> tuple[list[PairFiles], list[str]]:
    """Pair two lists of single files by position."""
    if len(visible) != len(thermal):
        raise ConfigError(
            f'--rgb names {len(visible)} files and --thermal {len(thermal)}, expected as many'
        )
    pairs = [PairFiles(v.stem, v, t) for v, t in zip(visible, thermal, strict=True)]
    return _with_unique_names(pairs), []


def _with_unique_names(pairs: list[PairFiles]) -> list[PairFiles]:
    """Return the pairs with a number behind names that came before (a/1.png, b/1.png)."""
    seen: set[str] = set()
    result = []
    for pair in pairs:
        name, number = pair.name, 2
        while name in seen:
            name, number = f'{pair.name}_{number}', number + 1
        seen.add(name)
        result.append(PairFiles(name, pair.visible, pair.thermal))
    return result


def list_files(inputs: Iterable[Given], camera: Camera) -> list[Path]:
    """Return the files of the inputs of one camera."""
    files: list[Path] = []
    for given in inputs:
        if given.kind == 'folder':
            assert given.path is not None
            suffixes = READABLE[camera]
            files += sorted(
                (p for p in _iterate(given.path) if p.suffix.lower() in suffixes and p.is_file()),
                key=lambda p: natural_key(p.name),
            )
        elif given.path is None:
            files += _expand(given.text, camera)
        else:
            files.append(given.path)
    return files


def _iterate(folder: Path) -> list[Path]:
    """Return what lies in a folder; raises ConfigError."""
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise ConfigError(f"folder '{folder}': cannot be read: {error.strerror}") from None


def _expand(pattern: str, camera: Camera) -> list[Path]:
    """Return the readable files that match a pattern; raises ConfigError if there are none."""
    suffixes = READABLE[camera]
    files: list[Path] = []
    expanded = str(Path(pattern).expanduser())
    for count, name in enumerate(glob.iglob(expanded, recursive=True)):
        if count >= MAX_FILES:
            raise ConfigError(f"{camera} '{pattern}': more than {MAX_FILES} files")
        path = Path(name)
        if path.suffix.lower() in suffixes and path.is_file():
            files.append(path)
    if not files:
        raise ConfigError(f"{camera} '{pattern}': no image file matches")
    return sorted(files, key=lambda p: natural_key(str(p)))


def _capturing(pattern: str) -> re.Pattern[str]:
    """Return the regular expression of a pattern, a group for each run of stars."""
    expression = ''
    for part in re.split(r'(\*+|\?)', str(Path(pattern).expanduser())):
        if part.startswith('**'):
            expression += '(.*)'
        elif part == '*':
            expression += '([^/]*)'
        elif part == '?':
            expression += '[^/]'
        else:
            expression += re.escape(part)
    return re.compile(expression)


def _key(match: re.Match[str], pattern: str) -> str:
    """Return what the stars stand for, without one that only is the suffix."""
    groups = match.groups()
    if pattern.endswith('.*') and len(groups) > 1:
        groups = groups[:-1]
    return '_'.join(g.replace('/', '_') for g in groups)


def _by_name(paths: list[Path], key: object) -> dict[str, list[Path]]:
    """Return the files by the key of their names without suffix."""
    assert callable(key)
    found = defaultdict(list)
    for path in paths:
        found[str(key(path.stem))].append(path)
    return found


def _join(
    found: dict[Camera, dict[str, list[Path]]], relation: str
) -> tuple[list[PairFiles], list[str]]:
    """Return the pairs of equal keys, and one line for each file left over."""
    problems: list[str] = []
    usable: dict[Camera, dict[str, Path]] = {}
    for camera, by_key in found.items():
        for name, files in by_key.items():
            if len(files) > 1:
                shown = ', '.join(str(p.name) for p in files[:4])
                problems.append(f"{camera} '{name}': several files ({shown}), expected one")
        usable[camera] = {name: files[0] for name, files in by_key.items() if len(files) == 1}
    names = set.intersection(*(set(files) for files in usable.values()))
    for camera, files_of in usable.items():
        other = 'thermal' if camera == 'visible' else 'visible'
        problems += [
            f"{camera} '{path}': no {other} file {relation}"
            for name, path in files_of.items()
            if name not in names
        ]
    ordered = sorted(names, key=natural_key)
    pairs = [
        PairFiles(n, usable.get('visible', {}).get(n), usable.get('thermal', {}).get(n))
        for n in ordered
    ]
    return pairs, problems


def recognise_all(words: Iterable[str], camera: Camera) -> list[Given]:
    """Return what each word of one camera is; raises ConfigError."""
    return [recognise(word, camera) for word in words]
