"""The rows of the table of user cases in docs/training.md, each made and run as written there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
import re
import shlex

import cv2
from mafs_model.errors import DatasetError
from mafs_training.class_tables import choose_classes
from mafs_training.cli import main_data, main_train
from mafs_training.datasets.layouts import layout_classes
from mafs_training.datasets.spec import parse_source
from mafs_training.datasets.store import load_sources, PairStore
from mafs_training.options import JointConfig
import numpy as np
import pytest

TINY = '{widths: [16, 24, 32, 48], segmentation_width: 32, fusion_width: 16, modulation_width: 16}'
DOCUMENT = Path(__file__).parents[2] / 'docs' / 'training.md'
SIZE = (48, 64)
RNG = np.random.default_rng(11)
GREY = RNG.integers(0, 255, SIZE, dtype=np.uint8)
COLOUR = RNG.integers(0, 255, (*SIZE, 3), dtype=np.uint8)
RAMP = np.tile(np.linspace(0, 255, SIZE[1]).astype(np.uint8), (SIZE[0], 1))


def rows() -> dict[str, str]:
    """Return what stands in the table: the source or command of each issue."""
    text = DOCUMENT.read_text(encoding='utf-8')
    table = text.partition('<!-- cases -->')[2].partition('<!-- /cases -->')[0]
    cells = [line.split(' | ') for line in table.splitlines() if line.startswith('| ')]
    return {row[0].removeprefix('| '): row[2].strip('`') for row in cells[1:]}


ROWS = rows()


class Case:
    """One row: a folder to fill, and what stands in the table with that folder."""

    def __init__(self, issue: str, root: Path, capsys) -> None:
        self.root, self.capsys = root, capsys
        self.text = re.sub(r'PATH\b', str(root), ROWS[issue])

    def write(self, name: str, image: np.ndarray) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), image)

    def pair(self, visible='vi/a.png', thermal='ir/a.png', label=None, folder='label') -> None:
        """Write a pair, and labels where there are any."""
        self.write(visible, COLOUR)
        self.write(thermal, GREY)
        if label is not None:
            self.write(f'{folder}/a.png', label)

    def load(self) -> PairStore:
        """Read the source as training does."""
        config = JointConfig()
        config.data.train = [self.text]
        classes = choose_classes(config)
        return load_sources([self.text], len(classes), classes.ignore_index)

    def run(self) -> tuple[int, str]:
        """Run the command; return its code and what it said."""
        program, *words = shlex.split(self.text)
        code = {'mafs-data': main_data, 'mafs-train': main_train}[program](words)
        said = self.capsys.readouterr()
        return code, said.out + said.err


CASES: dict[str, Callable[[Case], None]] = {}


def case(issue: str) -> Callable[[Callable[[Case], None]], Callable[[Case], None]]:
    def add(function: Callable[[Case], None]) -> Callable[[Case], None]:
        CASES[issue] = function
        return function

    return add


def test_every_row_has_a_test():
    assert list(ROWS) == list(CASES)
    assert len(ROWS) >= 20
    assert all(re.fullmatch(r'[\w.-]+/[\w.-]+#\d+', issue) for issue in ROWS)


@pytest.mark.parametrize('issue', CASES)
def test_row(issue, tmp_path, capsys):
    CASES[issue](Case(issue, tmp_path, capsys))


def values(highest: int) -> np.ndarray:
    label = RNG.integers(0, highest + 1, SIZE, dtype=np.uint8)
    label[0, :2] = (0, highest)
    return label


@case('kw717/SGFNet#4')
def pst900(case: Case) -> None:
    case.pair('train/rgb/a.png', 'train/thermal/a.png', values(4), 'train/labels')
    assert layout_classes(parse_source(case.text)) == 'pst900'
    assert case.load().labelled == [0]
    case.write('train/labels/a.png', values(5))
    with pytest.raises(DatasetError, match=r'label value\(s\) \[5\] outside the 5 classes'):
        case.load()


@case('JinyuanLiu-CV/SegMiF#10')
def fmb(case: Case) -> None:
    case.pair('train/Visible/a.png', 'train/Infrared/a.png', values(14), 'train/Label')
    assert case.load().pairs[0].label.max() == 14


@case('LiJiahang617/Road-Former#5')
def fmb_without_background(case: Case) -> None:
    label = values(8)
    case.pair('train/Visible/a.png', 'train/Infrared/a.png', label, 'train/Label')
    found = case.load().pairs[0].label
    assert (found[label == 0] == 255).all()
    assert np.array_equal(found[label > 0], label[label > 0])


@case('Linfeng-Tang/SeAFusion#13')
def four_channels(case: Case) -> None:
    case.write('images/a.png', np.dstack([COLOUR, GREY]))
    case.write('labels/a.png', values(8))
    (case.root / 'train.txt').write_text('a\n')
    (case.root / 'test.txt').write_text('')
    (case.root / 'val.txt').write_text('')
    pair = case.load().pairs[0]
    assert np.array_equal(pair.thermal, GREY)
    assert np.array_equal(pair.visible, COLOUR[..., ::-1])


@case('kw717/SGFNet#1')
def endings(case: Case) -> None:
    label = values(8)
    case.pair('seperated_images/a_rgb.png', 'seperated_images/a_th.png', label, 'labels')
    pair = case.load().pairs[0]
    assert (pair.name, np.array_equal(pair.label, label)) == ('a', True)
    assert np.array_equal(pair.thermal, GREY)


@case('DocF/multispectral-object-detection#63')
def flir(case: Case) -> None:
    case.pair('JPEGImages/FLIR_1_RGB.jpg', 'JPEGImages/FLIR_1_PreviewData.jpeg')
    assert [pair.name for pair in case.load().pairs] == ['FLIR_1']


@case('Linfeng-Tang/SeAFusion#12')
def three_equal_channels(case: Case) -> None:
    case.pair('train/vi/a.png', 'train/ir/a.png')
    case.write('train/ir/a.png', np.dstack([GREY] * 3))
    assert np.array_equal(case.load().pairs[0].thermal, GREY)


@case('chen-judge/RGBTCrowdCounting#13')
def false_colours(case: Case) -> None:
    case.pair()
    case.write('ir/a.png', cv2.applyColorMap(RAMP, cv2.COLORMAP_INFERNO))
    found = case.load().pairs[0].thermal
    assert np.corrcoef(found.ravel(), RAMP.ravel())[0, 1] > 0.99
    case.write('ir/a.png', COLOUR)
    with pytest.raises(DatasetError, match='no known palette, expected grey levels'):
        case.load()


@case('UkcheolShin/MS2-MultiSpectralStereoDataset#1')
def counts(case: Case) -> None:
    case.pair()
    case.write('ir/a.png', 29000 + RAMP.astype(np.uint16))
    found = case.load().pairs[0].thermal
    assert (found.min(), found.max()) == (0, 255)


@case('LiheYoung/UniMatch#29')
def masks(case: Case) -> None:
    case.pair(label=np.where(RAMP > 128, 255, 0).astype(np.uint8))
    with pytest.raises(DatasetError, match=r'masks, expected class ids; \?map=255:1'):
        case.load()


@case('milesial/Pytorch-UNet#375')
def mapped_masks(case: Case) -> None:
    case.pair(label=np.where(RAMP > 128, 255, 0).astype(np.uint8))
    assert np.array_equal(case.load().pairs[0].label, RAMP > 128)


@case('bubbliiiing/segformer-pytorch#13')
def from_one(case: Case) -> None:
    label = values(8) + np.uint8(1)
    case.pair(label=label)
    assert np.array_equal(case.load().pairs[0].label, label - 1)


@case('open-mmlab/mmsegmentation#962')
def background_left_out(case: Case) -> None:
    label = values(9)
    case.pair(label=label)
    found = case.load().pairs[0].label
    assert np.array_equal(found, np.where(label == 0, 255, label - 1))


@case('DrSleep/tensorflow-deeplab-resnet#43')
def palette_labels(case: Case) -> None:
    pillow = pytest.importorskip('PIL.Image')
    label = values(8)
    case.pair()
    image = pillow.fromarray(label, mode='P')
    image.putpalette([*range(200, 206)] * 128)
    (case.root / 'label').mkdir()
    image.save(case.root / 'label' / 'a.png')
    assert np.array_equal(case.load().pairs[0].label, label)


@case('sud0301/semisup-semseg#7')
def half_size(case: Case) -> None:
    label = values(8)
    case.pair(label=label[::2, ::2])
    assert np.array_equal(case.load().pairs[0].label[::2, ::2], label[::2, ::2])


@case('Linfeng-Tang/SeAFusion#8')
def black_labels(case: Case) -> None:
    label = np.zeros(SIZE, np.uint8)
    label[:12] = 1
    case.pair('train/vi/a.png', 'train/ir/a.png', label, 'train/Segmentation_labels')
    code, said = case.run()
    assert code == 0
    assert 'car 25.00 %' in said


@case('Linfeng-Tang/SeAFusion#49')
def other_names(case: Case) -> None:
    case.pair('train/vi/b.png', 'train/ir/b.png', values(8), 'train/Segmentation_labels')
    code, said = case.run()
    assert code == 1
    assert 'folder of labels: b\n' in said
    assert 'labels without image: a\n' in said


@case('UkcheolShin/ThermalMonoDepth#2')
def exchanged(case: Case) -> None:
    case.pair('ir/a.png', 'vi/a.png')
    code, said = case.run()
    assert code == 1
    assert 'swapped?: a' in said


@case('Linfeng-Tang/PSFusion#11')
def less_resolution(case: Case) -> None:
    case.pair()
    case.write('ir/a.png', GREY[::2, ::2])
    assert case.load().pairs[0].thermal.shape == SIZE


@case('wdhudiekou/UMF-CMGR#14')
def another_ratio(case: Case) -> None:
    case.pair()
    case.write('ir/a.png', GREY[:, :48])
    with pytest.raises(DatasetError, match='48x48, its visible partner 64x48: the pair is not'):
        case.load()


@case('huaaaliu/RGBX_Semantic_Segmentation#14')
def listed(case: Case) -> None:
    for name in 'abc':
        case.write(f'RGB/{name}.jpg', COLOUR)
        case.write(f'Modal/{name}.png', GREY)
        case.write(f'Label/{name}.png', values(8))
    (case.root / 'train.txt').write_text('RGB/c.jpg Label/c.png\nRGB/a.jpg Label/a.png\n')
    store = case.load()
    assert [pair.name for pair in store.pairs] == ['c', 'a']
    assert store.labelled == [0, 1]


@case('CXH-Research/IRFormer#1')
def own_folders(case: Case) -> None:
    case.pair('vis_img/a.png', 'ir_img/a.png')
    assert len(case.load()) == 1


@case('Nithin-GK/T2V-DDPM#5')
def short_folders(case: Case) -> None:
    case.pair('VIS/1.jpg', 'TH/1.jpg')
    assert [pair.name for pair in case.load().pairs] == ['1']


@case('wdhudiekou/UMF-CMGR#10')
def roadscene(case: Case) -> None:
    case.pair('crop_LR_visible/a.jpg', 'cropinfrared/a.jpg')
    case.write('infrared/a.jpg', COLOUR)
    assert len(case.load()) == 1


@case('OnderT/XoFTR#14')
def nested(case: Case) -> None:
    for folder in ('set00/V000', 'set00/V001', 'set06/V000'):
        case.pair(f'{folder}/visible/I0.jpg', f'{folder}/lwir/I0.jpg')
    names = [pair.name for pair in case.load().pairs]
    assert names == ['set00/V000/I0', 'set00/V001/I0', 'set06/V000/I0']


@case('sejong-rcv/INSANet#7')
def llvip(case: Case) -> None:
    case.pair('visible/train/1.jpg', 'infrared/train/1.jpg')
    case.pair('visible/test/2.jpg', 'infrared/test/2.jpg')
    store = case.load()
    assert ([pair.name for pair in store.pairs], store.labelled) == (['1'], [])


@case('LidongWang-26/DiffV2IR#7')
def blocks(case: Case) -> None:
    for name in ('0099', '0100', '0199', '0200'):
        case.pair(f'Vis/{name}.png', f'Ir/{name}.png')
    assert [pair.name for pair in case.load().pairs] == ['0099', '0200']


def write_film(path: Path, images: list[np.ndarray], rate: int) -> None:
    av = pytest.importorskip('av')
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('mpeg4', rate=rate)
        stream.height, stream.width = SIZE
        stream.pix_fmt, stream.bit_rate = 'yuv420p', 4_000_000
        for image in images:
            frame = av.VideoFrame.from_ndarray(image, format='rgb24')
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


@case('Robotics-BUT/Brno-Urban-Dataset#7')
def films(case: Case) -> None:
    """Films of one second: the grey of both tells the moment."""
    for name, rate in (('camera_left_front', 10), ('camera_ir', 30)):
        shades = [np.uint8(40 + 150 * n / rate) for n in range(rate)]
        tint = np.array([1, 1, 1] if name == 'camera_ir' else [1, 0.5, 0.25])
        images = [
            (np.full((*SIZE, 3), shade) * tint + 4 * (RAMP[..., None] % 2)).astype(np.uint8)
            for shade in shades
        ]
        write_film(case.root / f'{name}.mp4', images, rate)
    pairs = case.load().pairs
    assert len(pairs) == 10
    for pair in pairs:
        assert abs(float(pair.visible[..., 0].mean()) - float(pair.thermal.mean())) < 8
    case.text += '&every=4'
    assert [pair.name for pair in case.load().pairs] == [pairs[n].name for n in (0, 4, 8)]
    case.text += '&limit=2'
    assert [pair.name for pair in case.load().pairs] == [pairs[n].name for n in (0, 8)]
    case.text = f'clip:{case.root}'
    with pytest.raises(DatasetError, match=r'no film of the visible camera, expected vi\.mp4'):
        case.load()


@case('NGCLAB/multi-spectral-dataset#2')
def bag(case: Case) -> None:
    pytest.importorskip('rosbags')
    from mafs_model.bags.reader import BagWriter

    with BagWriter(case.root / 'bag') as writer:
        for index in range(3):
            stamp = 1_700_000_000_000_000_000 + index * 100_000_000
            writer.write_image('/camera/image_raw', stamp, 'rgb', COLOUR, 'rgb8', stamp)
            counts = 29000 + RAMP.astype(np.uint16)
            writer.write_image('/optris/thermal_image', stamp, 'ir', counts, 'mono16', stamp)
    store = case.load()
    assert [pair.name[-10:] for pair in store.pairs] == ['0000000000', '0100000000', '0200000000']
    assert np.array_equal(store.pairs[0].visible, COLOUR)
    assert store.pairs[0].thermal.max() == 255
    case.text += '?labels=mine'
    with pytest.raises(DatasetError, match="labels='mine': a recording has no labels"):
        case.load()


@case('Linfeng-Tang/PSFusion#23')
def no_labels(case: Case) -> None:
    case.pair()
    case.text += f' --dry-run --data.val [] --model.overrides {shlex.quote(TINY)}'
    code, said = case.run()
    assert code == 0, said
    assert 'dry run of ssvif: 4 steps' in said
    case.text = f'mafs-train joint --dry-run --data.train [{case.root}]'
    code, said = case.run()
    assert code == 2
    assert 'none of 1 pairs has a label to learn the classes from' in said


@case('tthinking/DATFuse#8')
def windows(case: Case) -> None:
    with pytest.raises(DatasetError, match=r'generic:Q:\\data: no such folder'):
        case.load()
