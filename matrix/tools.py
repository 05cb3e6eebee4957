"""Small things that several modules need: uv's path, locks between processes, and what this host is."""

from __future__ import annotations

import contextlib
import fcntl
import glob
import os
import platform
import re
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from matrix.errors import BadConfiguration


@cache
def uv() -> str:
    """The path of the uv executable: the one beside this Python (nox installs it there), else the one on PATH."""
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        raise BadConfiguration("uv is not installed beside this Python nor on PATH: run through nox, or pip install uv")
    return found


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Hold SIGINT and SIGTERM back until the block has ended, so that what must be done wholly is."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Python handles signals in the main thread alone
        return
    held: list[int] = []
    stopping = (signal.SIGINT, signal.SIGTERM)
    before = {stop: signal.signal(stop, lambda number, frame: held.append(number)) for stop in stopping}
    try:
        yield
    finally:
        for stop, handler in before.items():
            signal.signal(stop, handler)
        for number in held[:1]:
            signal.raise_signal(number)


def end_with_the_parent() -> None:
    """End as by SIGTERM, everything cleaned up, when the process that started this one is gone, killed outright too."""

    def watch() -> None:
        while os.read(0, 1):  # not through a buffer, which the interpreter would wait for at its end
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


@contextlib.contextmanager
def exclusive(path: Path, wait: bool = True) -> Iterator[bool]:
    """Hold the lock of `path` between processes; yields whether it is held (always, with `wait`).

    The kernel drops it with the process, so a process that is killed leaves no lock behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, held = -1, False
    try:
        while not held:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                break
            held = _is_still(path, descriptor)
            if not held:
                os.close(descriptor)
                descriptor = -1
        yield held
    finally:
        if descriptor != -1:
            os.close(descriptor)


@contextlib.contextmanager
def whole_file(path: Path, folder: Path | None = None) -> Iterator[Path]:
    """A path beside `path`, or in `folder`, to write to: it takes the place of `path` at the end of the block.

    What the dead have left there goes.
    """
    folder = folder or path.parent
    for left in folder.glob(f".{glob.escape(path.name)}.*"):
        process = left.name.rpartition(".")[2]
        if process.isdigit() and not Path("/proc", process).exists():
            left.unlink(missing_ok=True)
    partial = folder / f".{path.name}.{os.getpid()}"
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def is_running(pid: int, since: float) -> bool:
    """Whether the process that had the number `pid` at the time `since` (Unix) still runs, and not another one."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime "))
    except OSError:
        return False
    started = int(boot.split()[1]) + int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return fields[0] != "Z" and started < since + 1  # btime is a whole number


def hold(folder: Path) -> int:
    """Say that this process uses `folder`, as long as it lives or until the descriptor that is given is closed."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


def is_held(folder: Path) -> bool:
    """Whether some process uses `folder`."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)


def _is_still(path: Path, descriptor: int) -> bool:
    """Whether `path` is the open file: who held its lock before may have deleted it, and then it guards nothing."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def user_cache() -> Path:
    """A folder of this user's for what may be fetched or built again."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "carryover"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


_GIB_EACH = 3  # the cells of a release were seen to take 1.2 at most


def at_once() -> int:
    """How many releases this machine runs beside each other: one per core, as far as there is memory for them."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return max(1, min(len(os.sched_getaffinity(0)), int(memory / _GIB_EACH)))


#: The flags of a processor that numerical libraries choose their code by, and `hypervisor`: a virtual machine.
_FLAGS = re.compile(r"ssse3|sse4|avx|fma|f16c|amx|hypervisor|asimd|sve")


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> dict[str, str]:
    """The processor as the kernel describes it: name, vendor, family and model, and the flags that code depends on."""
    lines: list[str] = []
    with contextlib.suppress(OSError):
        lines = cpuinfo.read_text().partition("\n\n")[0].splitlines()  # one core stands for all
    said = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    flags = said.get("flags", said.get("Features", "")).split()
    return {
        "processor": said.get("model name", platform.machine()),
        "vendor": said.get("vendor_id", ""),
        "family/model": "/".join(filter(None, (said.get("cpu family"), said.get("model")))),
        "flags": " ".join(sorted(filter(_FLAGS.match, flags))),
    }


@cache
def host() -> dict[str, str]:
    """What this machine is, for the records: no name of it, only what a result may depend on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        **processor(),
        "cpus": str(len(os.sched_getaffinity(0))),
        "memory": f"{memory:.1f} GiB",
    }
