"""A bundle goes round; files that pretend to be one are refused in a line, with little memory, and leave nothing."""

from __future__ import annotations

import subprocess
import sys

import msgspec
import pytest

from matrix import artifacts
from matrix.bundle import SUFFIX, Told, differences, write
from matrix.bundle_reader import unpacked
from matrix.errors import BadBundle, DiskFull
from tests.unit.matrix import bundles
from tests.unit.matrix.bundles import CELL, HOSTILE, checkout, contents, forge, good


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A good bundle."""
    folder = tmp_path_factory.mktemp("whole")
    return good(checkout(folder / "checkout"), folder / f"whole{SUFFIX}")


@pytest.fixture
def home(tmp_path):
    """The checkout that a bundle is read in."""
    return checkout(tmp_path / "home")


def left(home):
    return list(home.state.glob("bundles/*"))


def test_bundle_round_trip(home, whole):
    (home.root / "gan/__init__.py").write_text("# changed\n")
    with unpacked(home, whole) as (head, folder):
        assert (head.record.cell, head.record.reason) == (CELL, "AssertionError: 7 is odd")
        names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        sources = set(bundles.SOURCES) - {"reports/logs/run.log"}
        assert names == sources | {"tests/fixtures/numbers/number.txt", "tests/fixtures/numbers/manifest.json"}
        artifacts.verify(folder / "tests/fixtures/numbers")
        assert (folder.parent / "log.txt").read_text() == "its log\n"
        assert folder.parent.stat().st_mode & 0o777 == 0o700
        assert differences(home, head) == ["gan/__init__.py"]
    assert left(home) == []


def test_no_recipe_in_a_bundle(whole):
    """What an image is built of is the reader's own."""
    _, files = contents(whole)
    assert not [name for name in files if "docker" in name or "environments.toml" in name or "matrix" in name]


def test_a_record_names_no_other_file_as_its_log(home, tmp_path, whole):
    (tmp_path / "secret").write_text("secret")
    with unpacked(home, whole) as (head, _):
        record = head.record
    for log in ("../../secret", str(tmp_path / "secret"), "reports/logs/../../../secret", ""):
        write(home, msgspec.structs.replace(record, log=log), Told(), tmp_path / "b.tar.gz")
        assert contents(tmp_path / "b.tar.gz")[1]["log.txt"] == b""


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bundle(home, whole, tmp_path, name):
    path = tmp_path / "sent.tar.gz"
    said = forge(name, path, whole)
    with pytest.raises(BadBundle) as error, unpacked(home, path):
        pass
    line = str(error.value)
    assert said in line and str(path) in line, line
    assert len(line) < 600 and "\n" not in line
    assert left(home) == []
    assert not [folder for folder in (tmp_path, tmp_path.parent, home.root) if (folder / "evil").exists()]


@pytest.mark.parametrize(
    "name",
    [
        *("a pax header of 64 mib", "a long name of 64 mib before the head", "a long name of 64 mib after the head"),
        *("zeros of 64 mib", "a head of 5 mib", "only zeros", "a million empty members", "too many files"),
        "a name in the gzip header without an end",
    ],
)
def test_hostile_bundle_takes_little_memory(home, whole, tmp_path, name):
    """Less than 64 MiB more than a good one."""

    def peak(path):
        code = (
            "import resource, sys; from pathlib import Path; sys.path.insert(0, sys.argv[3])\n"
            "from matrix.bundle_reader import unpacked; from matrix.project import Limits, Project\n"
            "from matrix.errors import BadBundle\n"
            "try:\n  with unpacked(Project(Path(sys.argv[1]), Limits(bundle_bytes=4 << 20)), Path(sys.argv[2])): pass\n"
            "except BadBundle: pass\n"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        )
        words = [sys.executable, "-c", code, home.root, path, bundles.CHECKOUT]
        return int(subprocess.run(words, capture_output=True, text=True, check=True).stdout)

    forge(name, tmp_path / "sent.tar.gz", whole)
    assert peak(tmp_path / "sent.tar.gz") - peak(whole) < 64 << 10


