"""What people give to ``mafs fuse``: every row of the table in docs/fuse.md is a test here."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import json
from pathlib import Path
import re
import socket
import threading
import time

import av
import cv2
from mafs_model.cli import main
from mafs_model.images.image_files import read_visible, write_png
import numpy as np
from PIL import Image, ImageOps
import pytest

ROOT = Path(__file__).resolve().parents[2]
BASE = ('--weights', 'classical', '--device', 'cpu')


def picture(seed: int, size=(96, 128)):
    """Return a colour picture uint8 [H,W,3], smooth, brighter with the seed."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    return cv2.add(cv2.GaussianBlur(noise, (7, 7), 2) // 2, 10 * (seed % 10))


def heat(seed: int, size=(48, 64)):
    """Return a thermal image uint16 [h,w] in hundredths of a kelvin."""
    rng = np.random.default_rng(100 + seed)
    noise = cv2.GaussianBlur(rng.integers(0, 256, size, dtype=np.uint8), (7, 7), 2)
    return noise.astype(np.uint16) * 10 + 28000 + 100 * seed


def write_film(path, images, rate=10, codec='ffv1', pixels='bgr0', source='rgb24'):
    with av.open(str(path), 'w') as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = pixels
        for image in images:
            frame = av.VideoFrame.from_ndarray(image, format=source)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.fixture
def data(tmp_path):
    """Return a folder with vi/{1,2,10}.png and ir/{1,2,10}.tiff."""
    (tmp_path / 'ir').mkdir()
    for index in (1, 2, 10):
        write_png(tmp_path / 'vi' / f'{index}.png', picture(index))
        cv2.imwrite(str(tmp_path / 'ir' / f'{index}.tiff'), heat(index))
    return tmp_path


@pytest.fixture
def fuse(tmp_path, capsys):
    """Return a function that runs the command and returns exit code, report and stderr."""

    def run(*arguments, out='out'):
        words = [str(a) for a in arguments]
        try:
            code = main(['fuse', *words, '--out', str(tmp_path / out), '--json', *BASE])
        except SystemExit as end:
            code = end.code
        captured = capsys.readouterr()
        report = json.loads(captured.out) if captured.out.strip() else {}
        assert 'Traceback' not in captured.err
        return code, report, captured.err

    return run


def names(folder):
    return sorted(p.stem for p in (folder / 'out' / 'fused').iterdir())


def refused(result, *words):
    code, report, err = result
    assert code == 2, err
    assert not report
    assert len([x for x in err.splitlines() if x.strip()]) == 1, err
    for word in words:
        assert word in err


def test_01_two_pictures(data, fuse):
    thermal = heat(1)
    forms = {
        'a.png': thermal, 'a.tiff': thermal, 'b.tif': thermal.astype(np.float32) / 100,
        'a.pgm': thermal, 'a.jpg': (thermal >> 7).astype(np.uint8),
        'a.bmp': (thermal >> 7).astype(np.uint8), 'a.webp': (thermal >> 7).astype(np.uint8),
    }  # fmt: skip
    for index, (name, image) in enumerate(forms.items()):
        assert cv2.imwrite(str(data / name), image), name
        code, report, err = fuse(
            '--rgb', data / 'vi/1.png', '--thermal', data / name, out=f'out{index}'
        )
        assert (code, report['pairs']) == (0, 1), err
        assert read_visible(data / f'out{index}/fused/1.png').shape == (96, 128, 3)


def test_02_two_folders(data, fuse):
    write_png(data / 'vi' / 'alone.png', picture(3))
    code, report, err = fuse('--rgb', data / 'vi', '--thermal', data / 'ir')
    assert code == 1
    assert report['pairs'] == 3
    assert report['left_out'] == [
        f"visible '{data / 'vi/alone.png'}': no thermal file of the same name"
    ]
    assert 'alone.png' in err
    assert names(data) == ['1', '10', '2']


