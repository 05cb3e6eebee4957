"""Another machine, as far as one can stand for it: a clone of this checkout, and none of this process's variables."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
# What belongs to the machine and the network, and not to what runs here: nox, for one, tells its children about itself.
_OF_THE_MACHINE = re.compile(
    r"HOME|USER|LOGNAME|LANG|LC_\w+|TZ|TERM|TMPDIR|XDG_\w+|DOCKER_HOST"
    r"|\w+_proxy|\w+_PROXY|SSL_CERT_\w+|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|PIP_\w+|UV_\w*INDEX\w*|UV_HTTP_\w+"
)


def environ(**more: str) -> dict[str, str]:
    """The variables of a login on this machine, and `more`. No virtual environment is on PATH."""
    path = [folder for folder in os.get_exec_path() if not (Path(folder).parent / "pyvenv.cfg").exists()]
    kept = {name: value for name, value in os.environ.items() if _OF_THE_MACHINE.fullmatch(name)}
    return {**kept, "PATH": os.pathsep.join(path), **more}


def clone(folder: Path) -> Path:
    """Copy what git does not ignore of this checkout, changes included, to `folder`, and commit it there."""
    folder.mkdir()
    words = ["git", "-C", str(CHECKOUT), "ls-files", "-co", "--exclude-standard", "-z"]
    for name in subprocess.run(words, capture_output=True, text=True, check=True).stdout.split("\0"):
        if (CHECKOUT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(CHECKOUT / name, folder / name)
    git(folder, "init", "-q", "-b", "main")
    git(folder, "remote", "add", "origin", "https://github.com/example/example.git")
    commit(folder, "before")
    return folder


def git(folder: Path, *words: str) -> None:
    """Run git in `folder`."""
    name = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", "-C", str(folder), *name, *words], check=True, stdout=subprocess.DEVNULL)


def commit(folder: Path, message: str) -> None:
    """Commit all that is in `folder`."""
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--allow-empty", "-m", message)
