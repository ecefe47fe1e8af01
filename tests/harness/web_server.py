from __future__ import annotations

from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server(ThreadingHTTPServer):
    """A web server that gives one `answer` (status and text) to everything, or calls it with the request."""

    answer: tuple[int, str] | Callable[[BaseHTTPRequestHandler], tuple[int, str]] = (200, "{}")

    def __init__(self, port: int = 0) -> None:
        self.requests: list[BaseHTTPRequestHandler] = []
        super().__init__(("127.0.0.1", port), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_: object) -> None:
        """Who asked may be gone."""


class Handler(BaseHTTPRequestHandler):
    server: Server
    body = b""

    def do_GET(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.requests.append(self)
        answer = self.server.answer
        status, text = answer(self) if callable(answer) else answer
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    do_HEAD = do_POST = do_PUT = do_GET

    def log_message(self, *_: object) -> None:
        pass
