"""A failure in one file, and the same failure from it in another checkout; and files that pretend to be one."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.engine.numbers import CELLS, ODD, plant, repeated, write_number
from tests.engine.planted import ID, Planted
from tests.unit.matrix.bundles import Forger, contents, forge


def git(root, *words):
    author = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "-C", root, *author, *words], check=True, capture_output=True)


def remove_image(planted, record):
    if planted.engine == "venv":
        shutil.rmtree(planted.root / ".carryover/venvs" / record.image)
    else:
        subprocess.run([planted.engine, "rmi", "--force", record.image_id], capture_output=True, check=True)


def test_bundle_round_trip(planted_anew, tmp_path):
    """What failed was never committed, the artifact and a change of the cell; and in the clone there is no image."""
    here = planted_anew
    (here.root / ".gitignore").write_text(".carryover\nreports\nartifacts\n")
    here.cells(CELLS.replace("% 2 == 0", "% 2 == 1"), consumes="numbers")
    git(here.root, "init", "-q")
    git(here.root, "add", ".")
    git(here.root, "commit", "-qm", "a state of the project")
    (here.root / "tests/environment/test_cells.py").write_text(CELLS)
    write_number(here, 7, f"artifacts/numbers/{ID}")
    cell = f"{ID}/cells::is_even[{ID}]"
    assert here.run().status == 1
    before = here.records()[f"test_is_even[{ID}]"]
    done = here.do("repro", cell, "--bundle", str(tmp_path / "sent.tar.gz"))
    assert (done.status, "nox -s repro -- " in done.out) == (0, True), done.err
    remove_image(here, before)

    subprocess.run(["git", "clone", "-q", here.root, tmp_path / "clone"], check=True)
    there = Planted(tmp_path / "clone", here.engine)
    done = there.do("repro", str(tmp_path / "sent.tar.gz"))
    assert (done.status, done.err) == (1, ""), done.err
    (now,) = repeated(there)
    assert f"fails again, in the same way: {before.reason}" in done.out and "AssertionError: 7 is odd" in before.reason
    assert (now.reason, now.inputs) == (before.reason, before.inputs)
    assert now.details["image"].startswith("rebuilt: ") and now.details["image"] in done.out
    assert "with changes" in done.out and "differ in tests/environment/test_cells.py" in done.out
    assert there.left() == [] and not (there.root / "reports/results.jsonl").exists()
    assert not list(there.root.glob(".carryover/bundles/*"))

    mended = there.do("repro", str(tmp_path / "sent.tar.gz"), "--checkout")
    assert (mended.status, "does not fail here" in mended.out) == (0, True), mended.out + mended.err


@pytest.mark.parametrize(
    "name",
    [
        *("a pax header of 64 mib", "a pipe itself", "no record.cell", "a negative size", "a symbolic link", "text"),
        *("an environment that clears the screen", "a file called 'files/../../../../evil'"),
    ],
)
def test_invalid_bundle_is_rejected(sent, tmp_path, name):
    """By the command: one line, its own status, and nothing of it stays. The rest is in tests/unit/matrix."""
    planted, whole = sent
    path = tmp_path / "sent.tar.gz"
    said = forge(name, path, whole)
    done = planted.do("repro", str(path))
    assert (done.status, said in done.error, done.error.isprintable()) == (15, True, True), done.err
    assert list((planted.root / ".carryover").glob("bundles/*")) == [] and planted.left() == []


def test_a_row_of_another_checkout(sent, tmp_path, locks, venvs):
    """Nothing is built of what a bundle brings: its environment must be this checkout's."""
    _, whole = sent
    other = Planted(tmp_path / "other", "venv").plant(locks, venvs)
    axis = other.root / "environments.toml"
    axis.write_text(axis.read_text().replace("keras = 3\n", 'keras = 3\nenv = { A = "1" }\n', 1))
    done = other.do("repro", str(whole))
    assert done.status == 15 and f"was made with another {ID} than environments.toml has here" in done.error


