"""A package index of our own, on this machine: it has what a test puts into it, and every bad day that indexes have."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import io
import json
import threading
import time
import zipfile
from collections.abc import Iterator


def wheel(name: str, version: str, tag: str = "py3-none-any", text: bytes = b"") -> tuple[str, bytes]:
    """(file name, contents) of a wheel with one module, which holds `text`."""
    files = {
        f"{name}.py": text,
        f"{name}-{version}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{name}-{version}.dist-info/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n".encode(),
    }
    record = "".join(f"{path},,\n" for path in [*files, f"{name}-{version}.dist-info/RECORD"])
    files[f"{name}-{version}.dist-info/RECORD"] = record.encode()
    contents = io.BytesIO()
    with zipfile.ZipFile(contents, "w") as archive:
        for path, content in files.items():
            archive.writestr(zipfile.ZipInfo(path), content)
    return f"{name}-{version}-{tag}.whl", contents.getvalue()


class Index:
    """What is served: `files` by name. `yanked` ones carry a reason, those in `gone` are listed and cannot be fetched.

    `broken` answers every request with that status; `silent` accepts it and answers nothing. `asked` counts requests.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.yanked: dict[str, str] = {}
        self.gone: set[str] = set()
        self.broken = self.asked = 0
        self.silent = False
        self.url = ""

    def add(self, name: str, version: str, tag: str = "py3-none-any") -> str:
        """Put a wheel up; returns the name of its file."""
        file, contents = wheel(name, version, tag)
        self.files[file] = contents
        return file

    def answer(self, path: str) -> tuple[int, str, bytes]:
        """(status, content type, body)"""
        self.asked += 1
        if self.broken:
            return self.broken, "text/plain", b""
        name = path.strip("/").rpartition("/")[2]
        if name in self.files:
            return (404, "text/plain", b"") if name in self.gone else (200, "application/zip", self.files[name])
        listed = [self._listed(file) for file in self.files if file.startswith(f"{name}-")]
        page = {"meta": {"api-version": "1.1"}, "name": name, "files": listed}
        return (200 if listed else 404), "application/vnd.pypi.simple.v1+json", json.dumps(page).encode()

    def _listed(self, file: str) -> dict[str, object]:
        return {
            "filename": file,
            "url": f"{self.url}/files/{file}",
            "hashes": {"sha256": hashlib.sha256(self.files[file]).hexdigest()},
            "upload-time": "2025-06-01T00:00:00Z",
            "yanked": self.yanked.get(file, False),
        }


@contextlib.contextmanager
def serve() -> Iterator[Index]:
    """An empty Index at `url` for the length of the block."""
    index = Index()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            while index.silent:
                time.sleep(0.05)
            status, kind, body = index.answer(self.path.partition("#")[0])
            with contextlib.suppress(OSError):
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    index.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield index
    finally:
        index.silent = False
        server.shutdown()
        server.server_close()
