#!/usr/bin/env python3
"""
Run the recipes of docs/cookbook.md that are marked `run`, and make their pictures.

    python scripts/cookbook.py [PART OF A TITLE ...]      renew docs/images/cookbook/

A comment before a code block says that it is run, and which of its results is the picture:

    <!-- run -->
    <!-- run fused.png -->

Blocks of one recipe run one after the other in one folder, on rendered scenes of the names that
the recipes use; no camera image is among them. Tests run the same blocks on small images.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
from dataclasses import dataclass, field
import io
import os
from pathlib import Path
import re
import runpy
import shlex
import sys
import tempfile
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mafs_model.cli import main as mafs
from mafs_model.images.image_files import write_png
from mafs_model.images.registration import Registration
from mafs_model.images.thermal import ThermalScaler
from mafs_synthetic import NightDrive, SceneConfig

ROOT = Path(__file__).resolve().parents[1]
BOOK = ROOT / 'docs' / 'cookbook.md'
PICTURES = ROOT / 'docs' / 'images' / 'cookbook'
_BLOCK = re.compile(r'(?:^<!-- run ?(\S*) -->\n)?^```(\w*)\n(.*?)^```$', re.DOTALL | re.MULTILINE)
_WIDTH_PX = 640
_QUALITY = 80
_SCENE = SceneConfig(seed=8, pedestrians=16, crossing=6)
_START_S = 4.0
_HZ = 10
_SHIFT_PX = 24  # of the thermal camera that is not registered


@dataclass
class Recipe:
    """
    One recipe.

    Attributes:
        title: its heading.
        text: what follows it.
        blocks: (language, code) of what is run, in order.
        picture: name of the result that is shown, '' without one.

    """

    title: str
    text: str
    blocks: list[tuple[str, str]] = field(default_factory=list)
    picture: str = ''

    @property
    def image(self) -> Path:
        """Return where its picture is kept."""
        slug = re.sub(r'\W+', '_', self.title.lower()).strip('_')
        return PICTURES / f'{slug}.jpg'


def recipes(text: str) -> list[Recipe]:
    """Return the recipes of a document."""
    found = []
    for part in re.split(r'^## ', text, flags=re.MULTILINE)[1:]:
        title, _, body = part.partition('\n')
        recipe = Recipe(title.strip(), body)
        for marked in _BLOCK.finditer(body):
            picture, language, code = marked.groups()
            if picture is None:
                continue
            recipe.blocks.append((language, code))
            recipe.picture = picture or recipe.picture
        found.append(recipe)
    return found


def run(recipe: Recipe) -> None:
    """
    Run a recipe in the present folder.

    Raises:
        RuntimeError: a command does not end with 0.

    """
    for language, code in recipe.blocks:
        if language == 'python':
            Path('recipe.py').write_text(code, encoding='utf-8')
            runpy.run_path('recipe.py')
            continue
        for line in code.replace('\\\n', ' ').splitlines():
            words = shlex.split(line, comments=True)
            if words:
                _run_command(words, recipe.title)


def _run_command(words: list[str], title: str) -> None:
    """Run one command of `mafs`, its output into a file where the line says so."""
    target = None
    if '>' in words:
        target = words[words.index('>') + 1]
        words = words[: words.index('>')]
    if words[0] != 'mafs':
        raise RuntimeError(f'{title}: {words[0]}: only mafs is run')
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        code = mafs(words[1:])
    if code:
        raise RuntimeError(f'{title}: {shlex.join(words)} ended with {code}')
    if target is not None:
        Path(target).write_text(output.getvalue(), encoding='utf-8')


def make_data(folder: Path, width: int = 640, height: int = 480, count: int = 8) -> None:
    """Write rendered pairs under all the names that the recipes use."""
    drive = NightDrive(SceneConfig(**{**vars(_SCENE), 'width': width, 'height': height}))
    frames = [drive.frame(_START_S + index / _HZ) for index in range(count)]
    scaler = ThermalScaler(smoothing=0.9)
    heat = [scaler(frame.thermal) for frame in frames]
    shift = np.float32([[1, 0, _SHIFT_PX * width / 640], [0, 1, 0]])
    moved = [_moved(frame.thermal, shift) for frame in frames]
    for index, frame in enumerate(frames[:3]):
        name = f'{index + 1}.png'
        for path, image in (
            (f'DATA/vi/{name}', frame.visible),
            (f'DATA/ir/{name}', frame.thermal),
            (f'vi/{name}', frame.visible),
            (f'ir/{name}', moved[index]),
            (f'PAIRS/{index + 1}_rgb.png', frame.visible),
            (f'PAIRS/{index + 1}_th.png', frame.thermal),
        ):
            write_png(folder / path, image)
    write_png(folder / 'a.png', frames[0].visible)
    cv2.imwrite(str(folder / 'a.tiff'), frames[0].thermal)
    np.save(folder / 'a.npy', frames[0].thermal.astype(np.float32) / 100.0 - 273.15)
    inverse = np.float32([[1, 0, -shift[0, 2]], [0, 1, 0], [0, 0, 1]])
    size = (height, width)
    Registration(inverse, thermal_size=size, visible_size=size).save(folder / 'homography.yaml')
    grey = [cv2.cvtColor(image, cv2.COLOR_GRAY2RGB) for image in heat]
    _write_film(folder / 'drive.mp4', [frame.visible for frame in frames])
    _write_film(folder / 'drive_ir.mkv', grey)
    both = [np.hstack([g, f.visible]) for g, f in zip(grey, frames, strict=True)]
    _write_film(folder / 'both.mp4', both)


def _moved(image: NDArray[Any], shift: NDArray[Any]) -> NDArray[Any]:
    """Return an image as a camera beside the other one sees it."""
    size = (image.shape[1], image.shape[0])
    return cv2.warpAffine(image, shift, size, borderMode=cv2.BORDER_REPLICATE)


def _write_film(path: Path, images: list[NDArray[np.uint8]]) -> None:
    """Write a film, images uint8 [H,W,3] RGB."""
    with av.open(str(path), 'w') as container:
        stream: Any = container.add_stream('mpeg4', rate=_HZ)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt, stream.bit_rate = 'yuv420p', 8_000_000
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format='rgb24')))
        container.mux(stream.encode())


def read_picture(path: Path) -> NDArray[np.uint8]:
    """Return a picture, or one from the middle of a film, uint8 [H,W,3] BGR."""
    if path.suffix in {'.mp4', '.mkv'}:
        with av.open(str(path)) as film:
            images = [frame.to_ndarray(format='bgr24') for frame in film.decode(video=0)]
        return np.asarray(images[len(images) // 2])
    image = cv2.imread(str(path))
    if image is None:
        raise RuntimeError(f"'{path}': no picture")
    return np.asarray(image)


@contextlib.contextmanager
def in_folder(folder: Path) -> Iterator[None]:
    """Work in a folder."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def main(parts: list[str]) -> int:
    """Renew the pictures of the recipes whose titles hold one of the words; none: of all."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    for recipe in recipes(BOOK.read_text('utf-8')):
        if not recipe.blocks or (parts and not any(part in recipe.title for part in parts)):
            continue
        with tempfile.TemporaryDirectory() as name, in_folder(Path(name)):
            make_data(Path(name))
            run(recipe)
            if recipe.picture:
                image = read_picture(Path(recipe.picture))
                scale = min(1.0, _WIDTH_PX / image.shape[1])
                image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
                cv2.imwrite(str(recipe.image), image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        print(f'{recipe.title}: {recipe.picture or "run"}')
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
