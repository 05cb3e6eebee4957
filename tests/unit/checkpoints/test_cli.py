"""The command line: what it prints, its exit statuses, one clear line for bad input, examples that work."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import subprocess
import sys

import numpy as np
import pytest

from checkpoints import write_saver
from checkpoints.cli import COMMANDS, main

from .support import HERE, data, expected

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))


def run(*arguments):
    """The command in a process of its own: (status, output, errors)."""
    process = subprocess.Popen(
        [sys.executable, "-m", "checkpoints", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        universal_newlines=True,
    )
    output, errors = process.communicate(timeout=60)
    return process.returncode, output, errors


def test_inspect_lists_every_tensor(capsys):
    assert main(["inspect", data("adam")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:-1]] == sorted(expected("adam"))
    assert "slot m of generator/fc1/kernel (Adam)" in "\n".join(lines)
    assert lines[-1] == "9 tensors, 196 B, TensorBundle (V2)"


def test_inspect_json_with_digests_of_little_endian_bytes(capsys):
    assert main(["inspect", "--json", "--sha256", data("adam")]) == 0
    listed = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)["tensors"]}
    for name, value in expected("adam").items():
        entry = listed[name]
        assert entry["shape"] == list(value.shape) and entry["bytes"] == value.nbytes and entry["shard"] == 0
        little = value.astype(value.dtype.newbyteorder("<")).tobytes()
        assert entry["sha256"] == hashlib.sha256(little).hexdigest()
    assert listed["global_step"]["role"] == "counter"
    assert listed["generator/fc1/bias/Adam_1"]["of"] == "generator/fc1/bias"


def test_inspect_reads_no_tensor_and_imports_neither_tensorflow_nor_numpy():
    code = "import sys; from checkpoints.cli import main; main(['inspect', sys.argv[1]]); print(sorted(sys.modules))"
    output = subprocess.check_output([sys.executable, "-c", code, data("adam")], cwd=ROOT, universal_newlines=True)
    assert not re.search(r"'(tensorflow|keras|numpy|h5py)'", output)


def test_bad_input_is_one_line_and_status_4(tmp_path):
    for path in (tmp_path / "none", tmp_path, __file__):
        status, output, errors = run("inspect", str(path))
        assert (status, output) == (4, "")
        assert len(errors.splitlines()) == 1 and str(path) in errors


def test_diff_tells_what_differs(tmp_path, capsys):
    one = {"same": np.ones(3, "f4"), "moved": np.float32(1), "shape": np.ones(3, "f4"), "gone": np.float32(0)}
    two = dict(one, moved=np.nextafter(np.float32(1), np.float32(2)), shape=np.ones(4, "f4"), new=np.float32(0))
    del two["gone"]
    write_saver(tmp_path / "a", one)
    write_saver(tmp_path / "b", two)
    assert main(["diff", "--json", str(tmp_path / "a"), str(tmp_path / "b")]) == 1
    told = json.loads(capsys.readouterr().out)
    verdicts = {entry["name"]: entry["verdict"] for entry in told["differing"]}
    assert told["equal"] == 1
    assert verdicts == {
        "gone": "only in A",
        "moved": "other values, 1 ulp",
        "new": "only in B",
        "shape": "other shape",
    }


def test_diff_of_two_formats_of_the_same_tensors_is_silent(capsys):
    assert main(["diff", data("part"), data("part_v1")]) == 0
    assert capsys.readouterr().out == "4 equal, 0 differ\n"


def test_diff_allows_a_stated_distance(tmp_path):
    write_saver(tmp_path / "a", {"x": np.float32(1)})
    write_saver(tmp_path / "b", {"x": np.nextafter(np.float32(1), np.float32(2))})
    arguments = ["diff", str(tmp_path / "a"), str(tmp_path / "b")]
    assert (main(arguments), main([*arguments, "--ulps", "1"])) == (1, 0)


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_the_example_in_the_help_works_as_it_stands(command, tmp_path):
    status, output, _ = run(command, "--help")
    assert status == 0
    (example,) = re.findall(r"^example:\n  python -m checkpoints (.*)$", output, re.MULTILINE)
    status, _, errors = run(*shlex.split(example.replace("/tmp", str(tmp_path))))
    assert status in (0, 1), errors


def test_wrong_arguments_are_status_2():
    assert run("inspect")[0] == 2
    assert run("no-such-command", "x")[0] == 2
