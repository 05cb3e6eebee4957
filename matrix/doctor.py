"""What this machine can run, and what helps where it cannot: a table that is there within seconds."""

from __future__ import annotations

import json
import os
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from matrix import disk, images, interpreters, locks
from matrix.engine import Containers, Gpu, VirtualEnvironments, gpus
from matrix.environments import Environment
from matrix.errors import CarryoverError
from matrix.project import Project
from matrix.table import console
from matrix.tools import host

GOOD, LACKING, BAD = "good", "lacking", "bad"
_SIGNS = {GOOD: "[green]✓[/]", LACKING: "[yellow]![/]", BAD: "[bold red]✗[/]"}
_INDEX_SECONDS = 5
# The oldest driver for a CUDA release on Linux: NVIDIA, CUDA Compatibility, "Minor Version Compatibility" (tables 1 and
# 2) and CUDA Toolkit release notes (table "CUDA Toolkit and Corresponding Driver Versions"; the full numbers are
# 450.80.02 and 525.60.13).
_DRIVERS = {"10.0": (410, 48), "10.1": (418, 39), "11.0": (450, 36), "11": (450, 80), "12": (525, 60)}
# The newest generation of GPUs, the first number of the compute capability, that its libraries have code for: code for
# 8.0 runs on all of 8.x and on nothing else (NVIDIA, Ampere Compatibility Guide; Hopper's: from CUDA 11.8). CUDA 12.9
# knows 10.x and 12.x, but TensorFlow's builds up to 2.21 end at compute_90, and on 12.0 they fail with
# CUDA_ERROR_INVALID_PTX (tensorflow/tensorflow#89272, #99592, #101746).
_NEWEST = {"10.0": 7, "10.1": 7, "11.0": 8, "11": 9, "12": 9}
# The oldest compute capability that an official build has code for, from a release on: `tf.sysconfig.get_build_info()`
# of 2.4.4 and 2.21.0, TensorFlow's .bazelrc in between (CUDA 12 has no 3.x), its release notes of 2.17 (5.x removed).
_OLDEST = (((2, 17), (6, 0)), ((2, 15), (5, 0)), ((1, 15), (3, 5)))
_NVIDIAS_OLDEST = (6, 0)  # NVIDIA's container release notes, TensorFlow 23.03


@dataclass(frozen=True)
class Finding:
    """One line: `state` is `good`, `lacking` (something will not run) or `bad` (nothing will)."""

    what: str
    state: str
    found: str
    remedy: str = ""


def doctor(project: Project, as_json: bool) -> int:
    """Print what this machine can run: 0 if the CPU environments can run here, else 1. Nothing is changed or built."""
    checks: list[Callable[[Project], Iterable[Finding]]] = [
        _host, _docker, _podman, _venv, _choice, _locks, _interpreters, _disk, _index, _gpu
    ]  # fmt: skip
    with ThreadPoolExecutor(len(checks)) as pool:
        findings = [finding for found in pool.map(lambda check: _guarded(check, project), checks) for finding in found]
    status = 1 if any(finding.state == BAD for finding in findings) else 0
    if as_json:
        print(json.dumps({"status": status, "findings": [asdict(finding) for finding in findings]}, indent=2))
        return status
    shown = Table(show_edge=False, pad_edge=False)
    for name in ("", "what", "found", "what helps"):
        shown.add_column(name, overflow="fold")
    for finding in findings:
        shown.add_row(_SIGNS[finding.state], finding.what, escape(finding.found), escape(finding.remedy))
    out = console()
    out.print(shown, soft_wrap=False)
    out.print("this machine runs the CPU environments" if status == 0 else "this machine cannot run them yet: see ✗")
    return status


def _guarded(check: Callable[[Project], Iterable[Finding]], project: Project) -> list[Finding]:
    name = check.__name__.strip("_")
    try:
        return list(check(project))
    except CarryoverError as error:
        return [Finding(name, BAD, *_split(str(error)))]
    except Exception as error:  # a check that fails is a finding, and the others are still wanted
        return [Finding(name, LACKING, f"could not be looked at: {type(error).__name__}: {error}")]


def _split(words: str) -> tuple[str, str]:
    """An error's words as what is wrong and what helps."""
    for mark in ("; ", ": install", ": `"):
        wrong, found, remedy = words.partition(mark)
        if found:
            return wrong, mark.strip("; :`") + (" " if mark == ": install" else "") + remedy.strip()
    return words, ""


def _host(project: Project) -> Iterable[Finding]:
    is_ = host()
    memory = float(is_["memory"].split()[0])
    python = ".".join(map(str, sys.version_info[:3]))
    yield Finding("host", GOOD, f"{is_['system']}, {is_['cpus']} cores, {is_['memory']}, Python {python}")
    if is_["machine"] != "x86_64":
        yield Finding("machine", BAD, is_["machine"], "the locks are for x86-64 Linux: run on such a machine")
    if memory < 4:
        yield Finding("memory", LACKING, is_["memory"], "large releases need 4 GiB: set CARRYOVER_MEMORY, use nox -j 1")
    if not os.access(project.root, os.W_OK):
        yield Finding("checkout", BAD, f"{project.root} cannot be written", "clone it to a folder of yours")