@pytest.mark.parametrize(
    ('visible', 'thermal'), [('FLIR_{}_RGB', 'FLIR_{}_IR'), ('DJI_{}_W', 'DJI_{}_T')]
)
def test_03_words_of_the_cameras(data, fuse, visible, thermal):
    for index in (1, 2):
        (data / f'vi/{index}.png').rename(data / f'vi/{visible.format(index)}.png')
        (data / f'ir/{index}.tiff').rename(data / f'ir/{thermal.format(index)}.tiff')
    (data / 'vi/10.png').unlink()
    (data / 'ir/10.tiff').unlink()
    code, report, _ = fuse('--rgb', data / 'vi', '--thermal', data / 'ir')
    assert (code, report['pairs'], report['left_out']) == (0, 2, [])


@pytest.mark.parametrize(('one', 'other'), [('vi', 'ir'), ('rgb', 'thermal'), ('RGB', 'LWIR')])
def test_04_one_folder_with_subfolders(data, fuse, one, other):
    (data / 'both').mkdir()
    (data / 'vi').rename(data / 'both' / one)
    (data / 'ir').rename(data / 'both' / other)
    code, report, err = fuse(data / 'both')
    assert (code, report['pairs']) == (0, 3), err


def test_05_one_folder_with_words(data, fuse):
    both = data / 'both'
    for index in (1, 2):
        write_png(both / f'{index}_rgb.png', picture(index))
        cv2.imwrite(str(both / f'{index}_th.tiff'), heat(index))
    code, report, err = fuse(both)
    assert (code, report['pairs']) == (0, 2), err
    assert names(data) == ['1', '2']
    refused(fuse(data / 'ir', out='o2'), 'no subfolders vi/ and ir/')


def test_06_pair_pattern(data, fuse):
    both = data / 'x y'
    for index in (1, 2):
        write_png(both / f'a{index}_rgb.png', picture(index))
        cv2.imwrite(str(both / f'a{index}_th.tiff'), heat(index))
    write_png(both / 'a3_rgb.png', picture(3))
    code, report, err = fuse('--pair', f'{both}/*_rgb.*:{both}/*_th.*')
    assert (code, report['pairs']) == (1, 2), err
    assert names(data) == ['a1', 'a2']
    assert 'a3_rgb.png' in report['left_out'][0]
    refused(fuse('--pair', f'{both}/*_rgb.*'), 'two patterns joined by a colon')
    refused(fuse('--pair', f'{both}/*_rgb.*:{both}/th.tiff'), 'the same number')
    refused(fuse('--pair', f'{both}/*_no.*:{both}/*_th.*'), 'no image file matches')


def test_07_patterns(data, fuse):
    code, report, err = fuse('--rgb', data / 'vi/*.png', '--thermal', data / 'i?/*.tiff')
    assert (code, report['pairs']) == (0, 3), err
    assert names(data) == ['1', '10', '2']


def test_08_lists(data, fuse):
    visible = [data / f'vi/{i}.png' for i in (1, 2)]
    thermal = [data / f'ir/{i}.tiff' for i in (2, 10)]
    code, report, err = fuse('--rgb', *visible, '--thermal', *thermal)
    assert (code, report['pairs']) == (0, 2), err
    refused(
        fuse('--rgb', *visible, '--thermal', thermal[0]), '--rgb names 2 files and --thermal 1'
    )


@pytest.mark.parametrize('option', ['--rgb', '--thermal'])
def test_09_one_camera(data, fuse, option):
    code, report, err = fuse(option, data / ('vi' if option == '--rgb' else 'ir'))
    assert (code, report['pairs']) == (0, 3), err


@pytest.mark.parametrize('orientation', range(1, 9))
def test_10_exif(data, fuse, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = data / 'phone.jpg'
    Image.fromarray(picture(1)).save(path, exif=exif, quality=95, subsampling=0)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(path)))
    image = read_visible(path)
    assert image.shape == upright.shape
    assert np.abs(image.astype(int) - upright).mean() < 1.5
    code, _, err = fuse('--rgb', path)
    assert code == 0, err
    assert read_visible(data / 'out/fused/phone.png').shape == upright.shape


