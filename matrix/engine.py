"""The only module that runs docker, podman or a virtual environment.

Every engine offers the same four things: `prepare` an environment (build it, or find it built), `start` a command in
it, `remove` what was started, and say what it is. The command line of docker and podman is used, not a client library:
python-on-whales and docker-py have no BuildKit secrets without buildx, which Docker 20.10 does not bring.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

import tenacity

from matrix import images, interpreters, locks
from matrix.environments import Environment
from matrix.errors import BaseImageUnavailable, BuildFailed, CarryoverError, DiskFull, EngineUnavailable
from matrix.images import Base
from matrix.project import Project
from matrix.tools import exclusive, undisturbed, user_cache, uv

NAMES = ("docker", "podman", "venv")
_GPU_SECONDS = 20  # for nvidia-smi

Say = Callable[[str], None]


@dataclass(frozen=True)
class Prepared:
    """An environment in which cells can run. `image`, `image_id` and `base` go into every record."""

    environment: Environment
    image: str
    image_id: str
    base: str


class Running:
    """A command that was started: its process here, which ends when the command does."""

    def __init__(self, process: subprocess.Popen[bytes], name: str, patience: float = 0.0) -> None:
        self.process, self.name = process, name
        self.patience = patience  # seconds in which it may end in order, before it is killed


class Engine(Protocol):
    """What the rest of the host's side knows of an engine."""

    name: str
    isolation: str

    def version(self) -> str: ...
    def up_to_date(self, environment: Environment) -> Prepared | None: ...
    def prepare(self, environment: Environment, log: Path, say: Say) -> Prepared: ...
    def start(self, prepared: Prepared, run: Path, arguments: Sequence[str], output: IO[bytes]) -> Running: ...
    def remove(self, name: str) -> None: ...
    def inside(self, run: Path) -> dict[str, str]: ...


