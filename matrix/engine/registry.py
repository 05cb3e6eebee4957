"""Images in a registry, under the tag that their content gives them: one that is there is the one meant."""

from __future__ import annotations

import os
import subprocess

import tenacity

from matrix.engine.process import Say
from matrix.errors import EngineUnavailable

_PASSING = ("timeout", "timed out", "connection", "eof", "temporar", "502", "503", "504", "too many requests")


class _Network(Exception):
    """The network may be at fault: another try may help."""


def remote(tag: str) -> str:
    """The name in CARRYOVER_REGISTRY of the local image `tag`; "" where there is no registry."""
    registry = os.environ.get("CARRYOVER_REGISTRY", "none").strip("/").lower()
    return "" if registry in ("", "none") else f"{registry}/{tag.removeprefix('localhost/carryover/')}"


def fetch(command: str, tag: str, say: Say) -> bool:
    """Pull the image from the registry and give it its local name `tag`; False where it is not there."""
    name = remote(tag)
    if not name:
        return False
    words = _try(command, "pull", "--quiet", name)
    if not words:
        words = _try(command, "tag", name, tag)
        _try(command, "rmi", name)  # the name alone: what is cleaned up goes by the local one
    say(f"{name} is not to be had ({words}): built here" if words else f"from the registry: {name}")
    return not words


def push(command: str, tag: str) -> str:
    """Put the image `tag` into the registry; returns its name there. Raises EngineUnavailable."""
    name = remote(tag)
    if not name:
        raise EngineUnavailable("CARRYOVER_REGISTRY names no registry to push to, such as ghcr.io/OWNER/REPOSITORY")
    words = _try(command, "tag", tag, name)
    if not words:
        words = _try(command, "push", name)
        _try(command, "rmi", name)
    if words:
        raise EngineUnavailable(f"{name} cannot be pushed: {words}")
    return name


def _try(command: str, *arguments: str) -> str:
    """Run it, again where the network may be at fault; returns "" or the last words of what failed."""

    @tenacity.retry(
        stop=tenacity.stop_after_attempt(3),
        wait=tenacity.wait_exponential(multiplier=2),
        retry=tenacity.retry_if_exception_type(_Network),
        reraise=True,
    )
    def once() -> str:
        done = subprocess.run([command, *arguments], capture_output=True, text=True, check=False)
        words = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1] if done.returncode else ""
        if any(sign in words.lower() for sign in _PASSING):
            raise _Network(words)
        return words

    try:
        return once()
    except _Network as error:
        return str(error)
