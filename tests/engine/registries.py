"""A registry for images, the distribution's docker-registry, for the time of a test."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.planted import until

CONFIG = """version: 0.1
storage:
  filesystem:
    rootdirectory: {folder}
http:
  addr: 127.0.0.1:{port}
"""


@contextlib.contextmanager
def registry(folder: Path) -> Iterator[str]:
    """The address of an empty registry that keeps its images below `folder`."""
    if not shutil.which("docker-registry"):
        pytest.skip("there is no docker-registry here (apt-get install docker-registry)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "registry.yml").write_text(CONFIG.format(folder=folder / "registry", port=port))
    with (folder / "registry.log").open("wb") as log:
        words = ["docker-registry", "serve", str(folder / "registry.yml")]
        process = subprocess.Popen(words, stdout=log, stderr=log)
    try:
        until(lambda: _answers(port))
        yield f"localhost:{port}/Some/Where"
    finally:
        process.terminate()
        process.wait(10)


def _answers(port: int) -> bool:
    try:
        return bool(urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/", timeout=1).status == 200)
    except (urllib.error.URLError, OSError):
        return False
