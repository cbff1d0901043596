"""``mafs view``: the pictures follow the settings, and strangers are kept out."""

from __future__ import annotations

import base64
from contextlib import closing, contextmanager
import http.client
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import cv2
from mafs_model.classes import ClassTable
from mafs_model.cli import main
from mafs_model.errors import ConfigError
from mafs_model.images.image_files import write_png
from mafs_model.prediction import Prediction
from mafs_model.predictor import Predictor, Result
from mafs_model.sources.items import Images
from mafs_model.sources.opening import open_pairs, Request
from mafs_model.view.server import MAX_BODY_BYTES, MAX_STREAMS, ViewServer
from mafs_model.view.settings import SHOWN, ViewSettings
from mafs_model.view.viewer import paint, Viewer
import numpy as np
import pytest

RNG = np.random.default_rng(2)
DEADLINE_S = 60.0


@pytest.fixture
def data(tmp_path):
    for index in range(3):
        visible = cv2.GaussianBlur(RNG.integers(0, 256, (96, 128, 3), np.uint8), (9, 9), 3)
        heat = cv2.GaussianBlur(RNG.integers(0, 256, (48, 64), np.uint8), (5, 5), 2)
        write_png(tmp_path / 'vi' / f'{index}.png', visible)
        write_png(tmp_path / 'ir' / f'{index}.png', heat.astype(np.uint16) * 10 + 28000)
    return tmp_path


@pytest.fixture(scope='module')
def predictor(small_weights):
    with Predictor.create(small_weights, device='cpu', backend='torch', threads=1) as p:
        yield p


@pytest.fixture
def server(data, predictor):
    request = Request([str(data / 'vi')], [str(data / 'ir')])
    viewer = Viewer(predictor, lambda: open_pairs(request))
    viewer.change({'playing': False})
    with closing(viewer), ViewServer(viewer, port=0) as server:
        viewer.start()
        thread = threading.Thread(target=server.serve_forever, kwargs={'poll_interval': 0.05})
        thread.start()
        assert viewer.picture(0, DEADLINE_S) is not None
        yield server
        server.shutdown()
        thread.join()


def ask(server, method, path, body=None, headers=None):
    connection = http.client.HTTPConnection('127.0.0.1', server.server_port, timeout=DEADLINE_S)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def post(server, path, values):
    body = values if isinstance(values, bytes) else json.dumps(values).encode()
    return ask(server, 'POST', path, body, {'Content-Type': 'application/json'})


def picture_after(server, values, path='/settings'):
    """Return the first picture after a change."""
    before = server.viewer.state()['number']
    status, _, body = post(server, path, values)
    assert status == 200, body
    found = server.viewer.picture(before, DEADLINE_S)
    assert found is not None
    return cv2.imdecode(np.frombuffer(found[1], np.uint8), cv2.IMREAD_COLOR)


def test_every_picture_is_shown(server):
    sizes = {}
    for shown in SHOWN[::-1]:  # It begins with the panels, which are no change.
        sizes[shown] = picture_after(server, {'picture': shown}).shape[:2]
    assert sizes['fused'] == sizes['labels'] == sizes['colors'] == sizes['visible'] == (96, 128)
    assert sizes['panels'][1] == 256
    assert sizes['overlay'][0] > 96


def test_sliders_change_the_picture(server):
    clear = picture_after(server, {'picture': 'overlay', 'opacity': 0.0})
    full = picture_after(server, {'opacity': 1.0})
    assert np.abs(full.astype(int) - clear)[:96].mean() > 10
    dark = picture_after(server, {'picture': 'thermal', 'thermal_low': 45})
    bright = picture_after(server, {'thermal_low': 0, 'thermal_high': 55})
    assert bright.mean() > dark.mean() + 20


def test_least_confidence_leaves_doubtful_pixels_clear():
    classes = ClassTable.load('pst900')
    confidence = np.tile(np.array([[100, 200]], np.uint8), (32, 16))
    fused = np.full((32, 32, 3), 90, np.uint8)
    prediction = Prediction(fused, np.full((32, 32), 1, np.uint8), confidence, mode='fusion')
    result = Result(prediction, Images(fused, None), classes)
    settings = ViewSettings('overlay', opacity=1.0, min_confidence=0.5)
    picture = paint(result, settings)[:32]
    assert np.all(picture[:, ::2] == 90)
    assert np.all(picture[:, 1::2] == classes.palette[1])