@pytest.mark.parametrize('form', ['jpg', 'png', 'webp', 'tiff'])
def test_10_damaged_exif_counts_as_upright(form, tmp_path):
    from mafs_model.images.orientation import read_orientation

    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(picture(1)).save(tmp_path / f'a.{form}', exif=exif)
    data = (tmp_path / f'a.{form}').read_bytes()
    assert read_orientation(data) == 6
    for end in range(0, len(data), 7):
        assert read_orientation(data[:end]) in {1, 6}
    rng = np.random.default_rng(0)
    for _ in range(500):
        changed = bytearray(data)
        for place in rng.integers(0, min(len(data), 300), 5):
            changed[place] = rng.integers(0, 256)
        assert 1 <= read_orientation(bytes(changed)) <= 8


@pytest.mark.parametrize('kind', [np.float64, np.float32, np.uint16, np.int32, np.int16])
def test_11_npy(data, fuse, kind):
    np.save(data / 't.npy', (heat(1).astype(float) / 100 - 273.15).astype(kind))
    code, report, err = fuse(
        '--rgb', data / 'vi/1.png', '--thermal', data / 't.npy', '--thermal-scaling', 'minmax'
    )
    assert (code, report['pairs']) == (0, 1), err
    np.save(data / 'bad.npy', np.array(['a', 'b']))
    code, report, _ = fuse('--rgb', data / 'vi/1.png', '--thermal', data / 'bad.npy', out='o2')
    assert code == 1
    assert 'real numbers' in report['left_out'][0]
    np.save(data / 'evil.npy', np.array([{}], dtype=object), allow_pickle=True)
    code, report, _ = fuse('--rgb', data / 'vi/1.png', '--thermal', data / 'evil.npy', out='o3')
    assert code == 1
    assert 'not an .npy of numbers' in report['left_out'][0]


@pytest.mark.parametrize(
    ('head', 'separator', 'comma'),
    [
        ('', ',', '.'),
        ('File;x.jpg\nEmissivity;0,95\n\n', ';', ','),
        ('', '\t', '.'),
        ('', ' ', '.'),
    ],
)
def test_12_csv(data, fuse, head, separator, comma):
    from mafs_model.sources import stills

    values = heat(1).astype(np.float32) / 100 - 273
    lines = (separator.join(f'{v:.2f}'.replace('.', comma) for v in row) for row in values)
    (data / 't.csv').write_text(head + '\n'.join(lines) + '\n')
    assert np.allclose(stills.read_thermal(data / 't.csv'), values, atol=0.006)
    code, report, err = fuse('--rgb', data / 'vi/1.png', '--thermal', data / 't.csv')
    assert (code, report['pairs']) == (0, 1), err
    (data / 'bad.csv').write_text('1,2,3\n1,2\n')
    code, report, _ = fuse('--thermal', data / 'bad.csv', out='o2')
    assert code == 1
    assert 'line 2 has 2 numbers, expected 3' in report['left_out'][0]


