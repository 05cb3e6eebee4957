"""An image is named after everything that goes into it, and secrets are no part of that."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from matrix import image_builds, images
from matrix.environments import Environment
from matrix.errors import UnknownEnvironment
from matrix.project import Project

CHECKOUT = Path(__file__).resolve().parents[3]
BASE = images.Base("docker.io/library/python:3.13-slim-bookworm", "sha256:" + "a" * 64, "official")
ROW = Environment("cpu-tf2.21", "2.21.0", "tensorflow-cpu", "3.13", 3, (), "")
VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_INSECURE_HOST")
PATIENCE = ("UV_HTTP_TIMEOUT", "UV_HTTP_CONNECT_TIMEOUT", "UV_HTTP_RETRIES")
CERTIFICATES = ("CARRYOVER_CA_BUNDLE", "SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE")


@pytest.fixture
def project(tmp_path):
    """A checkout with what images are made of."""
    root = tmp_path / "checkout"
    shutil.copytree(CHECKOUT / "docker", root / "docker")
    shutil.copy(CHECKOUT / "environments.toml", root)
    return Project(root)


@pytest.fixture
def row(project):
    return project.environment("cpu-tf2.21")


@pytest.fixture
def plain(monkeypatch):
    """No index and no certificates are set."""
    for name in (*VARIABLES, *PATIENCE, *CERTIFICATES, "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_the_same_inputs_give_the_same_name(project, row):
    assert images.tag(project, row, BASE) == images.tag(project, row, BASE)
    assert images.tag(project, row, BASE).startswith("localhost/carryover/cpu-tf2.21:")


@pytest.mark.parametrize("file", ["docker/Dockerfile", "docker/install", "docker/locks/cpu-tf2.21.txt"])
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


def distributions(text):
    return re.findall(r"^([^#\s]\S*==\S+)", text, re.MULTILINE)


def test_the_context_is_the_recipe_the_lock_in_two_parts_and_uv(project, row, tmp_path):
    folder = tmp_path / "state" / "context"
    folder.mkdir(parents=True)
    images.write_context(project, row, folder)
    locks = {"cpu-tf2.21.txt", "cpu-tf2.21.common.txt"}
    assert {path.name for path in folder.iterdir()} == {"Dockerfile", "install", "uv"} | locks
    assert (folder / "cpu-tf2.21.txt").read_bytes() == project.lock(row).read_bytes()
    assert subprocess.run([folder / "uv", "--version"], capture_output=True, check=True).stdout.startswith(b"uv ")


def test_the_context_of_one_build_leaves_what_another_reads(project, row, tmp_path):
    """BuildKit sends only what has changed, and a build may be reading it just now."""
    folder = tmp_path / "state" / "context"
    folder.mkdir(parents=True)
    images.write_context(project, row, folder)
    before = {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.iterdir()}
    images.write_context(project, project.environment("cpu-tf2.20"), folder)
    after = {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.iterdir()}
    assert before.items() <= after.items() and "cpu-tf2.20.txt" in after


def test_images_with_the_same_python_begin_with_the_same_layer(project):
    rows = [
        row for row in project.environments.values() if row.device == "cpu" and row.package.startswith("tensorflow")
    ]
    for row in rows:
        common, own = images.common_part(project, row), project.lock(row).read_text()
        kin = [other for other in rows if other.python == row.python]
        assert {images.common_part(project, other) for other in kin} == {common}
        assert set(distributions(common)) <= set(distributions(own))
        assert "pytest" in common and all(len(re.findall("sha256:", pin)) for pin in common.split("\n\n"))
        assert not [pin for pin in distributions(common) if re.match("tensorflow(-cpu)?==", pin)] or len(kin) == 1


def test_what_a_row_has_in_common_follows_the_locks_of_the_others(project, row):
    before = images.tag(project, row, BASE)
    other = project.lock(project.environment("cpu-tf2.20"))
    other.write_text(re.sub(r"^pytest==\S+", "pytest==0.0.1", other.read_text(), flags=re.MULTILINE))
    assert "pytest==" not in images.common_part(project, row)
    assert images.tag(project, row, BASE) != before


def test_nothing_is_passed_where_nothing_is_set(plain, tmp_path):
    assert images.secrets(tmp_path, ROW) == {}


def test_the_index_reaches_a_shell_as_it_was_set_and_only_its_owner_reads_it(plain, tmp_path):
    address = "https://user:p$w'o\"rd `x`@index.example/simple https://two.example"
    plain.setenv("UV_INDEX", address)
    plain.setenv("PIP_INDEX_URL", "https://pip.example/simple")
    file = images.secrets(tmp_path, ROW)["index"]
    assert file.stat().st_mode & 0o777 == 0o600
    script = f'set -a; . {file}; printf "%s|%s" "$UV_INDEX" "$UV_DEFAULT_INDEX"'
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == f"{address}|https://pip.example/simple"


def test_how_patiently_an_index_is_asked_reaches_a_build_too(plain, tmp_path):
    for number, name in enumerate(PATIENCE):
        plain.setenv(name, str(7 + number))
    lines = images.secrets(tmp_path, ROW)["index"].read_text().splitlines()
    assert sorted(lines) == sorted(["UV_HTTP_TIMEOUT=7", "UV_HTTP_CONNECT_TIMEOUT=8", "UV_HTTP_RETRIES=9"])


def test_pips_index_does_not_replace_uvs_own(plain, tmp_path):
    plain.setenv("PIP_INDEX_URL", "https://pip.example/simple")
    plain.setenv("UV_DEFAULT_INDEX", "https://uv.example/simple")
    assert "uv.example" in images.secrets(tmp_path, ROW)["index"].read_text()
    assert "pip.example" not in images.secrets(tmp_path, ROW)["index"].read_text()


def test_the_index_of_a_row_is_passed_unless_the_caller_has_one_and_all_are_asked(plain, tmp_path):
    row = msgspec.structs.replace(ROW, index="https://row.example/simple")
    assert "row.example" in images.secrets(tmp_path, row)["index"].read_text()
    assert "unsafe-best-match" in images.secrets(tmp_path, row)["index"].read_text()
    plain.setenv("UV_INDEX", "https://own.example/simple")
    assert "row.example" not in images.secrets(tmp_path, row)["index"].read_text()


@pytest.mark.parametrize("first", range(len(CERTIFICATES)))
def test_the_first_bundle_that_is_a_file_is_taken(plain, tmp_path, first):
    for place, name in enumerate(CERTIFICATES):
        file = tmp_path / f"{place}.pem"
        if place >= first:
            file.write_text(name)
        plain.setenv(name, str(file))
    found = images.secrets(tmp_path, ROW)
    assert {name: path.read_text() for name, path in found.items()} == {"ca": CERTIFICATES[first]}


def test_a_gpu_image_is_another_when_its_cuda_comes_from_elsewhere(project):
    row = project.environment("gpu-tf2.4")
    assert [kind for kind, _ in images.cuda_candidates(row)] == ["official"] * len(row.cuda_images) + ["stand-in"]
    tags = {images.tag(project, row, replace(BASE, cuda=cuda)) for cuda in (None, BASE, replace(BASE, id="sha256:b"))}
    assert len(tags) == 3
    assert "CUDA of official" in str(replace(BASE, cuda=BASE))


@pytest.mark.parametrize(
    ("words", "gpu", "names"),
    [
        (["2.21"], False, ["cpu-tf2.21"]),
        (["2.21"], True, ["cpu-tf2.21", "gpu-tf2.21"]),
        (["1.15-nvidia", "jax"], False, ["gpu-tf1.15-nvidia", "cpu-keras3-jax"]),
        (["gpu-tf2.4", "cpu-tf1"], False, ["gpu-tf2.4", "cpu-tf1.15"]),
        (["cpu-tf2.21-legacy"], False, ["cpu-tf2.21-legacy"]),
    ],
)
def test_images_are_named_by_release_id_session_and_tag(project, monkeypatch, words, gpu, names):
    monkeypatch.setattr(image_builds, "gpu_here", lambda: gpu)
    assert [row.id for row in image_builds.select(project, words)] == names


@pytest.mark.parametrize(("word", "near"), [("2.211", "2.21"), ("cpu-tf2.51", "cpu-tf2.5"), ("reducde", "reduced")])
def test_a_word_that_names_no_image_comes_with_those_near_it(project, word, near):
    with pytest.raises(UnknownEnvironment) as error:
        image_builds.select(project, [word])
    assert near in str(error.value).partition("did you mean")[2]