def test_next_and_play_go_on(server):
    names = [server.viewer.state()['name']]
    for _ in range(3):
        picture_after(server, {}, '/next')
        names.append(server.viewer.state()['name'])
    assert names == ['0', '1', '2', '0']  # a folder starts over


def test_state_says_what_is_computed(server):
    status, headers, body = ask(server, 'GET', '/state')
    state = json.loads(body)
    assert status == 200
    assert headers['Content-Type'] == 'application/json'
    assert (state['device'], state['backend'], state['live']) == ('cpu', 'torch', False)
    assert sum(state['shares'].values()) == pytest.approx(1.0, abs=0.01)
    assert state['settings']['playing'] is False


def test_page_runs_only_its_own_script(server):
    status, headers, body = ask(server, 'GET', '/')
    assert status == 200
    policy = headers['Content-Security-Policy']
    nonce = policy.split("script-src 'nonce-")[1].split("'")[0]
    assert f'<script nonce="{nonce}">'.encode() in body
    assert b'NONCE' not in body
    assert b'http://' not in body
    assert b'https://' not in body
    assert nonce not in ask(server, 'GET', '/')[1]['Content-Security-Policy']


def test_stream_is_mjpeg(server):
    with socket.create_connection(('127.0.0.1', server.server_port), DEADLINE_S) as client:
        client.sendall(b'GET /stream HTTP/1.0\r\nHost: localhost\r\n\r\n')
        data = b''
        while data.count(b'--picture') < 2:
            piece = client.recv(65536)
            assert piece
            data += piece
    assert b'multipart/x-mixed-replace; boundary=picture' in data
    jpeg = data.split(b'\r\n\r\n', 2)[2].split(b'\r\n--picture')[0]
    assert cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR) is not None


def test_streams_are_limited(server):
    clients = []
    try:
        for _ in range(MAX_STREAMS):
            client = socket.create_connection(('127.0.0.1', server.server_port), DEADLINE_S)
            client.sendall(b'GET /stream HTTP/1.0\r\nHost: localhost\r\n\r\n')
            assert client.recv(12).endswith(b'200')
            clients.append(client)
        assert ask(server, 'GET', '/stream')[0] == 503
    finally:
        for client in clients:
            client.close()


@pytest.mark.parametrize(
    'values',
    [
        {'opacity': 2}, {'opacity': '1'}, {'opacity': True}, {'opacity': None}, {'wrong': 1},
        {'picture': 'x'}, {'picture': ['fused']}, {'playing': 1}, {'thermal_low': 60}, [1], 3,
        'x', None, b'{', b'\xff\xfe', b'{"opacity": NaN}', b'{"opacity": 1e999}', b'[' * 4000,
    ],
)  # fmt: skip
def test_wrong_settings_are_refused_in_one_line(server, values):
    before = server.viewer.state()['settings']
    status, _, body = post(server, '/settings', values)
    assert status == 400
    assert len(body.splitlines()) == 1
    assert b'expected' in body
    assert server.viewer.state()['settings'] == before


@pytest.mark.parametrize(
    ('method', 'path', 'body', 'headers', 'status'),
    [
        ('GET', '/', None, {'Host': 'evil.example'}, 403),
        ('GET', '/stream', None, {'Host': 'evil.example:80'}, 403),
        ('GET', '/', None, {'Host': '[::bad'}, 403),
        ('POST', '/settings', b'{}', {'Content-Type': 'application/json', 'Origin': 'null'}, 403),
        ('POST', '/settings', b'{}',
         {'Content-Type': 'application/json', 'Origin': 'http://evil.example'}, 403),
        ('POST', '/settings', b'opacity=1',
         {'Content-Type': 'application/x-www-form-urlencoded'}, 415),
        ('POST', '/settings', b'x' * (MAX_BODY_BYTES + 1),
         {'Content-Type': 'application/json'}, 413),
        ('POST', '/settings', b'', {'Content-Type': 'application/json', 'Content-Length': '-1'},
         413),
        ('POST', '/wrong', b'{}', {'Content-Type': 'application/json'}, 404),
        ('GET', '/../../etc/passwd', None, {}, 404),
        ('GET', '/page.html', None, {}, 404),
        ('PUT', '/settings', b'{}', {}, 501),
    ],
)  # fmt: skip
def test_strangers_are_kept_out(server, method, path, body, headers, status):
    assert ask(server, method, path, body, headers)[0] == status
    assert ask(server, 'GET', '/state')[0] == 200