@pytest.fixture(scope="module")
def sent(working, tmp_path_factory, locks, venvs):
    """A project that wants bundles replayed, and a good bundle that another project has written."""
    folder = tmp_path_factory.mktemp("sent")
    failed = plant(Planted(folder / "failed", working("venv")).plant(locks, venvs))
    assert failed.run().status == 1
    assert failed.do("repro", ODD, "--bundle", str(folder / "whole.tar.gz")).status == 0
    return Planted(folder / "elsewhere", "venv").plant(locks, venvs), folder / "whole.tar.gz"


def test_a_bundle_that_is_not_there_is_one_line(failed_once):
    done = failed_once.do("repro", "nowhere.tar.gz")
    assert (done.status, "there is no bundle nowhere.tar.gz" in done.error) == (15, True)


def test_no_bundle_is_made_of_an_artifact_that_changed(failed_once, tmp_path):
    write_number(failed_once, 9)
    done = failed_once.do("repro", ODD, "--bundle", str(tmp_path / "b.tar.gz"))
    assert (done.status, "numbers/committed is not what the cell read" in done.error) == (11, True)
    assert list(tmp_path.glob("*.gz*")) == []


def test_a_bundle_is_not_replayed_unconfined_without_being_asked(sent):
    planted, whole = sent
    asked = Planted(planted.root, "")
    done = asked.do("repro", str(whole), PATH="/nowhere")
    assert (done.status, "if you trust it, say --engine venv" in done.error) == (4, True)
    done = asked.do("repro", str(whole), CARRYOVER_ENGINE="venv")
    assert (done.status, "CARRYOVER_ENGINE is venv; " in done.error) == (4, True), "not asked for with the bundle"


@pytest.mark.parametrize("option", ["--shell", "--pdb", "--checkout"])
def test_options_that_do_not_go_together_are_one_line(failed_once, option):
    done = failed_once.do("repro", ODD, "--bundle", option)
    assert (done.status, done.error.startswith("carryover: ")) == (2, True)


MATRIX = {"cell": "tests/pairs/test_pairs.py::test_loads[x]", "details": {"kind": "x", "way": "y"}}
SCREEN = {"cell": "tests/x::a\x1b]0;title\x07[1]", "reason": "\x1b[2J[bold]", "base": "\x1b[31m"}
ODD_RECORDS = {
    "an option in its place": ({"cell": "tests/x::--basetemp=/"}, 10),
    "control characters": (SCREEN, 10),
    "a cell of the matrix": (MATRIX, 10),
    "an artifact that is not in it": ({"inputs": {"letters/committed": "0" * 64}}, 11),
    "another artifact of the name": ({"inputs": {"numbers/committed": "0" * 64}}, 11),
    "an image that is not here": ({"engine": "docker 20", "image_id": "sha256:" + "0" * 64}, 1),
    "an engine that there is not": ({"engine": "--help"}, 1),
}


@pytest.mark.parametrize("name", ODD_RECORDS)
def test_odd_record_ends_in_order(sent, tmp_path, name):
    """What a record may say without being refused does no harm."""
    planted, whole = sent
    changes, status = ODD_RECORDS[name]
    forger = Forger(tmp_path / "sent.tar.gz", *contents(whole))
    forger.head["record"] |= changes
    forger.write()
    done = planted.do("repro", str(tmp_path / "sent.tar.gz"))
    assert done.status == status and "Traceback" not in done.err, done.out + done.err
    assert (done.out + done.err).replace("\n", "").isprintable()
    assert planted.left() == [] and not list((planted.root / ".carryover").glob("bundles/*"))


@pytest.mark.parametrize("source", ["x", "\xff\xfe", "[[cells]]\nfoo = 1\n", "a" + ".a" * 500_000 + " = 1\n", None])
def test_odd_cells_toml_is_not_read(sent, tmp_path, source):
    """What decides how the cell runs is in the head, which is checked: no TOML of a bundle is."""
    planted, whole = sent
    forger = Forger(tmp_path / "sent.tar.gz", *contents(whole))
    if source is None:
        del forger.files["files/tests/cells.toml"]
    else:
        forger.files["files/tests/cells.toml"] = source.encode("latin-1")
    forger.write()
    done = planted.do("repro", str(tmp_path / "sent.tar.gz"))
    assert (done.status, "fails again, in the same way" in done.out) == (1, True), done.out + done.err
