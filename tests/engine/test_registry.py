"""Images kept in a registry between runs: a real one, the distribution's docker-registry, for the time of a test."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import urllib.error
import urllib.request

import pytest

from tests.engine.planted import ID, Planted, until

CELLS = "def test_passes(): pass\n"
CONFIG = """version: 0.1
storage:
  filesystem:
    rootdirectory: {folder}
http:
  addr: 127.0.0.1:{port}
"""


@pytest.fixture
def registry(tmp_path):
    """The address of an empty registry."""
    if not shutil.which("docker-registry"):
        pytest.skip("there is no docker-registry here (apt-get install docker-registry)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "registry.yml").write_text(CONFIG.format(folder=tmp_path / "registry", port=port))
    with (tmp_path / "registry.log").open("wb") as log:
        words = ["docker-registry", "serve", str(tmp_path / "registry.yml")]
        process = subprocess.Popen(words, stdout=log, stderr=log)
    try:
        until(lambda: answers(port))
        yield f"localhost:{port}/Some/Where"
    finally:
        process.terminate()
        process.wait(10)


def answers(port):
    try:
        return urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/", timeout=1).status == 200
    except (urllib.error.URLError, OSError):
        return False


def named(pattern):
    """The images that have such a name here."""
    words = ["docker", "image", "ls", "--quiet", "--filter", f"reference={pattern}"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()


def image_of(planted):
    """(image, id) as the last run has recorded it."""
    (record,) = planted.records().values()
    return record.image, record.image_id


@pytest.fixture
def planted(working, tmp_path, locks):
    """A project whose image nothing has built before."""
    working("docker")
    planted = Planted(tmp_path / "project", "docker").plant(locks).anew().cells(CELLS)
    yield planted
    planted.remove_images()


def test_an_image_that_was_pushed_is_pulled_where_it_is_missing(planted, registry):
    done = planted.do("images", ID, "--push", CARRYOVER_REGISTRY=registry)
    assert done.status == 0, done.out + done.err
    (name,) = re.findall(r"^pushed: (\S+)$", done.out, re.MULTILINE)
    assert name.startswith(f"{registry.lower()}/{ID}:"), "registries know no capitals"
    assert planted.run().status == 0
    image, first = image_of(planted)
    assert name.rpartition(":")[2] == image.rpartition(":")[2], "the tag is the hash of what is in it"

    assert not named(name)
    subprocess.run(["docker", "rmi", "--force", image], check=True, capture_output=True)
    done = planted.run(CARRYOVER_REGISTRY=registry)
    assert done.status == 0, done.out + done.err
    assert f"from the registry: {name}" in done.out and "building" not in done.out
    assert image_of(planted) == (image, first), "the very image"
    assert not named(name), "one image, one name"


def test_an_image_that_is_not_there_is_built(planted, registry):
    done = planted.run(CARRYOVER_REGISTRY=registry)
    assert done.status == 0, done.out + done.err
    assert re.search(r"is not to be had \(.*(unknown|not found).*\): built here", done.out) and "building" in done.out


def test_a_push_without_a_registry_is_an_error_in_a_line(planted, tmp_path):
    assert "CARRYOVER_REGISTRY names no registry" in planted.do("images", ID, "--push").error
    done = planted.do("images", ID, "--push", CARRYOVER_REGISTRY="localhost:1/nowhere")
    assert done.status == 4 and "cannot be pushed" in done.error
    assert not named("localhost:1/nowhere/*")