def test_settings_take_exactly_their_range():
    settings = ViewSettings().changed({'opacity': 1, 'thermal_low': 0, 'thermal_high': 100.0})
    assert settings.opacity == 1
    with pytest.raises(ConfigError, match=r'opacity -0\.1: expected a number from 0 to 1'):
        settings.changed({'opacity': -0.1})


def test_a_damaged_picture_is_said_and_skipped(data, predictor):
    (data / 'vi/1.png').write_bytes(b'\x89PNG broken')
    viewer = Viewer(predictor, lambda: open_pairs(Request([str(data / 'vi')])))
    viewer.change({'playing': False})
    with closing(viewer):
        viewer.start()
        assert viewer.picture(0, DEADLINE_S) is not None
        number = viewer.state()['number']
        viewer.step()
        assert viewer.picture(number, DEADLINE_S) is not None
        assert "1.png'" in viewer.state()['problem']
        number = viewer.state()['number']
        viewer.step()
        assert viewer.picture(number, DEADLINE_S) is not None
        assert viewer.state()['problem'] == ''


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ((), 'no input'),
        (('--rgb', 'nowhere'), 'no such file'),
        (('--rgb', '.'), 'no image files found'),
        (('--port', '99999', '--rgb', 'vi', '--weights', 'classical'), '--port 99999'),
        (('--host', '256.1.1.1', '--rgb', 'vi', '--weights', 'classical'), 'cannot listen'),
        (('--prot', '1'), 'did you mean --port?'),
    ],
)
def test_wrong_usage_is_one_line(data, monkeypatch, capsys, options, message):
    monkeypatch.chdir(data)
    try:
        code = main(['view', '--device', 'cpu', *options])
    except SystemExit as end:
        code = end.code
    err = [x for x in capsys.readouterr().err.splitlines() if x.startswith('mafs')]
    assert code == 2
    assert len(err) == 1
    assert message in err[0]


# A first pair that takes half a minute in compiled code, as where OpenVINO compiles a network.
SLOW_INFERENCE = """
import ctypes, sys
from mafs_model.predictor import Predictor
def predict(self, *unused):
    print('computing', file=sys.stderr, flush=True)
    ctypes.CDLL(None).sleep(30)
Predictor.predict = predict
from mafs_model.cli import main
sys.exit(main())
"""


