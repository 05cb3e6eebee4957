"""An image is named after everything that goes into it, and secrets are no part of that."""

from __future__ import annotations

import subprocess
from pathlib import Path

import msgspec
import pytest

from matrix import images
from matrix.project import Project

CHECKOUT = Path(__file__).resolve().parents[3]
BASE = images.Base("docker.io/library/python:3.13-slim-bookworm", "sha256:" + "a" * 64, "official")
VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_INSECURE_HOST")
CERTIFICATES = ("CARRYOVER_CA_BUNDLE", "SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE")


@pytest.fixture
def project(tmp_path):
    """A checkout with what an image is made of."""
    (tmp_path / "docker/locks").mkdir(parents=True)
    for name in ("environments.toml", "docker/Dockerfile", "docker/locks/cpu-tf2.21.txt"):
        (tmp_path / name).write_bytes((CHECKOUT / name).read_bytes())
    return Project(tmp_path)


@pytest.fixture
def row(project):
    return project.environment("cpu-tf2.21")


@pytest.fixture
def plain(monkeypatch):
    """No index and no certificates are set."""
    for name in (*VARIABLES, *CERTIFICATES, "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_the_same_inputs_give_the_same_name(project, row):
    assert images.tag(project, row, BASE) == images.tag(project, row, BASE)
    assert images.tag(project, row, BASE).startswith("localhost/carryover/cpu-tf2.21:")


@pytest.mark.parametrize("file", ["docker/Dockerfile", "docker/locks/cpu-tf2.21.txt"])
def test_another_dockerfile_or_lock_is_another_image(project, row, file):
    before = images.tag(project, row, BASE)
    with (project.root / file).open("a") as changed:
        changed.write("\n")
    assert images.tag(project, row, BASE) != before


def test_another_base_or_device_is_another_image(project, row):
    gpu = msgspec.structs.replace(row, id="gpu-tf2.21")
    (project.root / "docker/locks/gpu-tf2.21.txt").write_bytes(project.lock(row).read_bytes())
    other = images.Base(BASE.reference, "sha256:" + "b" * 64, BASE.kind)
    names = [images.tag(project, row, BASE), images.tag(project, row, other), images.tag(project, gpu, BASE)]
    assert len({name.rpartition(":")[2] for name in names}) == 3


def test_the_sources_are_no_input(project, row):
    before = images.tag(project, row, BASE)
    (project.root / "tests").mkdir()
    (project.root / "tests/cells.toml").write_text("cells = []")
    assert images.tag(project, row, BASE) == before


def test_the_context_is_the_dockerfile_the_lock_and_uv(project, row, tmp_path):
    folder = tmp_path / "context"
    folder.mkdir()
    images.write_context(project, row, folder)
    assert {path.name for path in folder.iterdir()} == {"Dockerfile", "lock.txt", "uv"}
    assert subprocess.run([folder / "uv", "--version"], capture_output=True, check=True).stdout.startswith(b"uv ")


def test_nothing_is_passed_where_nothing_is_set(plain, tmp_path):
    assert images.secrets(tmp_path) == {}


def test_the_index_reaches_a_shell_as_it_was_set_and_only_its_owner_reads_it(plain, tmp_path):
    address = "https://user:p$w'o\"rd `x`@index.example/simple https://two.example"
    plain.setenv("UV_INDEX", address)
    plain.setenv("PIP_INDEX_URL", "https://pip.example/simple")
    file = images.secrets(tmp_path)["index"]
    assert file.stat().st_mode & 0o777 == 0o600
    script = f'set -a; . {file}; printf "%s|%s" "$UV_INDEX" "$UV_DEFAULT_INDEX"'
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == f"{address}|https://pip.example/simple"


def test_pips_index_does_not_replace_uvs_own(plain, tmp_path):
    plain.setenv("PIP_INDEX_URL", "https://pip.example/simple")
    plain.setenv("UV_DEFAULT_INDEX", "https://uv.example/simple")
    assert "uv.example" in images.secrets(tmp_path)["index"].read_text()
    assert "pip.example" not in images.secrets(tmp_path)["index"].read_text()


@pytest.mark.parametrize("first", range(len(CERTIFICATES)))
def test_the_first_bundle_that_is_a_file_is_taken(plain, tmp_path, first):
    for place, name in enumerate(CERTIFICATES):
        file = tmp_path / f"{place}.pem"
        if place >= first:
            file.touch()
        plain.setenv(name, str(file))
    assert images.secrets(tmp_path) == {"ca": tmp_path / f"{first}.pem"}
