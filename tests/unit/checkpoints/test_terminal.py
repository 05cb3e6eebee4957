"""What the command line does with terminals, pipes, full disks and directories that it may not read."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from checkpoints import write_saver
from checkpoints.cli import COMMANDS, main
from checkpoints.tables import progress

from .support import HERE, data

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
COMMAND = f"{sys.executable} -m checkpoints"
pty = pytest.importorskip("pty")


def shell(line):
    process = subprocess.Popen(
        line, shell=True, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True
    )
    output, errors = process.communicate(timeout=60)
    return process.returncode, output, errors


def on_terminal(arguments, columns):
    """What the command prints on a terminal of that width."""
    import fcntl
    import struct
    import termios

    here, there = pty.openpty()
    fcntl.ioctl(there, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environment = {key: value for key, value in os.environ.items() if key != "COLUMNS"}
    process = subprocess.Popen([*COMMAND.split(), *arguments], cwd=ROOT, stdout=there, env=environment)
    os.close(there)
    output = b""
    while True:
        try:
            piece = os.read(here, 65536)
        except OSError:
            piece = b""
        if not piece:
            break
        output += piece
    os.close(here)
    process.wait(timeout=60)
    return output.decode().replace("\r\n", "\n").splitlines()


def test_a_listing_fits_the_terminal_and_keeps_what_tells_names_apart(tmp_path):
    scope = "bert/encoder/layer_0/attention/output/LayerNorm/"
    names = [scope + leaf + slot for leaf in ("beta", "gamma") for slot in ("", "/adam_m", "/adam_v")]
    write_saver(tmp_path / "m", {name: np.zeros(4, "f4") for name in names})
    lines = on_terminal(["inspect", str(tmp_path / "m")], 80)
    assert max(map(len, lines)) <= 80 and len(lines) == 8
    assert "slot m (adam)" in lines[2]
    assert len({line.split()[0] for line in lines[1:7]}) == 6


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_help_fits_the_terminal_but_for_what_is_to_be_pasted(command):
    lines = on_terminal([command, "--help"], 80)
    assert max(len(line) for line in lines if not line.startswith(("  python", "      --"))) <= 80


def test_progress_is_for_terminals(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])

    def work():
        for item in range(5):
            now[0] += 1
            yield item

    assert list(progress(work(), 5, "reading")) == list(range(5))
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert list(progress(work(), 5, "reading")) == list(range(5))
    shown = capsys.readouterr().err
    assert "reading: 3 of 5" in shown and shown.endswith("\r\033[K")


def test_a_pipe_that_is_closed_ends_quietly_and_never_says_equal(tmp_path):
    for name, value in (("a", 0), ("b", 1)):
        write_saver(tmp_path / name, {f"w{number}": np.full(1, value, "f4") for number in range(5000)})
    for arguments, status in ((f"inspect {tmp_path}/a", 0), (f"diff {tmp_path}/a {tmp_path}/b", 141)):
        told = shell(f"({COMMAND} {arguments}; echo $? >{tmp_path}/status) | true")
        assert told == (0, "", "")
        assert (tmp_path / "status").read_text() == f"{status}\n"


@pytest.mark.parametrize("arguments", ["", "--help", "inspect --help"])
def test_help_into_a_closed_pipe_ends_quietly(arguments):
    assert shell(f"(sleep .2; env -u PYTHONUNBUFFERED {COMMAND} {arguments}) | true") == (0, "", "")


def test_an_error_that_is_not_of_standard_output_does_not_blame_it(monkeypatch, capsys):
    def run(options):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("checkpoints.commands.inspect.run", run)
    with pytest.raises(OSError, match="Too many open files"):
        main(["inspect", data("part")])
    assert "standard output" not in capsys.readouterr().err


def test_without_a_standard_output_the_file_is_written(tmp_path):
    assert shell(f"{COMMAND} convert {data('part')} --to {tmp_path}/out >&-") == (0, "", "")
    assert (tmp_path / "out.index").exists()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_full_standard_output_is_one_line_and_status_4():
    status, _, errors = shell(f"{COMMAND} inspect {data('part')} >/dev/full")
    assert (status, errors) == (4, "error: standard output: No space left on device\n")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_directory_that_may_not_be_read_is_one_line_and_status_4(tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(0)
    try:
        for path in (locked, locked / "model.ckpt"):
            status, _, errors = shell(f"{COMMAND} inspect {path}")
            assert status == 4 and len(errors.splitlines()) == 1 and str(locked) in errors
    finally:
        locked.chmod(0o700)


def test_without_numpy_a_listing_works_and_the_rest_says_what_to_install(tmp_path):
    (tmp_path / "numpy.py").write_text("raise ModuleNotFoundError('gone', name='numpy')\n")
    python = f"PYTHONPATH={tmp_path} {COMMAND}"
    assert shell(f"{python} inspect {data('adam')}")[0] == 0
    status, _, errors = shell(f"{python} convert {data('adam')} --to {tmp_path}/out.npz")
    assert (status, len(errors.splitlines())) == (2, 1) and "pip install numpy" in errors