class Containers:
    """docker or podman: an image an environment, a container a run."""

    def __init__(self, project: Project, name: str) -> None:
        self.project, self.name = project, name
        self.isolation = "container"
        found = shutil.which(name)
        if found is None:
            raise EngineUnavailable(f"{name} is not installed: install it, or use another of {', '.join(NAMES)}")
        self.command = found
        self._version = ""

    def _try(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command that takes milliseconds. Raises EngineUnavailable when it does not end."""
        seconds = self.project.limits.answer_seconds
        try:
            return subprocess.run(
                [self.command, *arguments], capture_output=True, text=True, timeout=seconds, check=False
            )
        except subprocess.TimeoutExpired:
            raise EngineUnavailable(
                f"{self.name} does not answer `{self.name} {arguments[0]}` within {seconds} s: is its daemon well?"
            ) from None

    def _ask(self, *arguments: str) -> str:
        """The output of a short command. Raises EngineUnavailable when it fails or no answer comes."""
        done = self._try(*arguments)
        if done.returncode:
            words = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
            remedy = "start it (`sudo systemctl start docker`), or choose `--engine podman` or `--engine venv`"
            raise EngineUnavailable(f"{self.name} does not answer: {words[0]}; {remedy}")
        return done.stdout.strip()

    def version(self) -> str:
        """`docker 20.10.24`. Raises EngineUnavailable."""
        if not self._version:
            shape = "{{.Server.Version}}" if self.name == "docker" else "{{.Client.Version}}"
            self._version = f"{self.name} {self._ask('version', '--format', shape)}"
        return self._version

    def images(self) -> dict[str, str]:
        """The id of every tagged image on this host, in one look-up."""
        lines = self._ask("image", "ls", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}").splitlines()
        found = dict(line.split(" ", 1) for line in lines if " " in line)
        return {_full_name(name): digest for name, digest in found.items()}

    def _base(self, environment: Environment, here: dict[str, str]) -> Base | None:
        """The base that is on this host: the official image, else the stand-in for it."""
        for kind, reference in (
            ("official", images.official_base(environment.python)),
            ("stand-in", images.stand_in_base(environment.python)),
        ):
            if reference in here:
                return Base(reference, here[reference], kind)
        return None

    def up_to_date(self, environment: Environment) -> Prepared | None:
        """The image of `environment`, if it is there for the lock, the Dockerfile and the base as they are now."""
        locks.check_lock(self.project.lock(environment), environment)
        here = self.images()
        base = self._base(environment, here)
        if base is None:
            return None
        tag = images.tag(self.project, environment, base)
        return Prepared(environment, tag, here[tag], str(base)) if tag in here else None

    def prepare(self, environment: Environment, log: Path, say: Say) -> Prepared:
        """The image of `environment`, built if need be. The words of the build go to `log`.

        Raises LockMismatch, BaseImageUnavailable, BuildFailed, DiskFull or EngineUnavailable.
        """
        found = self.up_to_date(environment)
        if found:
            return found
        with exclusive(self.project.state / f"{self.name}-{environment.id}.lock"):
            found = self.up_to_date(environment)  # another process may have built it meanwhile
            if found:
                return found
            base = self._base(environment, self.images()) or self._pull(environment, say)
            tag = images.tag(self.project, environment, base)
            say(f"building {tag} on {base.kind} {base.reference} (log: {self.project.shown(log)})")
            self._build(environment, base, tag, log)
            return Prepared(environment, tag, self.images()[tag], str(base))

    def _pull(self, environment: Environment, say: Say) -> Base:
        """Fetch the official base, trying again where the network may be at fault."""
        reference = images.official_base(environment.python)
        say(f"pulling {reference}")

        @tenacity.retry(
            stop=tenacity.stop_after_attempt(3),
            wait=tenacity.wait_exponential(multiplier=2),
            retry=tenacity.retry_if_exception(lambda e: isinstance(e, _PullFailed) and e.may_pass),
            reraise=True,
        )
        def pull() -> None:
            done = subprocess.run(
                [self.command, "pull", "--quiet", reference], capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise _PullFailed(done.stderr.strip().splitlines()[-1:] or ["no reason given"])

        try:
            pull()
        except _PullFailed as error:
            if "no space left" in str(error).lower():
                raise DiskFull(
                    f"no space left to pull {reference}: free some, for example `{self.name} image prune`"
                ) from None
            raise BaseImageUnavailable(
                f"{reference} is not here and cannot be pulled (…{str(error)[-120:].strip()}): "
                f"`nox -s base-images -- {environment.python}` builds a stand-in from Debian packages"
            ) from None
        return Base(reference, self.images()[reference], "official")

    def _build(self, environment: Environment, base: Base, tag: str, log: Path) -> None:
        temporary = tempfile.TemporaryDirectory(prefix="build-", dir=self.project.state)
        with temporary as folder, self._own_name(base) as reference:
            context = Path(folder) / "context"
            context.mkdir()
            images.write_context(self.project, environment, context)
            arguments = ["build", "--network=host", "--target", environment.device, "--tag", tag]
            arguments += ["--build-arg", f"BASE={reference}", "--label", f"carryover.environment={environment.id}"]
            for name, path in images.secrets(Path(folder)).items():
                arguments += ["--secret", f"id={name},src={path}"]
            command = _building_client() if self.name == "docker" else self.command
            if self.name == "docker":
                arguments.append("--progress=plain")
            environ = {**os.environ, "DOCKER_BUILDKIT": "1", "BUILDX_BUILDER": "default"}
            if self.name == "podman":  # keeps its cache mounts in a folder of TMPDIR that users would share
                environ["TMPDIR"] = str(user_cache())
                arguments.append("--layers=false")  # one container to build in, which _own_name removes
            _run_build(
                [command, *arguments, str(context)], environ, environment, log, self.project.limits.build_seconds
            )

    @contextmanager
    def _own_name(self, base: Base) -> Iterator[str]:
        """A name of `base` that only one build has: podman calls the container it builds in after it.

        That container, with all that was installed so far, stays when the build is ended, and is removed here.
        """
        if self.name != "podman":
            yield base.reference
            return
        name = f"building-{os.getpid()}-{time.time_ns()}"
        self._ask("tag", base.reference, f"localhost/carryover/{name}")
        try:
            yield f"localhost/carryover/{name}"
        finally:
            with undisturbed():
                self._try("rm", "--force", "--ignore", f"{name}-working-container")
                self._try("rmi", f"localhost/carryover/{name}")

    def import_image(self, reference: str, tar: Path, label: str, prove: Callable[[str], None]) -> None:
        """Make the image `reference` of a root file system, once `prove` has found nothing wrong with it.

        Raises BaseImageUnavailable, and whatever `prove` raises; what stood under the name then stays.
        """
        unproven = f"{reference}-unproven"
        arguments = ["import", "--change", 'CMD ["python3"]', "--change", f"LABEL {label}", str(tar), unproven]
        done = subprocess.run([self.command, *arguments], capture_output=True, text=True, check=False)
        if done.returncode:
            raise BaseImageUnavailable(f"{self.name} cannot import {reference}: {done.stderr.strip()}")
        try:
            prove(unproven)
            self._ask("tag", unproven, reference)
        finally:
            subprocess.run([self.command, "rmi", unproven], capture_output=True, check=False)

    def label(self, image: str, name: str) -> str | None:
        """The value of the label `name` of `image`, or None."""
        shape = f'{{{{index .Config.Labels "{name}"}}}}'
        command = [self.command, "image", "inspect", "--format", shape, image]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else None

    def inside(self, run: Path) -> dict[str, str]:
        """Where the run's folders are for a command: `in` is read-only, `out` is not."""
        return {"in": "/in", "out": "/out", "lock": "/opt/lock.txt"}

    def start(self, prepared: Prepared, run: Path, arguments: Sequence[str], output: IO[bytes]) -> Running:
        """Start the recorder in a container of its own, called after the folder of the run."""
        limits = self.project.limits
        options = ["--name", run.name, "--rm", "--interactive", "--init", "--network=none", "--read-only"]
        options += ["--tmpfs=/tmp:rw,exec,size=2g", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
        options += ["--security-opt=label=disable", "--pids-limit=4096", f"--user={os.getuid()}:{os.getgid()}"]
        options += [f"--memory={limits.memory}", f"--memory-swap={limits.memory}", "--workdir=/src"]
        for source, target, mode in (
            (self.project.root, "/src", ",readonly"),
            (run / "in", "/in", ",readonly"),
            (run / "out", "/out", ""),
        ):
            options += ["--mount", f"type=bind,src={source},dst={target}{mode}"]
        for name, value in _ENVIRON.items():
            options += ["--env", f"{name}={value}"]
        options += ["--env=CARRYOVER_OUT=/out", "--env=HOME=/tmp"]
        options += self._podman_options()
        if prepared.environment.device == "gpu" and gpu_here():
            options += ["--gpus=all"] if self.name == "docker" else ["--device=nvidia.com/gpu=all"]
        command = [self.command, "run", *options, prepared.image, "python", "-m", "tests.recorder", "/out", *arguments]
        # podman's monitor leaves a file called oom where it stands, when memory runs out.
        # And podman that is killed while it creates a container leaves a half-made one, which no podman knows of.
        return Running(_spawn(command, output, cwd=run), run.name, 3.0 if self.name == "podman" else 0.0)

    def _podman_options(self) -> list[str]:
        """Limits that this process may set: podman's own are higher than some hosts allow, and nothing would start."""
        if self.name != "podman":
            return []
        limits = {"nofile": resource.RLIMIT_NOFILE, "nproc": resource.RLIMIT_NPROC}
        hard = {name: resource.getrlimit(number)[1] for name, number in limits.items()}
        few = {name: 16384 if most == resource.RLIM_INFINITY else min(most, 16384) for name, most in hard.items()}
        user = ["--userns=keep-id"] if os.getuid() else []
        return [f"--ulimit={name}={value}:{value}" for name, value in few.items()] + user

    def run_in(self, image: str, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a short command in a fresh container of `image`, without network, and wait for it."""
        options = ["--rm", "--network=none", *self._podman_options()]
        return subprocess.run(
            [self.command, "run", *options, image, *command], capture_output=True, text=True, check=False
        )

    def remove(self, name: str) -> None:
        """Remove the container called `name`, whatever state it is in, also one that is just being created."""
        arguments = ["rm", "--force", *(["--time=0"] if self.name == "podman" else []), name]
        for attempt in range(3):
            try:
                done = self._try(*arguments)
            except EngineUnavailable as error:
                raise EngineUnavailable(f"{error} The container {name} may be left: {self.name} rm -f {name}") from None
            if done.returncode == 0 and "no such container" not in done.stderr.lower():
                return
            if attempt < 2:
                time.sleep(0.3)


class VirtualEnvironments:
    """No containers: the same locks and the same cells, in virtual environments that uv makes."""

    name = "venv"
    isolation = "none"

    def __init__(self, project: Project) -> None:
        self.project = project

    def version(self) -> str:
        """`venv (uv 0.9.1)`."""
        done = subprocess.run([uv(), "--version"], capture_output=True, text=True, check=False)
        return f"venv ({' '.join(done.stdout.split()[:2])})"

    def _folder(self, environment: Environment, interpreter: Path) -> Path:
        lock = images.Base(str(interpreter), "", "")
        name = images.tag(self.project, environment, lock).rpartition("/")[2].replace(":", "-")
        return self.project.state / "venvs" / name

    def _prepared(self, environment: Environment, interpreter: Path) -> Prepared:
        folder = self._folder(environment, interpreter)
        return Prepared(environment, folder.name, folder.name.rpartition("-")[2], f"CPython at {interpreter}")

    def up_to_date(self, environment: Environment) -> Prepared | None:
        """The virtual environment of `environment`, if it is there for the lock as it is now."""
        locks.check_lock(self.project.lock(environment), environment)
        interpreter = interpreters.find(environment.python)
        if interpreter is None or not self._folder(environment, interpreter).exists():
            return None
        return self._prepared(environment, interpreter)

    def prepare(self, environment: Environment, log: Path, say: Say) -> Prepared:
        """The virtual environment of `environment`, made if need be, under its final name only when it is complete."""
        locks.check_lock(self.project.lock(environment), environment)
        interpreter = interpreters.require(environment.python)
        folder = self._folder(environment, interpreter)
        with exclusive(self.project.state / f"venv-{environment.id}.lock"):
            if not folder.exists():
                say(f"making {folder.name} with {interpreter} (log: {self.project.shown(log)})")
                partial = folder.with_name(folder.name + ".partial")
                shutil.rmtree(partial, ignore_errors=True)
                try:
                    self._make(environment, interpreter, partial, log)
                    partial.rename(folder)
                finally:
                    shutil.rmtree(partial, ignore_errors=True)
        return self._prepared(environment, interpreter)

    def _make(self, environment: Environment, interpreter: Path, folder: Path, log: Path) -> None:
        environ = {**os.environ, "UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1"}
        environ.pop("VIRTUAL_ENV", None)
        lock = str(self.project.lock(environment))
        python = str(folder / "bin" / "python")
        install = ["pip", "install", "--quiet", "--python", python, "--no-deps", "--require-hashes"]
        for command in (
            ["venv", "--quiet", "--python", str(interpreter), str(folder)],
            [*install, "--compile-bytecode", "--requirements", lock],
        ):
            _run_build([uv(), *command], environ, environment, log, self.project.limits.build_seconds)

    def inside(self, run: Path) -> dict[str, str]:
        """The run's folders, which are themselves."""
        return {"in": str(run / "in"), "out": str(run / "out"), "lock": ""}

    def start(self, prepared: Prepared, run: Path, arguments: Sequence[str], output: IO[bytes]) -> Running:
        """Start the recorder in a session of its own, with none of the caller's variables."""
        binaries = self.project.state / "venvs" / prepared.image / "bin"
        temporary = run / "tmp"
        temporary.mkdir(exist_ok=True)
        environ = {
            **_ENVIRON,
            "PATH": f"{binaries}:{os.defpath}",
            "HOME": str(temporary),
            "TMPDIR": str(temporary),
            "CARRYOVER_OUT": str(run / "out"),
            "PYTHONNOUSERSITE": "1",
        }
        command = [str(binaries / "python"), "-m", "tests.recorder", str(run / "out"), *arguments]
        return Running(_spawn(command, output, cwd=self.project.root, env=environ), run.name)

    def remove(self, name: str) -> None:
        """Nothing stays but processes, which end with the one that `start` gave back."""


_ENVIRON = {
    "LANG": "C.UTF-8",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "0",
    "PYTHONUNBUFFERED": "1",
    "TF_CPP_MIN_LOG_LEVEL": "1",
}


def choose(project: Project, name: str | None, say: Say) -> Engine:
    """The engine called `name`; without a name the first of docker, podman and venv that works here, said aloud.

    Raises EngineUnavailable when a name is given and that engine does not work: nothing is taken in its place.
    """
    if name is not None:
        if name not in NAMES:
            raise EngineUnavailable(f"there is no engine {name!r}: there are {', '.join(NAMES)}")
        engine: Engine = VirtualEnvironments(project) if name == "venv" else Containers(project, name)
        engine.version()
        return engine
    reasons = []
    for candidate in ("docker", "podman"):
        try:
            engine = Containers(project, candidate)
            engine.version()
            return engine
        except EngineUnavailable as error:
            reasons.append(str(error).partition(":")[0])
    say(
        f"engine venv, because {' and '.join(reasons)}: the cells run on this host, with its network and files in reach"
    )
    return VirtualEnvironments(project)


def gpu_here() -> bool:
    """Whether this host has an NVIDIA GPU with a driver that answers."""
    try:
        done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=_GPU_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and "GPU" in done.stdout


def kill(process: subprocess.Popen[bytes], patience: float = 0.0) -> None:
    """End `process` and everything that it started in its session, in order if it does that within `patience`."""
    if patience and process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class _PullFailed(Exception):
    def __init__(self, words: Sequence[str]) -> None:
        super().__init__(words[0])
        final = ("not found", "manifest unknown", "denied", "unauthorized", "no space left", "invalid reference")
        self.may_pass = not any(word in words[0].lower() for word in final)


def _full_name(reference: str) -> str:
    """`python:3.13` as docker lists it, by the name that podman gives it: docker.io/library/python:3.13."""
    first = reference.partition("/")[0]
    if "/" not in reference:
        return f"docker.io/library/{reference}"
    return reference if "." in first or first == "localhost" else f"docker.io/{reference}"


def _building_client() -> str:
    """A docker client that can use BuildKit: one with buildx, or one of before 23, which brings it."""
    seen = []
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        client = Path(folder) / "docker"
        if not os.access(client, os.X_OK):
            continue
        shape = ["version", "--format", "{{json .Client.Version}}"]
        done = subprocess.run([client, *shape], capture_output=True, text=True, check=False)
        version = str(json.loads(done.stdout.splitlines()[0])) if done.stdout.strip() else "?"
        buildx = subprocess.run([client, "buildx", "version"], capture_output=True, check=False).returncode == 0
        if buildx or (version.partition(".")[0].isdigit() and int(version.partition(".")[0]) < 23):
            return str(client)
        seen.append(f"{client} {version}")
    raise EngineUnavailable(
        f"no docker client here can build with BuildKit ({', '.join(seen)}, without buildx): install docker-buildx"
    )


def _spawn(command: Sequence[str], output: IO[bytes], **options: object) -> subprocess.Popen[bytes]:
    """Start `command` in a session of its own: a Ctrl-C on the terminal is for the host's side to handle."""
    return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
        command, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, start_new_session=True, **options
    )


def _run_build(
    command: Sequence[str], environ: dict[str, str], environment: Environment, log: Path, seconds: int
) -> None:
    """Run a build with its words in `log`. Raises BuildFailed or DiskFull with the line that says why."""
    with log.open("ab") as output:
        start = output.tell()
        process = None
        try:
            with undisturbed():  # so that what was started is known, and ended
                process = _spawn(command, output, env=environ)
            status = process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise BuildFailed(
                f"{environment.id} was not built within {seconds} s (CARRYOVER_BUILD_SECONDS); log: {log}"
            ) from None
        finally:
            if process:
                kill(process)
    if status == 0:
        return
    words = log.read_bytes()[start:].decode(errors="replace")
    raise _build_error(environment, words, log)


def _build_error(environment: Environment, words: str, log: Path) -> CarryoverError:
    lines = [re.sub(r"^#\d+ (\d+\.\d+ )?", "", line.strip()).strip() for line in words.splitlines() if line.strip()]
    full = [line for line in lines if "no space left on device" in line.lower()]
    if full:
        return DiskFull(
            f"no space left on the disk to build {environment.id}: {full[-1][-200:]}; free some and run again"
        )
    # uv says `error: …` and then `cause: …`; after it docker and podman repeat the whole command that failed
    of_uv = [line for line in lines if re.match(r"error: |cause: |× |╰─▶ ", line)]
    of_engine = [line for line in lines if re.match(r"error", line, re.IGNORECASE)]
    cause = "; ".join(of_uv[:3]) or (of_engine or lines or ["it said nothing"])[-1]
    return BuildFailed(f"{environment.id} could not be built: {cause[:400]}; log: {log}")
