"""What a company's index and certificates are, the build may see; the image that it makes may not tell."""

from __future__ import annotations

import base64
import gzip
import http.server
import io
import os
import re
import ssl
import subprocess
import tarfile
import threading
from pathlib import Path

import pytest

from tests.engine.planted import Planted, until, wait

TOKEN = "token-1f0c9b7e"
# Compilers and headers, the caches of uv, pip and apt, and what a build mounts.
LEFT_OUT = r"bin/(gcc|cc|g\+\+|clang|make|uv)$|cache/(uv|pip)/.|\.cache/.|apt/(archives|lists)/.*(deb|Packages)|tmp/."
MARK = "# certificates of a company, 5b2d77aa\n"


@pytest.fixture
def index():
    """(address with a password, list of what was asked for with it): an index that has no package."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            scheme, _, word = self.headers.get("Authorization", "").partition(" ")
            if scheme == "Basic" and base64.b64decode(word).decode() == f"user:{TOKEN}":
                asked.append(self.path)
            self.send_error(404)

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://user:{TOKEN}@127.0.0.1:{server.server_port}/simple", asked
    server.shutdown()
    server.server_close()


def bundle(folder):
    """The certificates that this host trusts, in a file that can be told from all others."""
    trusted = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
    path = folder / "company.pem"
    path.write_text(MARK + Path(trusted).read_text())
    return path


def contents(tar):
    """Every file in an image that was saved, layers and their compression unpacked, as bytes."""
    with tarfile.open(tar) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            if file:
                data = file.read()
                yield member.name, gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


def files(layer):
    """The paths in a layer, none for what is no tar."""
    try:
        with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
            return archive.getnames()
    except tarfile.ReadError:
        return []


def test_no_layer_and_no_log_holds_the_password_or_the_certificates(container_engine, tmp_path, locks, index):
    planted = Planted(tmp_path / "project", container_engine).plant(locks).cells("def test_passes(): pass\n")
    planted.anew()  # so that it is built now, and not taken from another test
    address, asked = index
    certificates = bundle(tmp_path)
    done = planted.run(UV_INDEX=address, CARRYOVER_CA_BUNDLE=str(certificates))
    try:
        assert done.status == 0, done.out + done.err
        assert any("pytest" in path for path in asked), "the build has not asked the index"
        image = planted.records()["test_passes"].image
        tar = tmp_path / "image.tar"
        subprocess.run([container_engine, "save", "--output", str(tar), image], check=True, capture_output=True)
        sizes = 0
        for name, data in contents(tar):
            sizes += len(data)
            left = [path for path in files(data) if re.search(LEFT_OUT, path)]
            assert not left, f"{left[:5]} are in {name} of the image"
            for secret in (TOKEN, MARK.strip(), "def test_passes"):
                assert secret.encode() not in data, f"{secret} is in {name} of the image"
        assert sizes > 50_000_000, "these are not the layers"
        history = [container_engine, "history", "--no-trunc", image]
        seen = [subprocess.run(history, capture_output=True, text=True, check=True).stdout, done.out, done.err]
        seen += [path.read_text() for path in planted.root.rglob("*") if path.suffix in (".log", ".jsonl")]
        assert len(seen) >= 5 and not [text for text in seen if TOKEN in text]
        assert planted.left() == []
    finally:
        planted.remove_images()


def test_certificates_that_trust_nobody_are_used_and_refused(container_engine, tmp_path, locks):
    """The bundle does reach the build: with one that holds no certificate, nothing can be fetched."""
    planted = Planted(tmp_path / "project", container_engine).plant(locks).cells("def test_passes(): pass\n")
    planted.anew()
    nobody = tmp_path / "nobody.pem"
    nobody.write_text("# no certificate\n")
    # The query makes it another index for uv, so that no answer of an earlier build is in its cache.
    done = planted.run(CARRYOVER_CA_BUNDLE=str(nobody), UV_INDEX="https://pypi.org/simple/?fresh")
    assert done.status == 6, done.out + done.err
    assert "certificate" in done.error.lower(), done.error


def test_a_build_that_is_killed_leaves_no_password_below_the_checkout_and_none_for_long(
    working, tmp_path, locks, index
):
    planted = Planted(tmp_path / "project", working("docker")).plant(locks).cells("def test_passes(): pass\n")
    planted.anew()
    with (planted.root / "docker/install").open("a") as file:
        file.write("sleep 20\n")
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    old = planted.root / ".carryover/build-left/index"  # of an earlier version
    old.parent.mkdir()
    process = planted.start(UV_INDEX=index[0], XDG_RUNTIME_DIR=str(runtime))
    (held,) = until(lambda: [path for path in runtime.glob("*/index") if TOKEN in path.read_text()])
    assert held.parent.stat().st_mode & 0o777 == 0o700
    process.kill()
    wait(process)
    old.parent.mkdir(exist_ok=True)
    old.write_text(TOKEN)
    assert [
        path for path in planted.root.rglob("*") if path.is_file() and TOKEN in path.read_text(errors="replace")
    ] == [old]
    # that of docker would free what is on this machine of other checkouts
    assert Planted(planted.root, "venv").do("clean", XDG_RUNTIME_DIR=str(runtime)).status == 0
    assert not held.exists() and not old.exists()