def test_13_palette(data, fuse):
    grey = cv2.normalize(heat(1), None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    cv2.imwrite(str(data / 'iron.png'), cv2.applyColorMap(grey, cv2.COLORMAP_JET))
    grey_visible = cv2.cvtColor(picture(1), cv2.COLOR_RGB2GRAY)
    cv2.imwrite(str(data / 'mono.png'), grey_visible)
    # A grey visible camera beside a colour-mapped thermal one is no swap.
    code, _, err = fuse('--rgb', data / 'mono.png', '--thermal', data / 'iron.png')
    assert code == 0, err


@pytest.mark.parametrize('suffix', ['mp4', 'avi', 'mkv', 'mov', 'gif'])
def test_14_videos(data, fuse, suffix):
    codec = {'gif': ('gif', 'rgb8'), 'mkv': ('ffv1', 'bgr0')}.get(suffix, ('mpeg4', 'yuv420p'))
    rgb = write_film(data / f'v.{suffix}', [picture(i) for i in range(5)], 10, *codec)
    heats = [heat(i) for i in range(5)]
    thermal = write_film(data / 't.mkv', heats, 10, 'ffv1', 'gray16le', 'gray16le')
    code, report, err = fuse('--rgb', rgb, '--thermal', thermal)
    assert (code, report['pairs']) == (0, 5), err
    assert names(data) == [f'frame_{i:06d}' for i in range(1, 6)]


def test_14_sixteen_bits_survive(data):
    from mafs_model.sources.opening import open_pairs, Request

    path = write_film(
        data / 't.mkv', [heat(i) for i in range(3)], 9, 'ffv1', 'gray16le', 'gray16le'
    )
    items = list(open_pairs(Request(thermal=[str(path)])))
    for index, item in enumerate(items):
        assert np.array_equal(item.read().thermal, heat(index))
    assert len(items) == 3


@pytest.mark.parametrize('layout', ['visible-left', 'thermal-left', 'visible-top', 'thermal-top'])
def test_15_side_by_side(data, fuse, layout):
    visible = picture(1)
    thermal = cv2.cvtColor(cv2.resize((heat(1) >> 7).astype(np.uint8), (128, 96)), 8)
    parts = [visible, thermal] if layout.startswith('visible') else [thermal, visible]
    both = np.concatenate(parts, axis=1 if layout.endswith('left') else 0)
    film = write_film(data / 'both.mkv', [both] * 3)
    code, report, err = fuse(film, '--layout', layout)
    assert (code, report['pairs']) == (0, 3), err
    code, _, _ = fuse('--rgb', write_png_of(data / 'a.png', visible), '--thermal',
                      write_png_of(data / 'b.png', thermal), out='o2')  # fmt: skip
    assert code == 0
    assert np.array_equal(
        read_visible(data / 'out/fused/frame_000001.png'), read_visible(data / 'o2/fused/a.png')
    )
    refused(fuse(film, out='o3'), '--layout says where it shows each camera')
    refused(fuse(film, '--layout', 'top', out='o3'), 'invalid choice')
    swapped = {'visible': 'thermal', 'thermal': 'visible'}
    side, where = layout.split('-')
    refused(fuse(film, '--layout', f'{swapped[side]}-{where}', out='o3'), 'swapped?')


def write_png_of(path, image):
    write_png(path, image)
    return path


def write_pages(path, images):
    pages = [Image.fromarray(i) for i in images]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    return path


def test_16_tiff_pages(data, fuse):
    pages = write_pages(data / 't.tiff', [heat(i) for i in (1, 2, 10)])
    code, report, err = fuse('--rgb', data / 'vi', '--thermal', pages)
    assert (code, report['pairs']) == (0, 3), err
    film = write_film(data / 'v.mkv', [picture(i) for i in range(5)])
    code, report, err = fuse('--rgb', film, '--thermal', pages, out='o2')
    assert (code, report['pairs']) == (1, 3), err
    assert 'visible' in report['left_out'][0]
    both = write_pages(data / 'v.tif', [picture(i) for i in range(3)])
    code, report, err = fuse('--rgb', both, '--thermal', pages, out='o3')
    assert (code, report['pairs']) == (0, 3), err


def test_17_stack(data, fuse):
    np.save(data / 't.npy', np.stack([heat(i) for i in (1, 2, 10)]).astype(np.float64) / 100)
    code, report, err = fuse('--rgb', data / 'vi', '--thermal', data / 't.npy')
    assert (code, report['pairs']) == (0, 3), err
    refused(fuse('--rgb', data / 't.npy', '--thermal', data / 'ir', out='o2'), 'swapped?')


class FakeCapture:
    """A webcam: colour, or 16-bit counts where they are asked for."""

    def __init__(self, target):
        self.opened = target in {0, '/dev/video2'}
        self.counts = False
        self.thermal = target != 0
        self.released = False

    def isOpened(self):  # noqa: N802 - OpenCV's name
        return self.opened

    def set(self, key, value):
        if key == cv2.CAP_PROP_FOURCC:
            self.counts = self.thermal and value == cv2.VideoWriter.fourcc(*'Y16 ')
        return True

    def get(self, key):
        return float(cv2.VideoWriter.fourcc(*('Y16 ' if self.counts else 'YUYV')))

    def read(self):
        time.sleep(0.01)
        return True, heat(1) if self.counts else picture(1)

    def release(self):
        self.released = True


def test_18_webcams(data, fuse, monkeypatch):
    monkeypatch.setattr('mafs_model.sources.live.cv2.VideoCapture', FakeCapture)
    code, report, err = fuse('--rgb', '0', '--thermal', '/dev/video2', '--frames', '3')
    assert (code, report['pairs']) == (0, 3), err
    refused(fuse('--rgb', '7', out='o2'), "visible '7': no such camera")
    refused(
        fuse('--rgb', '0', '--thermal', data / 'ir', out='o2'), 'together with one other camera'
    )


def test_18_ctrl_c_ends_a_recording(data, fuse, monkeypatch):
    monkeypatch.setattr('mafs_model.sources.live.cv2.VideoCapture', FakeCapture)
    from mafs_model.sinks.film import FilmSink

    write = FilmSink.write

    def interrupted(self, name, paint):
        write(self, name, paint)
        if name == 'frame_000004':
            raise KeyboardInterrupt

    monkeypatch.setattr(FilmSink, 'write', interrupted)
    code, report, err = fuse('--rgb', '0', out='live.mp4')
    assert code == 0, err
    assert report['files'] == [str(data / 'live.mp4')]
    with av.open(str(data / 'live.mp4')) as film:
        assert len(list(film.decode(video=0))) == 4


class Mjpeg(BaseHTTPRequestHandler):
    """A network camera with five images."""

    def do_GET(self):
        self.send_response(200)
        self.send_header('Content-Type', 'multipart/x-mixed-replace; boundary=x')
        self.end_headers()
        for index in range(5):
            body = cv2.imencode('.jpg', picture(index))[1].tobytes()
            head = f'--x\r\nContent-Type: image/jpeg\r\nContent-Length: {len(body)}\r\n\r\n'
            self.wfile.write(head.encode() + body + b'\r\n')
            self.wfile.flush()
            time.sleep(0.05)

    def log_message(self, *unused):
        """Stay quiet."""


def test_19_streams(fuse):
    server = ThreadingHTTPServer(('127.0.0.1', 0), Mjpeg)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f'http://me:secret@127.0.0.1:{server.server_port}/live'
        code, report, err = fuse('--rgb', address, '--frames', '2')
    finally:
        server.shutdown()
        server.server_close()
    assert (code, report['pairs']) == (0, 2), err
    assert 'secret' not in err


def test_20_silence(fuse):
    with socket.create_server(('127.0.0.1', 0)) as listener:
        port = listener.getsockname()[1]
        start = time.monotonic()
        result = fuse('--rgb', f'rtsp://me:secret@127.0.0.1:{port}/a', '--timeout', '1')
        elapsed = time.monotonic() - start
    refused(result, "visible 'rtsp://***@127.0.0.1")
    assert elapsed < 15
    refused(fuse('--rgb', 'ftp://x/y'), 'expected an address that begins with rtsp://')


def test_21_the_same_twice(data, fuse, monkeypatch):
    (data / 'link').symlink_to(data / 'vi')
    refused(fuse('--rgb', data / 'vi', '--thermal', data / 'link'), 'the same folder')
    refused(fuse('--rgb', data / 'vi/1.png', '--thermal', data / 'vi/../vi/1.png'), 'same file')
    refused(fuse('--rgb', '0', '--thermal', '0'), 'the same camera')


def test_22_a_copy(data, fuse):
    write_png(data / 'copy' / '1.png', read_visible(data / 'vi/1.png'))
    arguments = ('--rgb', data / 'vi/1.png', '--thermal', data / 'copy/1.png')
    refused(fuse(*arguments), 'the same picture', '--unchecked')
    assert fuse(*arguments, '--unchecked')[0] == 0


def test_23_swapped(data, fuse):
    refused(fuse('--rgb', data / 'ir', '--thermal', data / 'vi'), 'by their names', 'swapped')
    (data / 'vi').rename(data / 'a')
    (data / 'ir').rename(data / 'b')
    code, report, _ = fuse('--rgb', data / 'b', '--thermal', data / 'a')
    assert code == 1
    assert all('16-bit' in line and 'swapped?' in line for line in report['left_out'])
    grey = cv2.normalize(heat(1), None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    write_png(data / 'grey.png', grey)
    arguments = ('--rgb', data / 'grey.png', '--thermal', data / 'a/1.png')
    refused(fuse(*arguments, out='o2'), 'a colour photograph', 'swapped?')
    assert fuse(*arguments, '--unchecked', out='o2')[0] == 0


def test_24_file_and_folder(data, fuse):
    refused(fuse('--rgb', data / 'vi/1.png', '--thermal', data / 'ir'), 'the other a folder')


def test_25_nothing(data, fuse):
    refused(fuse('--rgb', data / 'no'), 'no such file or folder')
    refused(fuse('--rgb', data / 'no*.png'), 'no image file matches')
    refused(fuse('--rgb', ''), 'expected an image')
    refused(fuse('--rgb', 'x' * 5000), 'no such file or folder')
    refused(fuse(), 'no input')
    (data / 'empty').mkdir()
    code, report, err = fuse('--rgb', data / 'empty')
    assert (code, report['pairs']) == (1, 0)
    assert 'no image files found' in err


def test_26_damaged_among_good(data, fuse):
    path = data / 'vi/2.png'
    path.write_bytes(path.read_bytes()[:-100])
    (data / 'ir/1.tiff').write_bytes(b'II*\x00 no picture')
    code, report, _ = fuse('--rgb', data / 'vi', '--thermal', data / 'ir')
    assert (code, report['pairs'], len(report['left_out'])) == (1, 1, 2)
    assert names(data) == ['10']


def test_27_video_breaks_off(data, fuse):
    rng = np.random.default_rng(1)
    images = [rng.integers(0, 256, (96, 128, 3), dtype=np.uint8) for _ in range(30)]
    film = write_film(data / 'v.mkv', images, codec='mpeg4', pixels='yuv420p')
    content = bytearray(film.read_bytes())
    content[len(content) // 2 :] = b'\0' * (len(content) - len(content) // 2)
    film.write_bytes(bytes(content))
    code, report, err = fuse('--rgb', film)
    assert 0 < report['pairs'] < 30, err
    assert code in {0, 1}
    (data / 'short.mp4').write_bytes(b'\0\0\0\x18ftypmp42' + b'\0' * 200)
    refused(fuse('--rgb', data / 'short.mp4', out='o2'), 'video')


@pytest.mark.parametrize(
    ('name', 'advice'),
    [
        ('drive.mcap', 'mafs-eval bag'), ('all.zip', 'unpack'), ('IMG_1.HEIC', 'convert'),
        ('a.dng', 'convert'), ('x.seq', 'multi-page TIFF'), ('x.mat', '.npy'),
        ('t.xlsx', '.csv'),
    ],
)  # fmt: skip
def test_28_elsewhere(data, fuse, name, advice):
    (data / name).write_bytes(b'something')
    refused(fuse('--rgb', data / name), advice)


def test_29_something_else(data, fuse):
    (data / 'notes.txt').write_text('hello')
    refused(fuse('--rgb', data / 'notes.txt'), 'not recognised')
    (data / 'vi/1.png').rename(data / 'x.mp4')
    code, _, err = fuse('--rgb', data / 'x.mp4')
    # FFmpeg reads a PNG as a film of one image, whatever its name; a text it does not.
    assert code in {0, 2}, err
    (data / 'y.mp4').write_text('hello')
    refused(fuse('--rgb', data / 'y.mp4', out='o2'), 'cannot be opened as video')


def test_30_no_suffix(data, fuse):
    (data / 'vi/1.png').rename(data / 'photo')
    code, report, err = fuse('--rgb', data / 'photo', '--thermal', data / 'ir/1.tiff')
    assert (code, report['pairs']) == (0, 1), err


def test_31_two_ways(data, fuse):
    refused(fuse(data, '--rgb', data / 'vi'), 'expected one of them')
    refused(fuse('--rgb', data / 'vi', '--layout', 'visible-left'), '--layout is for one input')
    refused(fuse('--pair', 'a*:b*', '--thermal', data / 'ir'), 'expected one of them')


def test_32_different_rates(data):
    from mafs_model.sources.opening import open_pairs, Request

    rgb = write_film(data / 'v.mkv', [picture(i) for i in range(30)], 30)
    thermal = write_film(
        data / 't.mkv', [np.full((48, 64), 1000 * i, np.uint16) for i in range(9)], 9, 'ffv1',
        'gray16le', 'gray16le',
    )  # fmt: skip
    found = [
        int(item.read().thermal[0, 0]) // 1000
        for item in open_pairs(Request([str(rgb)], [str(thermal)], unchecked=True))
    ]
    assert len(found) >= 28
    for number, index in enumerate(found):
        best = min(abs(k / 9 - number / 30) for k in range(9))
        assert abs(index / 9 - number / 30) <= best + 0.002  # MKV counts in milliseconds
    short = write_film(
        data / 's.mkv', [np.full((48, 64), 1000, np.uint16)] * 3, 9, 'ffv1', 'gray16le', 'gray16le'
    )
    count = len(list(open_pairs(Request([str(rgb)], [str(short)], unchecked=True))))
    assert 10 <= count <= 12  # three ninths of a second, and a period that the last one serves


def test_33_radiometric_jpeg(data, fuse, monkeypatch):
    folder = data / 'flir'
    folder.mkdir()
    for index in (1, 2):
        jpeg = cv2.imencode('.jpg', picture(index))[1].tobytes()
        mark = b'FLIR\x00' + b'\x00' * 20
        segment = b'\xff\xe1' + (len(mark) + 2).to_bytes(2, 'big') + mark
        (folder / f'FLIR{index}.jpg').write_bytes(jpeg[:2] + segment + jpeg[2:])
    # What is inside is for the library flyr; here it is told.
    where = 'mafs_model.images.image_files'
    monkeypatch.setattr(f'{where}.read_embedded_visible', lambda data: picture(1))
    celsius = heat(1).astype(np.float32) / 100 - 273
    monkeypatch.setattr(f'{where}.read_radiometric', lambda data, maker: celsius)
    ways = ([folder], [folder / 'FLIR1.jpg'], [f'{folder}/*.jpg'])
    twice = ['--rgb', folder, '--thermal', folder]
    for number, way in enumerate((*ways, twice)):
        code, report, err = fuse(*way, out=f'o{number}')
        assert (code, report['pairs']) == (0, 1 if number == 1 else 2), err
    fuse('--rgb', write_png_of(data / 'v.png', picture(1)), '--thermal', save(data, celsius))
    expected = read_visible(data / 'out/fused/v.png')
    assert np.array_equal(read_visible(data / 'o1/fused/FLIR1.png'), expected)


def save(folder, array):
    np.save(folder / 'celsius.npy', array)
    return folder / 'celsius.npy'


def test_the_table_in_the_document_has_these_rows():
    text = (ROOT / 'docs' / 'fuse.md').read_text(encoding='utf-8')
    rows = {int(n) for n in re.findall(r'^\| (\d+) \|', text, re.MULTILINE)}
    tests = {int(m[1]) for name in globals() if (m := re.match(r'test_(\d\d)_', name))}
    assert rows == tests
    assert len(rows) >= 30