@contextmanager
def serving(data, *options, program=('-m', 'mafs_model.cli')):
    """Run the command as a process and yield it with the address it prints."""
    process = subprocess.Popen(
        [sys.executable, '-u', *program, 'view', '--rgb', str(data / 'vi'),
         '--thermal', str(data / 'ir'), '--device', 'cpu', '--port', '0', *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith('http://127.0.0.1:'), process.communicate(timeout=10)
        yield process, line.split()[0]
    finally:
        process.kill()
        process.communicate()


def test_ctrl_c_ends_it(data):
    with serving(data, '--weights', 'classical') as (process, _):
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 0, err
        assert 'Traceback' not in err


def test_ctrl_c_does_not_wait_for_a_slow_pair(data):
    with serving(data, '--weights', 'classical', program=('-c', SLOW_INFERENCE)) as (process, _):
        assert process.stderr is not None
        while 'computing' not in process.stderr.readline():
            assert process.poll() is None
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE_S) == 0
        assert time.monotonic() - start < 10.0


class Browser:
    """A headless Chromium, spoken to over pipes."""

    def __init__(self, binary, folder):
        to_read, self._write = os.pipe()
        self._read, to_write = os.pipe()

        def connect():
            os.dup2(to_read, 3)
            os.dup2(to_write, 4)

        self._process = subprocess.Popen(
            [binary, '--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage',
             '--remote-debugging-pipe', f'--user-data-dir={folder}', '--no-first-run'],
            preexec_fn=connect,  # noqa: PLW1509 - the pipes must have these numbers
            pass_fds=(3, 4, to_read, to_write),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._numbers = itertools.count(1)
        self._buffer = b''
        target = self.ask('Target.createTarget', {'url': 'about:blank'})['targetId']
        self._session = None
        self._session = self.ask('Target.attachToTarget', {'targetId': target, 'flatten': True})[
            'sessionId'
        ]

    def ask(self, method, parameters=None):
        number = next(self._numbers)
        message = {'id': number, 'method': method, 'params': parameters or {}}
        if getattr(self, '_session', None):
            message['sessionId'] = self._session
        os.write(self._write, json.dumps(message).encode() + b'\0')
        while True:
            while b'\0' not in self._buffer:
                piece = os.read(self._read, 1 << 20)
                assert piece, 'the browser has ended'
                self._buffer += piece
            text, _, self._buffer = self._buffer.partition(b'\0')
            answer = json.loads(text)
            if answer.get('id') == number:
                assert 'error' not in answer, answer
                return answer['result']

    def run(self, script):
        options = {'expression': script, 'returnByValue': True, 'awaitPromise': True}
        return self.ask('Runtime.evaluate', options)['result'].get('value')

    def wait(self, script):
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            if self.run(script):
                return
            time.sleep(0.1)
        raise AssertionError(f'never true: {script}')

    def close(self):
        self._process.kill()
        self._process.wait()


BROWSER = next(
    filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None
)
MEAN = """(() => {
  const image = document.getElementById('stream'), canvas = document.createElement('canvas');
  canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
  const context = canvas.getContext('2d');
  context.drawImage(image, 0, 0);
  const data = context.getImageData(0, 0, canvas.width, canvas.height).data;
  let sum = 0;
  for (let k = 0; k < data.length; k += 4) sum += data[k] + data[k + 1] + data[k + 2];
  return sum / (data.length / 4 * 3);
})()"""
SLIDE = """(() => {
  const slider = document.querySelector('[name=thermal_low]');
  slider.value = VALUE;
  slider.dispatchEvent(new Event('input', {bubbles: true}));
})()"""


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason='no Chromium on the PATH')
def test_in_a_browser_sliders_move_the_picture(data, server, tmp_path):
    server.viewer.change({'picture': 'thermal'})
    browser = Browser(BROWSER, tmp_path / 'profile')
    try:
        for width, height in ((1280, 800), (390, 844)):
            browser.ask(
                'Emulation.setDeviceMetricsOverride',
                {'width': width, 'height': height, 'deviceScaleFactor': 1, 'mobile': width < 500},
            )
            browser.ask('Page.navigate', {'url': server.url})
            browser.wait("!!document.getElementById('stream')?.naturalWidth")
            browser.wait("document.querySelector('[name=opacity] ') && "
                         "document.getElementById('shares').rows.length > 0")  # fmt: skip
            # Nothing is wider than the screen.
            assert browser.run('document.documentElement.scrollWidth') <= width
            means = []
            for value in (0, 45):
                number = server.viewer.state()['number']
                browser.run(SLIDE.replace('VALUE', str(value)))
                server.viewer.picture(number, 5.0)
                assert server.viewer.state()['settings']['thermal_low'] == value
                time.sleep(1.0)  # for the browser to draw it
                means.append(browser.run(MEAN))
            if 'MAFS_SCREENSHOTS' in os.environ:
                shot = base64.b64decode(browser.ask('Page.captureScreenshot')['data'])
                path = os.path.join(os.environ['MAFS_SCREENSHOTS'], f'view_{width}.png')
                with open(path, 'wb') as file:
                    file.write(shot)
            assert means[0] > means[1] + 5, means
    finally:
        browser.close()