def test_the_remedy_is_a_checkout(home, whole, tmp_path):
    path = tmp_path / "sent.tar.gz"
    for commit, changed, remedy in (
        ("", False, "replay it in the checkout that it was made in"),
        ("a" * 40, False, f"`git checkout {'a' * 40}`"),
        ("a" * 40, True, f"`git checkout {'a' * 40}`, with the changes that it had besides"),
    ):
        forger = bundles.Forger(path, *contents(whole))
        forger.head |= {"lock": "0" * 64, "commit": commit, "changed": changed}
        forger.write()
        with pytest.raises(BadBundle) as error, unpacked(home, path):
            pass
        assert str(error.value).endswith(f"was made with another lock of cpu-tf2.21 than this checkout has: {remedy}")


def test_another_python_is_refused(home, whole, tmp_path):
    """The environment as a whole must be the checkout's, not its lock alone."""
    axis = home.root / "environments.toml"
    axis.write_text(axis.read_text().replace('"3.13"', '"3.12"'))
    bundles.lock(home)
    with pytest.raises(BadBundle, match=r"another cpu-tf2.21 than environments.toml has here"), unpacked(home, whole):
        pass


def test_a_comment_in_environments_toml_is_no_other_environment(home, whole):
    axis = home.root / "environments.toml"
    axis.write_text("# a comment\n\n" + axis.read_text())
    with unpacked(home, whole) as (head, _):
        assert head.record.cell == CELL


def test_text_of_a_bundle_is_shown_escaped(home, whole, tmp_path):
    forger = bundles.Forger(tmp_path / "sent.tar.gz", *contents(whole))
    evil = "\x1b]0;title\x07\x1b[2J\u202e\n"
    forger.head["made"] = evil[:20]
    forger.head["record"] |= dict.fromkeys(("reason", "engine", "base", "image", "run", "log"), evil)
    forger.head["record"] |= {"versions": {evil: evil}, "details": {evil: evil}}
    forger.write()
    with unpacked(home, tmp_path / "sent.tar.gz") as (head, _):
        record = head.record
        shown = [head.made, record.reason, record.engine, record.base, record.image, record.run, record.log]
        shown += [*record.versions, *record.versions.values(), *record.details, *record.details.values()]
    assert all(text.isprintable() for text in shown), shown


def test_a_bundle_that_does_not_fit_on_the_disk(home, whole, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 10}))
    with pytest.raises(DiskFull, match="free some"), unpacked(home, whole):
        pass
    assert left(home) == []


def test_an_error_in_the_block_is_not_the_bundles(home, whole):
    with pytest.raises(EOFError), unpacked(home, whole):
        raise EOFError
    assert left(home) == []


def test_what_a_killed_replay_left_goes_with_the_next(home, whole):
    dead = home.state / "bundles/bundle-20200101T000000-1"
    dead.mkdir(parents=True)
    (dead / "x").touch()
    dead.with_suffix(".lock").touch()
    with unpacked(home, whole):
        assert not dead.exists()
    assert left(home) == []


def test_too_large_a_bundle_is_not_written(tmp_path):
    project = checkout(tmp_path / "checkout", budget=1000)
    (project.root / "tests/large").write_bytes(bytes(2000))
    with pytest.raises(BadBundle, match="CARRYOVER_BUNDLE_MB"):
        good(project, tmp_path / "b.tar.gz")
    assert not list(tmp_path.glob("*.gz*")) and not list(tmp_path.glob(".b*"))


def test_what_a_killed_writer_left_goes_with_the_next(tmp_path):
    project = checkout(tmp_path / "checkout")
    (tmp_path / ".b.tar.gz.99999999").touch()
    good(project, tmp_path / "b.tar.gz")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["b.tar.gz"]
