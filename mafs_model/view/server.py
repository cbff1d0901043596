"""The web server of ``mafs view``: a page, an endless JPEG stream, and settings."""

from __future__ import annotations

from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import ipaddress
import json
from pathlib import Path
import secrets
import threading
from typing import Any
from urllib.parse import urlsplit

from mafs_model.defaults import VIEW_HOST, VIEW_PORT
from mafs_model.errors import ConfigError, MafsError
from mafs_model.view.viewer import Viewer

MAX_BODY_BYTES = 4096
MAX_STREAMS = 8
_PAGE = Path(__file__).parent / 'page.html'
_WAIT_S = 2.0  # A stream repeats its picture after this long, so that a closed one is noticed.
_AGAIN_S = 0.1
_TIMEOUT_S = 30.0  # A client that takes nothing for this long is dropped.


class ViewServer(ThreadingHTTPServer):
    """
    Hands out the pictures of a viewer.

    Args:
        viewer: computes them.
        host: address to listen on.
        port: port, 0 for any.

    Raises:
        ConfigError: host or port cannot be used.

    """

    daemon_threads = True

    def __init__(self, viewer: Viewer, host: str = VIEW_HOST, port: int = VIEW_PORT) -> None:
        if not 0 <= port <= 65535:
            raise ConfigError(f'--port {port}: expected 0 to 65535')
        self.viewer = viewer
        self.host = host
        self.streams = threading.BoundedSemaphore(MAX_STREAMS)
        try:
            super().__init__((host, port), _Handler)
        except (OSError, UnicodeError) as error:
            raise ConfigError(f'{host}:{port}: cannot listen there: {error}') from None

    @property
    def url(self) -> str:
        """Return the address of the page."""
        return f'http://{self.host}:{self.server_port}/'

    def answers_to(self, name: str) -> bool:
        """
        Return whether a request was meant for this server.

        A page of somebody else can make a browser ask us under its own name (DNS rebinding), so
        that only addresses, ``localhost`` and the host that was named are answered.
        """
        host = (urlsplit(f'//{name}').hostname or '').lower()
        if host in {'localhost', self.host.lower()}:
            return True
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        return address.is_loopback or self.host in {'0.0.0.0', '::', ''}

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing about clients that have gone."""


class _Handler(BaseHTTPRequestHandler):
    """One request."""

    server: ViewServer
    timeout = _TIMEOUT_S
    server_version = 'mafs'
    sys_version = ''

    def do_GET(self) -> None:
        """Answer with the page, its state or pictures."""
        if not self._is_ours():
            return
        path = urlsplit(self.path).path
        if path == '/':
            self._send_page()
        elif path == '/state':
            self._send(json.dumps(self.server.viewer.state()).encode(), 'application/json')
        elif path == '/picture.jpg':
            found = self.server.viewer.picture(0, _WAIT_S)
            if found is None:
                self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, 'no picture yet')
            else:
                self._send(found[1], 'image/jpeg')
        elif path == '/stream':
            self._stream()
        else:
            self._refuse(HTTPStatus.NOT_FOUND, 'no such page')

    def do_POST(self) -> None:
        """Take settings, or go on to the next pair."""
        if not self._is_ours():
            return
        # Forms of other pages cannot send this type without asking first.
        if self.headers.get_content_type() != 'application/json':
            self._refuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, 'expected application/json')
            return
        length = self.headers.get('Content-Length', '')
        if not length.isascii() or not length.isdigit() or int(length) > MAX_BODY_BYTES:
            self._refuse(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f'expected at most {MAX_BODY_BYTES} bytes'
            )
            return
        body = self.rfile.read(int(length))
        try:
            self._act(urlsplit(self.path).path, json.loads(body or b'{}'))
        except MafsError as error:
            self._refuse(HTTPStatus.BAD_REQUEST, str(error))
        except (ValueError, RecursionError):
            self._refuse(HTTPStatus.BAD_REQUEST, 'expected JSON')

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - its name
        """Keep requests out of the terminal."""

    def _act(self, path: str, values: Any) -> None:
        """Do what a request asks for; raises ConfigError."""
        if path == '/settings':
            self.server.viewer.change(values)
        elif path == '/next':
            self.server.viewer.step()
        else:
            self._refuse(HTTPStatus.NOT_FOUND, 'no such page')
            return
        self._send(json.dumps(self.server.viewer.state()).encode(), 'application/json')

    def _is_ours(self) -> bool:
        """Return whether the request was meant for this server and comes from its page."""
        origin = self.headers.get('Origin')
        names = [self.headers.get('Host', '')]
        if origin is not None:
            names.append(urlsplit(origin).netloc)
        try:
            good = all(self.server.answers_to(name) for name in names)
        except ValueError:
            good = False
        if not good:
            self._refuse(HTTPStatus.FORBIDDEN, 'asked under a name that is not mine')
        return good

    def _send_page(self) -> None:
        """Send the page; only its own script may run."""
        nonce = secrets.token_urlsafe(16)
        page = _PAGE.read_text(encoding='utf-8').replace('NONCE', nonce)
        policy = (
            f"default-src 'none'; img-src 'self' data:; connect-src 'self'; "
            f"script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; "
            "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
        )
        self._send(page.encode(), 'text/html; charset=utf-8', policy)

    def _send(self, body: bytes, kind: str, policy: str = "default-src 'none'") -> None:
        """Send a whole answer."""
        self.send_response(HTTPStatus.OK)
        self.send_header('Content-Type', kind)
        self.send_header('Content-Length', str(len(body)))
        self.send_header('Cache-Control', 'no-store')
        self.send_header('X-Content-Type-Options', 'nosniff')
        self.send_header('Content-Security-Policy', policy)
        self.end_headers()
        self.wfile.write(body)

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        """Send an error in one line."""
        body = f'{reason}\n'.encode()
        self.send_response(status)
        self.send_header('Content-Type', 'text/plain; charset=utf-8')
        self.send_header('Content-Length', str(len(body)))
        self.send_header('Connection', 'close')
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def _stream(self) -> None:
        """Send every new picture until the client goes (multipart, known as MJPEG)."""
        if not self.server.streams.acquire(blocking=False):
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, f'{MAX_STREAMS} streams are open already')
            return
        try:
            self.send_response(HTTPStatus.OK)
            self.send_header('Content-Type', 'multipart/x-mixed-replace; boundary=picture')
            self.send_header('Cache-Control', 'no-store')
            self.end_headers()
            number, body, wait_s = 0, b'', _WAIT_S
            while True:
                found = self.server.viewer.picture(number, wait_s)
                # Browsers show a picture when the next one comes: the last is sent twice.
                wait_s = _WAIT_S if found is None else _AGAIN_S
                if found is not None:
                    number, body = found
                if body:
                    head = f'Content-Type: image/jpeg\r\nContent-Length: {len(body)}\r\n\r\n'
                    self.wfile.write(b'--picture\r\n' + head.encode() + body + b'\r\n')
        except OSError:
            self.close_connection = True
        finally:
            self.server.streams.release()
