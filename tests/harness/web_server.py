from __future__ import annotations

from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = tuple[int, str] | tuple[int, str, dict[str, str]]


class Server(ThreadingHTTPServer):
    """A web server that gives one `answer` (status, text, headers) to everything, or calls it with the request."""

    answer: Answer | Callable[[BaseHTTPRequestHandler], Answer] = (200, "{}")

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
        answer = answer(self) if callable(answer) else answer
        self.send_response(answer[0])
        for name, value in answer[2].items() if len(answer) == 3 else ():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer[1].encode())

    do_HEAD = do_POST = do_PUT = do_GET

    def log_message(self, *_: object) -> None:
        pass
