"""What an image needs is known before it is built, and what was used least recently goes first."""

from __future__ import annotations

import os
import shutil
import threading
import time
from pathlib import Path

import pytest

from matrix import disk
from matrix.disk import GB, Kept
from matrix.engine.storage import Layer
from matrix.errors import BadConfiguration, DiskFull
from matrix.image_builds import select
from matrix.image_report import sharing, write_sizes
from matrix.project import Project

CHECKOUT = Path(__file__).resolve().parents[3]


@pytest.fixture
def project(tmp_path):
    """A checkout of its own to write sizes to."""
    (tmp_path / "docker").mkdir()
    shutil.copy(CHECKOUT / "environments.toml", tmp_path)
    return Project(tmp_path)


def test_what_does_not_fit_is_refused_with_what_it_needs_and_what_is_free(tmp_path):
    there = disk.free(tmp_path)
    disk.require(0, "cpu-tf2.21", tmp_path / "not" / "there" / "yet")
    with pytest.raises(DiskFull, match=r"cpu-tf2.21 needs about .* GB on the disk of .*, and .* GB are free: .*clean"):
        disk.require(there + GB, "cpu-tf2.21", tmp_path)


def test_a_disk_of_another_host_is_not_judged():
    disk.require(10**18, "cpu-tf2.21", None)


def test_builds_that_do_not_fit_beside_each_other_take_turns(tmp_path, monkeypatch):
    """Two that each fit alone filled the disk together, and both failed."""
    monkeypatch.setattr(disk, "free", lambda folder: 10 * GB)
    said, order = [], []
    inside = threading.Event()

    def build(name, need, say):
        with disk.room(need * GB, name, tmp_path, tmp_path / "builds", say):
            order.append(name)
            inside.set()
            while name == "first" and not said:
                time.sleep(0.01)
            order.append(name)

    first = threading.Thread(target=build, args=("first", 6, str))
    first.start()
    assert inside.wait(10)
    build("small", 2, str)
    build("large", 5, said.append)
    first.join()
    assert order == ["first", "small", "small", "first", "large", "large"]
    assert said == ["5.0 GB do not fit on the disk beside the builds under way: waiting for them"]
    with pytest.raises(DiskFull, match="larger needs about"):
        build("larger", 10, str)
    assert [path.name for path in (tmp_path / "builds").iterdir()] == ["lock"]


def test_what_fits_to_the_last_byte_is_made_and_one_byte_more_is_not(tmp_path, monkeypatch):
    def room(name, need):
        return disk.room(need, name, tmp_path, tmp_path / "builds", pytest.fail)

    spare = disk._SPARE
    monkeypatch.setattr(disk, "free", lambda folder: 8 * GB + spare)
    with room("alone", 8 * GB):
        pass
    with room("first", 6 * GB), room("second", 2 * GB):
        pass
    with pytest.raises(DiskFull, match="alone needs about"), room("alone", 8 * GB + 1):
        pass
    with pytest.raises(pytest.fail.Exception, match="waiting for them"), room("first", 6 * GB):
        with room("second", 2 * GB + 1):
            pass
    assert [path.name for path in (tmp_path / "builds").iterdir()] == ["lock"]


def test_the_claim_of_a_build_that_was_killed_counts_no_more(tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "free", lambda folder: 10 * GB)
    (tmp_path / "killed-1").write_text(str(9 * GB))
    with disk.room(5 * GB, "next", tmp_path, tmp_path, str):
        assert not (tmp_path / "killed-1").exists()


def test_sizes_that_were_recorded_are_what_a_build_needs_twice(project):
    row = project.environment("cpu-tf2.21")
    assert disk.needed(project, row) == 4 * GB  # nobody has measured it
    write_sizes(project, {"cpu-tf2.21": 1_500_400_000})
    write_sizes(project, {"cpu-tf2.20": 1_000_000_000, "cpu-tf9.9": 1})
    assert disk.sizes(project) == {"cpu-tf2.20": 1_000_000_000, "cpu-tf2.21": 1_500_000_000}
    assert disk.needed(project, row) == 3 * GB


def test_a_file_of_sizes_that_is_none_is_named(project):
    (project.root / "docker/sizes.toml").write_text("[megabytes]\nx = 'y'\n")
    with pytest.raises(BadConfiguration, match=r"sizes\.toml"):
        disk.sizes(project)


def test_the_least_recently_used_goes_first_and_no_more_than_must():
    kept = [Kept("image", name, {name: 10}, used) for name, used in (("b", 2), ("a", 1), ("c", 3))]
    assert [item.name for item in disk.over_budget(kept, 30)] == []
    assert [item.name for item in disk.over_budget(kept, 29)] == ["a"]
    assert [item.name for item in disk.over_budget(kept, 10)] == ["a", "b"]
    assert [item.name for item in disk.over_budget(kept, 0)] == ["a", "b", "c"]


def test_what_is_shared_is_counted_once_and_freed_with_the_last():
    kept = [Kept("image", name, {"shared": 100, name: 10}, used) for used, name in enumerate("abc")]
    assert disk.held(kept) == 130
    assert [item.name for item in disk.over_budget(kept, 120)] == ["a"]
    assert [item.name for item in disk.over_budget(kept, 109)] == ["a", "b", "c"]


@pytest.mark.parametrize(("text", "size"), [("", None), ("0", 0), ("40", 40 * GB), ("2.5", 2.5 * GB)])
def test_the_budget_is_in_gigabytes(monkeypatch, text, size):
    monkeypatch.setenv("CARRYOVER_DISK_GB", text)
    assert disk.budget() == size


@pytest.mark.parametrize("text", ["-1", "much", "nan", "1e9"])
def test_a_budget_that_is_no_number_is_refused(monkeypatch, text):
    monkeypatch.setenv("CARRYOVER_DISK_GB", text)
    with pytest.raises(BadConfiguration, match="CARRYOVER_DISK_GB"):
        disk.budget()


def test_use_is_remembered_until_it_is_gone(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = time.time() - 1000
    assert disk.last_used("image:a", made) == made
    disk.touch("image:a")
    assert disk.last_used("image:a", made) > made + 900 and disk.last_used("image:b", made) == made
    disk.forget("image:a")
    assert disk.last_used("image:a", made) == made


def test_a_file_with_two_names_takes_its_room_once(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 1_000_000)
    alone = disk.folder_size(tmp_path)
    os.link(tmp_path / "a", tmp_path / "b")
    assert 1_000_000 <= alone == disk.folder_size(tmp_path) < 1_100_000


def test_layers_are_shared_with_all_that_is_below_them():
    one = [Layer("base", 100, ""), Layer("base+common", 50, ""), Layer("base+common+one", 850, "")]
    two = [Layer("base", 100, ""), Layer("base+common", 50, ""), Layer("base+common+two", 350, "")]
    other = [Layer("other", 100, ""), Layer("other+common", 50, "")]
    shared = sharing({"one": one, "two": two, "other": other})
    assert (shared.total, shared.together, shared.ratio) == (1650, 1500, 1500 / 1650)


def test_images_are_named_by_row_session_or_tag_each_once():
    project = Project(CHECKOUT)
    assert [row.id for row in select(project, ["cpu-tf2.21", "cpu-tf1", "cpu-tf2.21"])] == ["cpu-tf2.21", "cpu-tf1.15"]
    assert {row.session for row in select(project, ["cpu-tf2"])} == {"cpu-tf2"}
    assert "cpu-tf1.15" in [row.id for row in select(project, ["reduced"])]
