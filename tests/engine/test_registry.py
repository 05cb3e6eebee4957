"""Images kept in a registry between runs: a real one, the distribution's docker-registry, for the time of a test."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.engine import registries
from tests.engine.planted import ID, Planted

CELLS = "def test_passes(): pass\n"


@pytest.fixture
def registry(tmp_path):
    """The address of an empty registry."""
    with registries.registry(tmp_path) as address:
        yield address


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
