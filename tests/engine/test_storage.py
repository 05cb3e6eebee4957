"""What becomes of images on a disk that is small: a docker daemon of the test's own, whose data is on one."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
import threading

import pytest

from matrix import images
from tests.engine.planted import ID, PYTHON, Planted, until, wait
from tests.engine.test_disk_full import fill, small

CELLS = "def test_passes(): pass\n"


@contextlib.contextmanager
def own_daemon(folder, size):
    """(address, data folder) of a dockerd whose data is on a file system of `size`, with the base image in it."""
    if os.getuid() or not shutil.which("dockerd"):
        pytest.skip("a docker daemon of its own needs root and dockerd")
    base = images.stand_in_base(PYTHON)
    if subprocess.run(["docker", "image", "inspect", base], capture_output=True, check=False).returncode:
        base = images.official_base(PYTHON)
    # A socket's path has 107 characters at most, and a test's own folder may use them up.
    with small(folder / "data", size) as data, tempfile.TemporaryDirectory(dir="/tmp", prefix="d") as short:
        address = f"unix://{short}/docker.sock"
        command = ["dockerd", "--data-root", data, "--exec-root", f"{short}/exec", "--pidfile", f"{short}/pid"]
        command += ["--host", address, "--bridge=none", "--iptables=false", "--ip-masq=false"]
        with (folder / "dockerd.log").open("wb") as log:
            daemon = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            ask = ["docker", "--host", address]
            until(lambda: subprocess.run([*ask, "version"], capture_output=True, check=False).returncode == 0)
            save = subprocess.Popen(["docker", "save", base], stdout=subprocess.PIPE)
            subprocess.run([*ask, "load"], stdin=save.stdout, check=True, capture_output=True)
            assert save.wait() == 0
            yield address, data
        finally:
            daemon.terminate()
            daemon.wait(30)


def tagged(address):
    """The images of rows that the daemon has under a name."""
    shape = ["image", "ls", "--format", "{{.Repository}}:{{.Tag}}"]
    done = subprocess.run(["docker", "--host", address, *shape], capture_output=True, text=True, check=True)
    return [name for name in done.stdout.split() if "carryover/cpu" in name or "carryover/gpu" in name]


@pytest.fixture
def planted(working, tmp_path, locks):
    """A project whose images are small, as its docker/sizes.toml says."""
    working("docker")
    planted = Planted(tmp_path / "project", "docker").plant(locks).cells(CELLS)
    (planted.root / "docker/sizes.toml").write_text(f'[megabytes]\n"{ID}" = 20\n')
    return planted


def test_a_disk_that_fills_up_in_the_middle_of_a_build_leaves_no_image_and_refuses_the_next(planted, tmp_path):
    with own_daemon(tmp_path, "1300m") as (address, data):
        process = planted.start(DOCKER_HOST=address)
        until(lambda: (planted.root / ".carryover/context").is_dir())
        filler = threading.Thread(target=fill, args=(data,))
        filler.start()
        done = wait(process)
        filler.join()
        assert (done.status, "no space left" in done.error) == (9, True), done.out + done.err
        assert tagged(address) == [] and planted.left() == []
        assert planted.outcomes() == {"test_passes": "not run"}

        done = planted.run(DOCKER_HOST=address)
        assert done.status == 9 and "building" not in done.out, done.out
        assert re.search(rf"{ID} needs about .* GB on the disk of {data}, and 0.0 GB are free", done.error), done.error

        (data / "filler").unlink()
        assert planted.run(DOCKER_HOST=address).status == 0
        assert len(tagged(address)) == 1

        cache = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "DOCKER_HOST": address}
        done = planted.do("clean", "--dry-run", CARRYOVER_DISK_GB="0", **cache)
        assert done.status == 0 and "would go: docker image" in done.out and len(tagged(address)) == 1
        done = planted.do("clean", **cache)  # without a budget what is in use stays
        assert done.status == 0 and len(tagged(address)) == 1, done.out
        done = planted.do("clean", CARRYOVER_DISK_GB="0", **cache)
        assert done.status == 0 and tagged(address) == [], done.out
        assert re.search(r"removed: docker package cache .*\nremoved: docker image", done.out), done.out
        shape = ["system", "df", "--verbose", "--format", "{{range .BuildCache}}{{.Description}}\n{{end}}"]
        left = subprocess.run(["docker", "--host", address, *shape], capture_output=True, text=True, check=True).stdout
        assert "carryover" not in left, left


def test_images_are_built_side_by_side_and_checked_without_a_build(container_engine, tmp_path, locks):
    planted = Planted(tmp_path / "project", container_engine).plant(locks).cells(CELLS)
    planted.anew()
    try:
        assert planted.do("images", "--check", ID).status == 1
        done = planted.do("images", ID)
        assert done.status == 0 and re.search(rf"\[1/1\] ✓ built  {ID}  \d+ s", done.out), done.out + done.err
        done = planted.do("images", "--check", ID)
        assert done.status == 0 and "1 of 1 up to date" in done.out, done.out
        done = planted.do("image-report", ID)
        assert done.status == 0 and re.search(r"1 images of 1: 0\.\d GB in all", done.out), done.out + done.err
    finally:
        planted.remove_images()


def test_images_that_no_disk_holds_are_refused_before_any_is_built(container_engine, tmp_path, locks):
    planted = Planted(tmp_path / "project", container_engine).plant(locks).cells(CELLS)
    planted.anew()
    (planted.root / "docker/sizes.toml").write_text(f'[megabytes]\n"{ID}" = 90000000\n')
    done = planted.do("images", ID)
    assert (done.status, "1 images need about 180000.0 GB" in done.error) == (9, True), done.err


def test_a_build_that_fails_is_told_with_its_row_and_its_status(container_engine, tmp_path, locks):
    planted = Planted(tmp_path / "project", container_engine).plant(locks).cells(CELLS)
    lock = planted.root / f"docker/locks/{ID}.txt"
    lock.write_text(re.sub(r"^pytest==\S+", "pytest==0.0.77", lock.read_text(), flags=re.MULTILINE))
    done = planted.do("images", ID)
    assert done.status == 6 and re.search(rf"✗ failed  {ID}  .*pytest==0\.0\.77", done.out), done.out + done.err
    assert planted.do("images", "--check", ID).status == 1 and planted.left() == []
