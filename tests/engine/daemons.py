"""A stand-in for a daemon's socket that passes everything on to the real one until it is told to say nothing more."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

REAL = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")


class Relay:
    """A socket at `path`. While `silent` is set it accepts and reads nothing: a daemon that hangs."""

    def __init__(self, path: Path) -> None:
        self.path, self.silent = path, threading.Event()
        self.address = f"unix://{path}"
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(str(path))
        self.listening.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        self.open = []
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listening.accept()
                self.open.append(client)
                if not self.silent.is_set():
                    daemon = socket.socket(socket.AF_UNIX)
                    daemon.connect(REAL.removeprefix("unix://"))
                    for one, other in ((client, daemon), (daemon, client)):
                        threading.Thread(target=self._pass_on, args=(one, other), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if not self.silent.is_set():
                    target.sendall(data)
            target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def relay(folder: Path) -> Iterator[Relay]:
    """A Relay for the length of the block."""
    made = Relay(folder / "daemon.sock")
    try:
        yield made
    finally:
        made.listening.close()
