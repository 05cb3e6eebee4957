"""What a cell in a container can see and do: as little as its work needs."""

from __future__ import annotations

import os

import pytest

from tests.engine.planted import CHECKOUT, Planted

CELLS = r"""
import os, socket, subprocess
import pytest

def status(name):
    with open("/proc/self/status") as file:
        return next(line.split(":")[1].strip() for line in file if line.startswith(name + ":"))

def refused(path):
    try:
        with open(path, "w"):
            return "written"
    except OSError as error:
        return os.strerror(error.errno)

def test_looks_around(record_property):
    record_property("uid", "%d:%d" % (os.getuid(), os.getgid()))
    record_property("capabilities", " ".join(status(name) for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb")))
    record_property("no_new_privs", status("NoNewPrivs"))
    record_property("interfaces", " ".join(sorted(os.listdir("/sys/class/net"))))
    with open("/proc/1/comm") as file:
        record_property("first", file.read().strip())
    record_property("pid", os.getpid())
    for path in ("/file", "/opt/environment/file", "/src/file", "/in/file"):
        record_property(path, refused(path))
    record_property("temporary", refused("/tmp/file"))
    record_property("out", refused(os.environ["CARRYOVER_OUT"] + "/file"))
    record_property("variables", " ".join(sorted(os.environ)))
    with open("/proc/self/mountinfo") as file:
        mounts = {words[4]: words[5].split(",") for words in map(str.split, file)}
    record_property("setuid", " ".join(path for path in ("/src", "/in", "/out") if "nosuid" not in mounts[path]))
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        if os.path.exists(path):
            with open(path) as file:
                record_property("memory", int(file.read()))

def test_reaches_nothing():
    with pytest.raises(OSError):
        socket.create_connection(("1.1.1.1", 53), timeout=5)

def test_init_reaps_orphans():
    child = os.fork()
    if child == 0:
        if os.fork() == 0:
            os._exit(0)  # its parent ends first: the orphan is the init's
        os._exit(0)
    os.waitpid(child, 0)
    import time
    time.sleep(0.3)
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with open("/proc/" + pid + "/stat") as file:
            assert file.read().split(") ")[1][0] != "Z", "a zombie is left"

def test_takes_too_much():
    taken = [b"x" * 2**20 for _ in range(1000)]

def test_runs_after_that(): pass
"""


@pytest.fixture(scope="module")
def seen(container_engine, tmp_path_factory, locks):
    """The records of cells that try what they must not do, under a memory limit."""
    planted = Planted(tmp_path_factory.mktemp("seen") / "project", container_engine).plant(locks).cells(CELLS)
    done = planted.run(CARRYOVER_MEMORY="128m", MY_SECRET="1234")
    assert done.status == 1, done.out + done.err  # one cell takes too much
    return planted.records()


@pytest.fixture(scope="module")
def details(seen):
    """What the cell that looks around saw."""
    record = seen["test_looks_around"]
    assert record.outcome.value == "passed", record.reason
    return record.details


def test_runs_as_the_caller(details):
    assert details["uid"] == f"{os.getuid()}:{os.getgid()}"


def test_has_no_capability_and_can_get_none(details):
    assert set(details["capabilities"].split()) == {"0" * 16}
    assert details["no_new_privs"] == "1"


def test_mounts_are_nosuid(details, container_engine):
    """docker's --mount has no such option: there no-new-privileges alone keeps a setuid file from doing anything."""
    assert details["setuid"] == ("" if container_engine == "podman" else "/src /in /out")


def test_has_no_network(seen, details):
    # Some kernels put down tunnel devices in every network namespace: they lead nowhere without a configuration.
    assert "lo" in details["interfaces"] and not any(name.startswith("e") for name in details["interfaces"].split())
    assert seen["test_reaches_nothing"].outcome.value == "passed"


def test_first_process_is_an_init_that_reaps(seen, details):
    assert "init" in details["first"] or details["first"] in ("tini", "catatonit"), details["first"]
    assert details["pid"] != 1 and seen["test_init_reaps_orphans"].outcome.value == "passed"


def test_can_write_to_its_own_folders_only(details):
    refused = {path: details[path] for path in ("/file", "/opt/environment/file", "/src/file", "/in/file")}
    assert set(refused.values()) <= {"Read-only file system", "Permission denied"}, refused
    assert (details["temporary"], details["out"]) == ("written", "written")


def test_sees_no_variable_of_the_caller(details):
    assert "MY_SECRET" not in details["variables"]


def test_memory_is_limited_and_who_takes_too_much_crashes_alone(seen, details):
    assert details["memory"] == 128 * 2**20
    record = seen["test_takes_too_much"]
    assert record.outcome.value == "crashed" and "the memory limit is 128m" in record.reason
    assert seen["test_runs_after_that"].outcome.value == "passed"
    assert not (CHECKOUT / "oom").exists(), "podman's monitor has left its mark where the command was typed"