def _docker(project: Project) -> Iterable[Finding]:
    return _container_engine(project, "docker")


def _podman(project: Project) -> Iterable[Finding]:
    return _container_engine(project, "podman")


def _container_engine(project: Project, name: str) -> Iterable[Finding]:
    try:
        engine = Containers(project, name)
        version = engine.version()
    except CarryoverError as error:
        yield Finding(name, LACKING, *_split(str(error)))
        return
    yield Finding(name, GOOD, version.partition(" ")[2])
    try:
        command, _ = engine.builder()
        yield Finding(f"{name} builds", GOOD, f"with {'BuildKit, by ' if name == 'docker' else ''}{command[0]}")
    except CarryoverError as error:
        yield Finding(f"{name} builds", LACKING, *_split(str(error)))
    here = engine.images()
    bases = {python: engine.base(row, here) for python, row in _first_rows(project).items()}
    missing = [python for python, base in bases.items() if base is None]
    kinds = [f"{python} {base.kind}" for python, base in bases.items() if base]
    if missing:
        remedy = f"pulled at the first build; where that fails: nox -s base-images -- {' '.join(missing)}"
        found = f"{', '.join(kinds) or 'none'}; not here: {', '.join(missing)}"
        yield Finding(f"{name} bases", LACKING, found, remedy)
    else:
        yield Finding(f"{name} bases", GOOD, ", ".join(kinds))
    image = next((base.reference for base in bases.values() if base), None)
    if image and gpus():  # a driver on the host is not enough
        refused = engine.refuses_gpu(image)
        yield Finding(f"{name} GPU", LACKING if refused else GOOD, *_split(refused or "a container gets it"))
    rows = [row for row in project.environments.values() if row.device == "cpu" and _has_lock(project, row)]
    built = sum(engine.up_to_date(row, here) is not None for row in rows)
    remedy = "" if built == len(rows) else f"nox -s images -- --engine {name} (else each at its first run)"
    yield Finding(f"{name} images", GOOD, f"{built} of {len(rows)} CPU images are built", remedy)


def _first_rows(project: Project) -> dict[str, Environment]:
    """An environment for each Python there is, the oldest first."""
    rows = {row.python: row for row in project.environments.values() if row.device == "cpu"}
    return dict(sorted(rows.items(), key=lambda item: int(item[0].partition(".")[2])))


def _has_lock(project: Project, row: Environment) -> bool:
    try:
        locks.check_lock(project.lock(row), row)
    except CarryoverError:
        return False
    return True


def _venv(project: Project) -> Iterable[Finding]:
    yield Finding("venv", GOOD, VirtualEnvironments(project).version().partition(" ")[2].strip("()"))


def _choice(project: Project) -> Iterable[Finding]:
    name = os.environ.get("CARRYOVER_ENGINE")
    if name in ("docker", "podman"):
        try:
            Containers(project, name).version()
        except CarryoverError as error:
            wrong, remedy = _split(str(error))
            yield Finding("CARRYOVER_ENGINE", BAD, f"{name}, but {wrong}", f"{remedy}, or unset CARRYOVER_ENGINE")
    elif name and name != "venv":
        yield Finding("CARRYOVER_ENGINE", BAD, f"{name!r} is no engine", "docker, podman or venv")


def _locks(project: Project) -> Iterable[Finding]:
    rows = list(project.environments.values())
    wrong = [row.id for row in rows if not _has_lock(project, row)]
    if wrong:
        remedy = f"nox -s lock -- {' '.join(wrong)}"
        yield Finding("locks", BAD if len(wrong) == len(rows) else LACKING, f"missing or old: {len(wrong)}", remedy)
    else:
        yield Finding("locks", GOOD, f"{len(rows)}, all made for environments.toml as it is")


def _interpreters(project: Project) -> Iterable[Finding]:
    pythons = list(_first_rows(project))
    with ThreadPoolExecutor(4) as pool:
        found = dict(zip(pythons, pool.map(interpreters.find, pythons)))
    missing = [python for python, path in found.items() if path is None]
    there = ", ".join(python for python, path in found.items() if path)
    if missing:
        offered = [python for python in missing if python != "3.7"]  # uv offers none before 3.8
        ways = [f"uv python install {' '.join(offered)}"] if offered else []
        ways += ["pyenv install 3.7"] if "3.7" in missing else []
        remedy = f"for the engine venv: {'; '.join(ways)}"
        yield Finding("CPython", LACKING, f"{there or 'none'}; not here: {', '.join(missing)}", remedy)
    else:
        yield Finding("CPython", GOOD, there)


