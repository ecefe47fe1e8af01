from __future__ import annotations

import socket
import threading
import time
from contextlib import closing, suppress

LOOPBACK = "127.0.0.1"


class SlowWay:
    """A port that hands everything on to the port `target` of this machine, each piece `delay` seconds later."""

    def __init__(self, target: int) -> None:
        self.target, self.delay = target, 0.0
        self.pieces = 0
        self.server = socket.create_server((LOOPBACK, 0), backlog=100)
        self.url = f"http://{LOOPBACK}:{self.server.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            caller, _ = self.server.accept()
            try:
                server = socket.create_connection((LOOPBACK, self.target))
            except OSError:
                caller.close()
                continue
            for way in ((caller, server), (server, caller)):
                threading.Thread(target=self._hand_on, args=way, daemon=True).start()

    def _hand_on(self, source: socket.socket, destination: socket.socket) -> None:
        with suppress(OSError), closing(destination):
            while piece := source.recv(65536):
                time.sleep(self.delay)
                self.pieces += self.delay > 0
                destination.sendall(piece)
