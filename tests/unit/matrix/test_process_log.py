"""What a process says reaches its log whole, printable and within bounds, whatever it does to the pipe."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from matrix import process_log
from matrix.process_log import appended, last_part


def log_of(path, code):
    with appended(path) as output:
        subprocess.run([sys.executable, "-c", code], stdout=output, stderr=subprocess.STDOUT, check=True)
    return path.read_text()


def test_lines_are_appended(tmp_path):
    (tmp_path / "log").write_text("before\n")
    assert log_of(tmp_path / "log", "print('a\\tb'); print('ü')") == "before\na\tb\nü\n"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (b"\\x1b]0;title\\x07\\x1b[2J", "\\x1b]0;title\\x07\\x1b[2J"),
        (b"a\\r\\nb\\rc\\r", "a\nb\nc\n"),
        (b"\\x08\\x08", "\\x08\\x08"),
        (b"\\xff\\xc3", "\\xff\\xc3"),
        ("\u202e\u2028\x9b".encode().__repr__()[2:-1].encode(), "\\u202e\\u2028\\x9b"),
    ],
    ids=["terminal", "carriage return", "backspace", "no UTF-8", "direction"],
)
def test_control_characters_are_escaped(tmp_path, said, shown):
    code = f"import sys; sys.stdout.buffer.write(b'{said.decode()}')"
    assert log_of(tmp_path / "log", code) == shown


def test_a_character_in_two_writes(tmp_path):
    code = "import os, time\nfor part in (b'\\xc3', b'\\xbc\\r', b'\\n'): os.write(1, part); time.sleep(0.3)"
    assert log_of(tmp_path / "log", code) == "ü\n"


def test_it_does_not_grow_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr(process_log, "LOG_BYTES", 100_000)
    text = log_of(tmp_path / "log", "for _ in range(100000): print('x' * 99)")
    assert text.startswith("x" * 99 + "\n") and len(text) < 101_000 and "… cut" in text
    assert log_of(tmp_path / "log", "print('more')") == text


def test_a_process_that_is_left_behind_is_not_waited_for(tmp_path):
    begun = time.monotonic()
    with appended(tmp_path / "log") as output:
        code = "import time; print('here', flush=True); time.sleep(60)"
        left = subprocess.Popen([sys.executable, "-c", code], stdout=output)
        while b"here" not in (tmp_path / "log").read_bytes():
            time.sleep(0.01)
    left.kill()
    left.wait()
    assert time.monotonic() - begun < 50


def test_a_full_disk_is_said_at_the_end(tmp_path):
    """And who writes is not kept from going on."""
    (tmp_path / "log").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        log_of(tmp_path / "log", "for _ in range(10000): print('x' * 99)")


def test_an_error_in_the_block_comes_before_that_of_the_disk(tmp_path):
    (tmp_path / "log").symlink_to("/dev/full")
    with pytest.raises(ValueError, match="other"), appended(tmp_path / "log") as output:
        output.write(b"x")
        raise ValueError("other")


def test_last_part(tmp_path):
    (tmp_path / "log").write_text("a" * 100 + "end")
    assert last_part(tmp_path / "log", 3) == "end"