def _disk(project: Project) -> Iterable[Finding]:
    rows = [row for row in project.environments.values() if row.session in ("cpu-tf1", "cpu-tf2")]
    places: dict[str, tuple[Path, list[Environment]]] = {}
    for name in ("docker", "podman"):
        try:
            engine = Containers(project, name)
            folder = engine.folder()
            here = engine.images() if folder else {}
        except CarryoverError:
            continue
        if folder:
            left = [row for row in rows if not (_has_lock(project, row) and engine.up_to_date(row, here))]
            places[name] = (folder, left)
    # The checkout has virtual environments, which are made where there is no other engine.
    venv = VirtualEnvironments(project)
    virtual = [] if places else [row for row in rows if not (_has_lock(project, row) and venv.up_to_date(row))]
    for name, (folder, left) in {"checkout": (project.root, virtual), **places}.items():
        there = disk.free(folder)
        needs = [disk.needed(project, row) for row in left]
        all_, one = sum(needs), max(needs, default=0)
        wanted = (
            f"the {len(left)} CPU environments that are not built need about {disk.gigabytes(all_)} with their "
            f"packages, the largest {disk.gigabytes(one)}"
        )
        state, remedy = (GOOD, "") if there > all_ else (LACKING, f"{wanted}: nox -s clean, or build fewer at a time")
        if there < disk.GB:
            state, remedy = BAD, "free some: nox -s clean"
        yield Finding(f"disk of {name}", state, f"{disk.gigabytes(there)} free", remedy)


def _index(project: Project) -> Iterable[Finding]:
    url = os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("UV_INDEX_URL") or os.environ.get("PIP_INDEX_URL")
    certificates = images.certificates()
    context = ssl.create_default_context(cafile=str(certificates) if certificates else None)
    request = urllib.request.Request(url or "https://pypi.org/simple/pytest/", method="HEAD")
    name = "the package index" + (" that is set" if url else " (pypi.org)")
    state, remedy = LACKING, "set UV_DEFAULT_INDEX to an index that is in reach; what is built already still runs"
    try:
        urllib.request.urlopen(request, timeout=_INDEX_SECONDS, context=context).close()
        found, state, remedy = f"{name} answers", GOOD, ""
    except urllib.error.HTTPError as error:
        found = f"{name} answers ({error.code})"
        state, remedy = (LACKING, "its password?") if error.code in (401, 403) else (GOOD, "")
    except urllib.error.URLError as error:
        found = f"{name} does not answer: {error.reason}"
        if isinstance(error.reason, ssl.SSLError):
            remedy = "set CARRYOVER_CA_BUNDLE to the certificates of your network"
    except (OSError, ValueError) as error:
        found = f"{name} does not answer: {error}"
    yield Finding("network", state, found, remedy)


def _gpu(project: Project) -> Iterable[Finding]:
    rows = [row for row in project.environments.values() if row.device == "gpu"]
    found = gpus()
    if not found:
        text = f"no NVIDIA GPU or no driver: {len(rows)} GPU environments build, and run their cells on the CPU"
        yield Finding("GPU", LACKING, text, "a machine with a GPU and its driver (nvidia-smi), for the GPU's own cells")
    for gpu in found:
        yield Finding("GPU", GOOD, f"{gpu.name}, driver {gpu.driver}, compute capability {gpu.capability or '?'}")
        can, cannot = drives(gpu, rows)
        yield Finding("rows that it drives", GOOD if can else LACKING, f"{len(can)}: {', '.join(can) or 'none'}")
        for name, why in cannot.items():
            yield Finding(f"not {name}", LACKING, *why)


def drives(gpu: Gpu, rows: Sequence[Environment]) -> tuple[list[str], dict[str, tuple[str, str]]]:
    """The rows that `gpu` and its driver run; for the others why not, and what helps, by CUDA release."""
    can: list[str] = []
    cannot: dict[str, tuple[str, str]] = {}
    driver, capability = _numbers(gpu.driver), _numbers(gpu.capability)
    for row in rows:
        cuda = "12" if row.base or row.cuda not in _DRIVERS else row.cuda  # NVIDIA's own, or tensorflow[and-cuda]
        least = _NVIDIAS_OLDEST if row.base else next(at for since, at in _OLDEST if _numbers(row.tensorflow) >= since)
        if driver < _DRIVERS[cuda]:
            cannot[row.id] = (f"CUDA {cuda} needs driver {'.'.join(map(str, _DRIVERS[cuda]))}", "a newer driver")
        elif capability and capability[0] > _NEWEST[cuda]:
            text = (
                f"its CUDA {cuda} build has no code for compute capability {gpu.capability}, only to {_NEWEST[cuda]}.x"
            )
            remedy = "an older GPU" + (", or NVIDIA's own build of TensorFlow 1.15" if capability[0] <= 9 else "")
            cannot[row.id] = (text, remedy)
        elif capability and capability < least:
            text = f"TensorFlow {row.tensorflow} has no code for compute capability {gpu.capability}"
            cannot[row.id] = (f"{text}, only from {least[0]}.{least[1]}", "a newer GPU, or an older release")
        else:
            can.append(row.id)
    return can, cannot


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(word) for word in version.split(".")[:2] if word.isdigit())
