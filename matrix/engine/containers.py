"""docker and podman: an image an environment, a container a run.

Their command line is used, not a client library: python-on-whales and docker-py have no BuildKit secrets without
buildx, which Docker 20.10 does not bring.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import resource
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO

import tenacity

from matrix import disk, images, locks
from matrix.engine import registry
from matrix.engine.gpu import gpu_here
from matrix.engine.process import (
    ENVIRON,
    Command,
    Prepared,
    Running,
    Say,
    on_terminal,
    run_build,
    spawn,
)
from matrix.engine.storage import Storage
from matrix.environments import Environment
from matrix.errors import BaseImageUnavailable, DiskFull, EngineUnavailable
from matrix.images import Base
from matrix.private import private_folder, sweep
from matrix.project import Project
from matrix.tools import exclusive, is_running, undisturbed, user_cache

_TOOLKIT = "NVIDIA's container toolkit gives containers the GPU: install nvidia-container-toolkit"
_REMEDIES = {
    "container-init": "apt-get install catatonit",
    "could not select device driver": f"{_TOOLKIT} and restart docker, or use --engine venv",
    "nvidia.com/gpu": f"{_TOOLKIT}, `nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml`, or use --engine venv",
}


ENGINE_FAILED = 125  # what `docker run` and `podman run` end with when they themselves fail
_BUILDING = "localhost/carryover/building-"  # and the process and the time (ns) of the build
_REMOVALS = 10  # tries to remove a container, 0.3 s apart: an engine may be at it already


class Containers(Storage):
    """docker or podman: an image an environment, a container a run."""

    def __init__(self, project: Project, name: str) -> None:
        self.project, self.name = project, name
        self.isolation = "container"
        found = shutil.which(name)
        if found is None:
            raise EngineUnavailable(f"{name} is not installed: install it, or use another of docker, podman and venv")
        self.command = found
        self._version = ""

    def _try(self, *arguments: str, seconds: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command that takes milliseconds, or `seconds`. Raises EngineUnavailable when it does not end."""
        seconds = seconds or self.project.limits.answer_seconds
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
            others = " or ".join(f"`--engine {other}`" for other in ("docker", "podman", "venv") if other != self.name)
            start = "start it (`sudo systemctl start docker`), or " if self.name == "docker" else ""
            remedy = f"{start}choose {others}"
            raise EngineUnavailable(f"{self.name} does not answer: {words[0]}; {remedy}")
        return done.stdout.strip()

    def version(self) -> str:
        """`docker 20.10.24`. Raises EngineUnavailable."""
        if not self._version:
            shape = "{{.Server.Version}}" if self.name == "docker" else "{{.Client.Version}}"
            self._version = f"{self.name} {self._ask('version', '--format', shape)}"
        return self._version

    @tenacity.retry(
        stop=tenacity.stop_after_attempt(20),
        wait=tenacity.wait_fixed(0.2),
        retry=tenacity.retry_if_exception(lambda e: isinstance(e, EngineUnavailable) and " not known" in str(e)),
        reraise=True,
    )
    def images(self) -> dict[str, str]:
        """The id of every tagged image on this host, in one look-up."""
        # podman looks at one image after the other, and gives up when a build beside it has removed one meanwhile:
        # "image not known", "layer not known".
        lines = self._ask("image", "ls", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}").splitlines()
        found = dict(line.split(" ", 1) for line in lines if " " in line)
        return {_full_name(name): digest for name, digest in found.items()}

    def base(self, environment: Environment, here: dict[str, str]) -> Base | None:
        """The base that is on this host, with what CUDA is copied out of: the named image, else the stand-in for it."""
        base = _first(images.base_candidates(environment), here)
        candidates = images.cuda_candidates(environment)
        if base is None or not candidates:
            return base
        cuda = _first(candidates, here)
        return replace(base, cuda=cuda) if cuda else None

    def up_to_date(self, environment: Environment, here: dict[str, str] | None = None) -> Prepared | None:
        """The image of `environment`, if it is there for the lock, the Dockerfile and the base as they are now.

        `here` is what `images` has just said, for who asks about many environments.
        """
        locks.check_lock(self.project.lock(environment), environment)
        here = self.images() if here is None else here
        base = self.base(environment, here)
        if base is None:
            return None
        tag = images.tag(self.project, environment, base)
        return Prepared(environment, tag, here[tag], str(base)) if tag in here else None

    def found(self, environment: Environment, image: str, image_id: str, base: str) -> Prepared | None:
        """The image of this id, whatever it is called now, if it is there and is one of `environment`."""
        if self.label(image_id, "carryover.environment") != environment.id:
            return None
        return Prepared(environment, image, image_id, base)

    def prepare(self, environment: Environment, log: Path, say: Say) -> Prepared:
        """The image of `environment`, built if need be. The words of the build go to `log`.

        Raises LockMismatch, BaseImageUnavailable, BuildFailed, DiskFull or EngineUnavailable.
        """
        here = self.images()
        self._remove_dead_builds(here)
        found = self.up_to_date(environment, here)
        if found:
            disk.touch(found.image)
            return found
        with exclusive(self.project.state / f"{self.name}-{environment.id}.lock"):
            found = self.up_to_date(environment)  # another process may have built it meanwhile
            if found:
                return found
            base = self.base(environment, self.images()) or self._fetch(environment, say)
            tag = images.tag(self.project, environment, base)
            if registry.fetch(self.command, tag, say):
                disk.touch(tag)
                return Prepared(environment, tag, self.images()[tag], str(base))
            need = disk.needed(self.project, environment)
            with disk.room(need, environment.id, self.folder(), self.project.state / "builds", say):
                say(f"building {tag} on {base} (log: {self.project.shown(log)})")
                self._build(environment, base, tag, log)
            disk.touch(tag)
            return Prepared(environment, tag, self.images()[tag], str(base))

    def _fetch(self, environment: Environment, say: Say) -> Base:
        """The base of `environment`, pulled as far as it is not here."""
        here = self.images()
        remedy = f"`nox -s base-images -- {environment.python}` builds a stand-in from Debian packages"
        if environment.base:
            remedy = "it has this TensorFlow in it, and there is no stand-in for that: pull or load it where you can"
        candidates = images.base_candidates(environment)
        base = _first(candidates, here) or self._pull([candidates[0][1]], remedy, say)
        candidates = images.cuda_candidates(environment)
        if not candidates:
            return base
        remedy = f"`nox -s base-images -- cuda{environment.cuda}` builds a stand-in, which can be loaded and no more"
        return replace(base, cuda=_first(candidates, here) or self._pull(environment.cuda_images, remedy, say))

    def _pull(self, references: Sequence[str], remedy: str, say: Say) -> Base:
        """Fetch the first of `references` that can be had, trying again where the network may be at fault."""

        @tenacity.retry(
            stop=tenacity.stop_after_attempt(3),
            wait=tenacity.wait_exponential(multiplier=2),
            retry=tenacity.retry_if_exception(lambda e: isinstance(e, _PullFailed) and e.may_pass),
            reraise=True,
        )
        def pull(reference: str) -> None:
            done = subprocess.run(
                [self.command, "pull", "--quiet", reference], capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise _PullFailed(done.stderr.strip().splitlines()[-1:] or ["no reason given"])

        words = ""
        for reference in references:
            say(f"pulling {reference}")
            try:
                pull(reference)
                return Base(reference, self.images()[reference], "official")
            except _PullFailed as error:
                words = str(error)
                if "no space left" in words.lower():
                    raise DiskFull(
                        f"no space left to pull {reference}: free some, for example `{self.name} image prune`"
                    ) from None
        which = references[0] + (f" (and {', '.join(references[1:])} in its place)" if references[1:] else "")
        raise BaseImageUnavailable(f"{which} is not here and cannot be pulled (…{words[-120:].strip()}): {remedy}")

    def _build(self, environment: Environment, base: Base, tag: str, log: Path) -> None:
        sweep(self.project.state)
        with ExitStack() as stack:
            folder = stack.enter_context(private_folder())
            reference = stack.enter_context(self._own_name(base.reference))
            cuda = stack.enter_context(self._own_name(base.cuda.reference)) if base.cuda else ""
            context = self.project.state / "context"
            context.mkdir(exist_ok=True)
            images.write_context(self.project, environment, context)
            target = "cpu" if environment.base else environment.device  # NVIDIA's own image has CUDA where it wants it
            arguments = ["build", "--network=host", "--target", target, "--tag", tag]
            arguments += ["--build-arg", f"CUDA={cuda}"] if cuda else []
            arguments += ["--build-arg", f"BASE={reference}", "--build-arg", f"ENVIRONMENT={environment.id}"]
            arguments += ["--label", f"carryover.environment={environment.id}"]
            for name, path in images.secrets(folder, environment).items():
                arguments += ["--secret", f"id={name},src={path}"]
            # podman: one container for each stage to build in, all of which _own_name removes: of the first stage too,
            # which nothing of the image stands on.
            own = ["--layers=false", "--from", reference]
            arguments += ["--progress=plain"] if self.name == "docker" else own
            command, environ = self.builder()
            command += [*arguments, str(context)]
            run_build(command, environ, environment, log, self.project.limits.build_seconds)

    @contextmanager
    def _own_name(self, reference: str) -> Iterator[str]:
        """A name of the image `reference` that only one build has: podman calls the containers it builds in after it.

        These, with all that was installed so far, stay when the build is ended, and are removed here.
        """
        if self.name != "podman":
            yield reference
            return
        name = f"{_BUILDING}{os.getpid()}-{time.time_ns()}"
        with _names_of_podman():
            self._ask("tag", reference, name)
        try:
            yield name
        finally:
            with undisturbed():
                self._remove_build(name)

    def _remove_build(self, name: str) -> None:
        containers = self._try("ps", "--all", "--external", "--format", "{{.Names}}").stdout.split()
        own = [container for container in containers if container.startswith(f"{name.rpartition('/')[2]}-working")]
        if own:
            self._try("rm", "--force", "--ignore", *own)
        with _names_of_podman():
            self._try("rmi", name)

    def _remove_dead_builds(self, here: Iterable[str]) -> None:
        """Remove what builds have left in podman whose process was killed."""
        for name in here:
            build = re.fullmatch(rf"({_BUILDING}(\d+)-(\d+))(:latest)?", name)
            if build and not is_running(int(build[2]), int(build[3]) / 10**9):
                self._remove_build(build[1])

    def import_image(self, reference: str, tar: Path, label: str) -> None:
        """Make the image `reference` of a root file system. Raises BaseImageUnavailable."""
        arguments = ["import", "--change", f"LABEL {label}", str(tar), reference]
        done = subprocess.run([self.command, *arguments], capture_output=True, text=True, check=False)
        if done.returncode:
            raise BaseImageUnavailable(f"{self.name} cannot import {reference}: {done.stderr.strip()}")

    def build_base(self, reference: str, context: Path, label: str, prove: Callable[[str], None]) -> None:
        """Build the image `reference` of the Dockerfile in `context`, once `prove` has found nothing wrong with it.

        Raises BaseImageUnavailable, and whatever `prove` raises; what stood under the name then stays.
        """
        unproven = f"{reference}-unproven"
        command, environ = self.builder()
        arguments = ["build", "--network=none", "--label", label, "--tag", unproven, str(context)]
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, env=environ, check=False)
        if done.returncode:
            words = [line for line in done.stderr.strip().splitlines() if line.strip()][-1:] or ["no reason given"]
            raise BaseImageUnavailable(f"{self.name} cannot build {reference}: {words[0]}")
        try:
            prove(unproven)
            self._ask("tag", unproven, reference)
        finally:
            subprocess.run([self.command, "rmi", unproven], capture_output=True, check=False)

    def builder(self) -> tuple[list[str], dict[str, str]]:
        """The command that can build, and its environment."""
        if self.name == "docker":
            return [_building_client()], {**os.environ, "DOCKER_BUILDKIT": "1", "BUILDX_BUILDER": "default"}
        # podman keeps its cache mounts in a folder of TMPDIR that users would share
        return [self.command], {**os.environ, "TMPDIR": str(user_cache())}

    def label(self, image: str, name: str) -> str | None:
        """The value of the label `name` of `image`, or None."""
        shape = f'{{{{index .Config.Labels "{name}"}}}}'
        command = [self.command, "image", "inspect", "--format", shape, image]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else None

    def inside(self, run: Path) -> dict[str, str]:
        """Where the run's folders are for a command: `in` is read-only, `out` is not."""
        return {"in": "/in", "out": "/out", "lock": "/opt/lock.txt"}

    def start(self, prepared: Prepared, run: Path, words: Sequence[str], output: IO[bytes]) -> Running:
        """Start `words` in a container of its own, called after the folder of the run."""
        command = self._command(prepared, run, words)
        # podman that is killed while it creates a container leaves a half-made one, which no podman knows of.
        patience = 3.0 if self.name == "podman" else 0.0
        return Running(spawn(command.words, output, cwd=command.folder), run.name, patience)

    def attach(self, prepared: Prepared, run: Path, words: Sequence[str]) -> int:
        """Run `words` on this terminal in a container like those of cells; returns its exit status."""
        # Its own keys to detach would swallow Ctrl-P, the previous line of a shell.
        terminal = ["--tty", "--detach-keys=ctrl-@,ctrl-@", f"--env=TERM={os.environ.get('TERM', 'xterm')}"]
        try:
            status = on_terminal(self._command(prepared, run, words, terminal))
            if not of_the_container(status):
                self.remove(run.name)
            return status
        except BaseException:
            with undisturbed():
                self.remove(run.name)
            raise

    def _command(self, prepared: Prepared, run: Path, words: Sequence[str], more: Sequence[str] = ()) -> Command:
        """`docker run`, with all that a container of cells may and may not do."""
        limits = self.project.limits
        options = ["--name", run.name, "--rm", "--interactive", "--init", "--network=none", "--read-only"]
        options.append("--log-driver=none")  # the engine's own copy of all that a cell says would have no limit
        options += ["--tmpfs=/tmp:rw,exec,size=2g", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
        options += ["--security-opt=label=disable", "--pids-limit=4096", f"--user={os.getuid()}:{os.getgid()}"]
        options += [f"--memory={limits.memory}", f"--memory-swap={limits.memory}", "--workdir=/src"]
        nosuid = ["nosuid"] if self.name == "podman" else []  # docker has no such option: no-new-privileges does it
        for source, target, more_options in (
            (self.project.root, "/src", ["readonly", *nosuid]),
            (run / "in", "/in", ["readonly", *nosuid]),
            (run / "out", "/out", nosuid),
        ):
            options += ["--mount", _fields("type=bind", f"src={source}", f"dst={target}", *more_options)]
        for name, value in {**ENVIRON, **prepared.environment.env, **prepared.environ}.items():
            options += ["--env", f"{name}={value}"]
        options += ["--env=CARRYOVER_OUT=/out", "--env=HOME=/tmp"]
        options += self._podman_options()
        if prepared.environment.device == "gpu" and gpu_here():
            options.append(self._gpu_option())
        # podman's monitor leaves a file called oom where it stands, when memory runs out: not in the checkout.
        return Command([self.command, "run", *options, *more, prepared.image_id, *words], run)

    def _gpu_option(self) -> str:
        return "--gpus=all" if self.name == "docker" else "--device=nvidia.com/gpu=all"

    def refuses_gpu(self, image: str) -> str:
        """Why a container of `image` does not get this host's GPUs, with what helps; empty if it does."""
        done = self.run_in(image, "true", options=[self._gpu_option()])
        return did_not_start(done.stderr) if done.returncode else ""

    def _podman_options(self) -> list[str]:
        """Limits that this process may set: podman's own are higher than some hosts allow, and nothing would start."""
        if self.name != "podman":
            return []
        limits = {"nofile": resource.RLIMIT_NOFILE, "nproc": resource.RLIMIT_NPROC}
        hard = {name: resource.getrlimit(number)[1] for name, number in limits.items()}
        few = {name: 16384 if most == resource.RLIM_INFINITY else min(most, 16384) for name, most in hard.items()}
        user = ["--userns=keep-id"] if os.getuid() else []
        return [f"--ulimit={name}={value}:{value}" for name, value in few.items()] + user

    def run_in(self, image: str, *command: str, options: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        """Run a short command in a fresh container of `image`, without network, and wait for it."""
        options = ["--rm", "--network=none", *self._podman_options(), *options]
        return subprocess.run(
            [self.command, "run", *options, image, *command], capture_output=True, text=True, check=False
        )

    def remove(self, name: str) -> None:
        """Remove the container called `name`, whatever state it is in, also one that is just being created.

        Raises EngineUnavailable, with the command to do it by hand, where it stays.
        """
        arguments = ["rm", "--force", *(["--time=0"] if self.name == "podman" else []), name]
        by_hand = f"The container {name} may be left: {self.name} rm -f {name}"
        words = ""
        for attempt in range(_REMOVALS):
            try:
                done = self._try(*arguments)
            except EngineUnavailable as error:
                raise EngineUnavailable(f"{error} {by_hand}") from None
            words = done.stderr.strip()
            is_none = "no such container" in words.lower()
            if done.returncode == 0 and not is_none:
                return
            if is_none and attempt >= 2:  # it is not being created either
                return
            if attempt < _REMOVALS - 1:
                time.sleep(0.3)
        raise EngineUnavailable(f"{self.name} rm: {(words.splitlines() or ['it said nothing'])[-1][:300]}. {by_hand}")


def of_the_container(status: int) -> bool:
    """Whether `docker run` ended with `status` because its container did; else that may still be there."""
    return status >= 0 and status != ENGINE_FAILED


def did_not_start(said: str) -> str:
    """Why a container did not start, of what docker or podman said, with what helps where that is known."""
    advice = re.compile(r"\s*(See|Run) '.* --help'")  # docker's last line, whatever the matter is
    lines = [line.strip() for line in said.splitlines() if line.strip() and not advice.match(line)]
    words = (lines or ["it said nothing"])[-1][:300]
    for sign, remedy in _REMEDIES.items():
        if sign in words:
            return f"{words}; {remedy}"
    return words


def _fields(*fields: str) -> str:
    """`fields` as both engines read them, which is a line of CSV: a path may have a comma or a quote in it."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(fields)
    return line.getvalue()


def _names_of_podman() -> AbstractContextManager[bool]:
    """podman reads all names of an image, adds one and writes them back: of two at once one is lost."""
    return exclusive(user_cache() / "podman-names.lock")


def _first(candidates: Sequence[tuple[str, str]], here: dict[str, str]) -> Base | None:
    """The first of the candidates that is on this host."""
    return next((Base(name, here[name], kind) for kind, name in candidates if name in here), None)


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
