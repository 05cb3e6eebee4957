"""A failure in one file, and the same failure from it in another checkout; and files that pretend to be one."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import subprocess
import tarfile

import pytest

from tests.engine.numbers import CELLS, ODD, plant, repeated, write_number
from tests.engine.planted import ID, Planted


def git(root, *words):
    author = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "-C", root, *author, *words], check=True, capture_output=True)


def remove_image(planted, record):
    if planted.engine == "venv":
        shutil.rmtree(planted.root / ".carryover/venvs" / record.image)
    else:
        subprocess.run([planted.engine, "rmi", "--force", record.image_id], capture_output=True, check=True)


def test_a_failure_goes_round_to_a_fresh_clone_without_its_image_and_its_changes(planted_anew, tmp_path):
    """What failed was never committed: the artifact, a change of the cell, and the lock that its image was made of."""
    here = planted_anew
    (here.root / ".gitignore").write_text(".carryover\nreports\nartifacts\n")
    changed = next((here.root / "docker/locks").glob(f"{ID}.txt"))
    lock = changed.read_text()
    changed.write_text("".join(lock.splitlines(keepends=True)[:-1]))  # the clone has the lock without the last comment
    here.cells(CELLS.replace("% 2 == 0", "% 2 == 1"), consumes="numbers")
    git(here.root, "init", "-q")
    git(here.root, "add", ".")
    git(here.root, "commit", "-qm", "a state of the project")
    changed.write_text(lock)
    (here.root / "tests/environment/test_cells.py").write_text(CELLS)
    write_number(here, 7, f"artifacts/numbers/{ID}")
    cell = f"{ID}/cells::is_even[{ID}]"
    assert here.run().status == 1
    before = here.records()[f"test_is_even[{ID}]"]
    assert here.do("repro", cell).status == 1
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
    assert now.image != before.image, "an image of a lock that is not the clone's own has the name of one that is"
    assert now.details["image"].startswith("rebuilt: ") and now.details["image"] in done.out
    assert (
        "with changes" in done.out and f"differ in docker/locks/{ID}.txt, tests/environment/test_cells.py" in done.out
    )
    assert there.left() == [] and not (there.root / "reports/results.jsonl").exists()

    mended = there.do("repro", str(tmp_path / "sent.tar.gz"), "--checkout")
    assert (mended.status, "does not fail here" in mended.out) == (0, True), mended.out + mended.err


def contents(path):
    """The files of a bundle, and what the first says of them."""
    with tarfile.open(path) as tar:
        files = {member.name: tar.extractfile(member).read() for member in tar}
    return json.loads(files.pop("bundle.json")), files


def rewrite(path, head, files, kind=tarfile.REGTYPE, kept=()):
    """A bundle of `files`, with their sizes and digests in the head, but of those `kept`."""
    for name, data in files.items():
        if name not in kept:
            head["files"][name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    with tarfile.open(path, "w:gz") as tar:
        for name, data in {"bundle.json": json.dumps(head).encode(), **files}.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            if name.startswith("files/link"):
                member.type, member.linkname, member.size = kind, "../../../escaped", 0
            tar.addfile(member, io.BytesIO(data))


LOCK = f"files/docker/locks/{ID}.txt"


def cut(path, head, files):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def no_archive(path, head, files):
    path.write_text("not an archive")


def no_bundle(path, head, files):
    path.write_bytes(gzip.compress(b"\0" * 10240))


def other_version(path, head, files):
    rewrite(path, {**head, "version": 2}, files)


def no_record(path, head, files):
    del head["record"]["cell"]
    rewrite(path, head, files)


def altered(path, head, files):
    rewrite(path, head, {**files, "files/pyproject.toml": b"x" * len(files["files/pyproject.toml"])}, kept=files)


def a_file_is_missing(path, head, files):
    rewrite(path, head, {name: data for name, data in files.items() if name != "files/pyproject.toml"})


def not_listed(path, head, files):
    rewrite(path, head, {**files, "files/more": b"x"}, kept=["files/more"])


def leads_out(path, head, files):
    rewrite(path, head, {**files, "files/../../../../escaped": b"x"})


def absolute(path, head, files):
    rewrite(path, head, {**files, str(path.parent / "escaped"): b"x"})


def a_link(path, head, files):
    rewrite(path, head, {**files, "files/link": b"", "files/link/escaped": b"x"}, kind=tarfile.SYMTYPE)


def a_hard_link(path, head, files):
    rewrite(path, head, {**files, "files/link": b""}, kind=tarfile.LNKTYPE)


def a_device(path, head, files):
    rewrite(path, head, {**files, "files/link": b""}, kind=tarfile.CHRTYPE)


def index_in_the_lock(path, head, files):
    rewrite(path, head, {**files, LOCK: files[LOCK] + b"--index-url https://example.org/simple\n"})


def url_in_the_lock(path, head, files):
    rewrite(path, head, {**files, LOCK: files[LOCK] + b"evil @ https://example.org/evil.tar.gz\n"})


def without_a_lock(path, head, files):
    del files[LOCK], head["files"][LOCK]
    rewrite(path, head, files)


def another_index(path, head, files):
    row = files["files/environments.toml"].replace(b"keras = 3\n", b'keras = 3\nindex = "https://example.org/simple"\n')
    rewrite(path, head, {**files, "files/environments.toml": row})


def another_base(path, head, files):
    row = files["files/environments.toml"].replace(b"keras = 3\n", b'keras = 3\nbase = "example.org/evil:1"\n')
    rewrite(path, head, {**files, "files/environments.toml": row})


def an_option_for_an_image(path, head, files):
    head["record"]["image_id"] = "--privileged"
    rewrite(path, head, files)


def an_option_for_a_cell(path, head, files):
    head["record"]["cell"] = "--basetemp=/::x"
    rewrite(path, head, files)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (cut, "is damaged"),
        (no_archive, "is damaged, or no bundle"),
        (no_bundle, "is no bundle"),
        (other_version, "is of version 2, this checkout reads 1"),
        (no_record, "is damaged: bundle.json: Object missing required field `cell`"),
        (altered, "files/pyproject.toml has another SHA-256"),
        (a_file_is_missing, "files/pyproject.toml is missing"),
        (not_listed, "'files/more' is not what it lists"),
        (leads_out, "leads out of the folder"),
        (absolute, "leads out of the folder"),
        (a_link, "'files/link' is not what it lists"),
        (a_hard_link, "'files/link' is not what it lists"),
        (a_device, "'files/link' is not what it lists"),
        (index_in_the_lock, "of its lock pins no distribution: '--index-url"),
        (url_in_the_lock, "of its lock pins no distribution: 'evil @"),
        (without_a_lock, f"it has no lock of {ID}"),
        (another_index, "its index of"),
        (another_base, "its base of"),
        (an_option_for_an_image, "names no cell, or no image"),
        (an_option_for_a_cell, "names no cell, or no image"),
    ],
)
def test_what_is_wrong_with_a_bundle_is_one_line_and_nothing_of_it_stays(sent, tmp_path, change, said):
    planted, whole = sent
    path = tmp_path / "sent.tar.gz"
    shutil.copy(whole, path)
    change(path, *contents(whole))
    done = planted.do("repro", str(path))
    assert (done.status, said in done.error) == (15, True), done.err
    assert str(path) in done.error and "Traceback" not in done.err
    assert list((planted.root / ".carryover").glob("bundles/*")) == [] and planted.left() == []
    assert not [p for p in (tmp_path, planted.root, planted.root.parent) if (p / "escaped").exists()]


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
    assert (done.status, "if you trust it, say --engine venv" in done.error.splitlines()[-1]) == (4, True)


@pytest.mark.parametrize("option", ["--shell", "--pdb", "--checkout"])
def test_options_that_do_not_go_together_are_one_line(failed_once, option):
    done = failed_once.do("repro", ODD, "--bundle", option)
    assert (done.status, done.error.startswith("carryover: ")) == (2, True)
