"""The engines that tests run on, each with its environment built once for the whole session."""

from __future__ import annotations

import os

import pytest

from matrix.environments import load_environments
from matrix.locks import make_lock
from tests.engine.numbers import plant
from tests.engine.planted import Planted, axis, end_all

# Engines that must work here, as a list with commas: a test on one of them fails where it would be skipped.
REQUIRED = os.environ.get("CARRYOVER_TEST_ENGINES", "").split(",")
_UNAVAILABLE = (4, 5)  # the exit statuses of an engine that does not work here, and of one without a base image


@pytest.fixture(autouse=True)
def nothing_left_running():
    """End what a test has started and not waited for: it has failed."""
    yield
    end_all()


@pytest.fixture(scope="session")
def locks(tmp_path_factory):
    """A folder with the locks of the planted environments, made by uv."""
    folder = tmp_path_factory.mktemp("locks")
    (folder / "environments.toml").write_text(axis())
    for environment in load_environments(folder / "environments.toml").values():
        make_lock(folder / f"{environment.id}.txt", environment)
    return folder


@pytest.fixture(scope="session")
def venvs(tmp_path_factory):
    """The virtual environments that the planted projects share."""
    return tmp_path_factory.mktemp("venvs")


@pytest.fixture(scope="session")
def working(tmp_path_factory, locks, venvs):
    """`working(engine)` skips unless `engine` runs a cell here; what it has to build is built by that."""
    answers = {}

    def check(engine):
        if engine not in answers:
            planted = Planted(tmp_path_factory.mktemp(engine), engine).plant(locks, venvs)
            answers[engine] = planted.cells("def test_nothing():\n    pass\n").run()
        done = answers[engine]
        if done.status in _UNAVAILABLE and engine != "venv" and engine not in REQUIRED:
            pytest.skip(done.error)
        assert done.status == 0, done.out + done.err
        return engine

    return check


@pytest.fixture(scope="module", params=["docker", "podman", "venv"])
def engine(request, working):
    """Each engine that works here."""
    return working(request.param)


@pytest.fixture(scope="module", params=["docker", "podman"])
def container_engine(request, working):
    """Each container engine that works here."""
    return working(request.param)


@pytest.fixture
def planted(engine, tmp_path, locks, venvs):
    """A project without cells on each engine."""
    return Planted(tmp_path / "project", engine).plant(locks, venvs)


@pytest.fixture
def planted_anew(engine, tmp_path, locks):
    """A project without cells on each engine, for which nothing is built."""
    planted = Planted(tmp_path / "project", engine).plant(locks).anew()
    yield planted
    planted.remove_images()


@pytest.fixture
def failed_once(working, tmp_path, locks, venvs):
    """A project with a failed cell on the quickest engine, for what no engine matters to, and to change."""
    planted = plant(Planted(tmp_path / "project", working("venv")).plant(locks, venvs))
    assert planted.run().status == 1
    return planted
