"""Writing Saver V2: byte for byte what TensorFlow writes, all or nothing, and only over what may be overwritten."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from checkpoints import CheckpointError, open_checkpoint, write_saver

from .support import HERE, data


def contents(path):
    with open(str(path), "rb") as stream:
        return stream.read()


@pytest.mark.parametrize("base", ["types", "adam"])
def test_writes_the_very_bytes_that_tensorflow_wrote(base, tmp_path):
    with open_checkpoint(data(base)) as checkpoint:
        write_saver(tmp_path / base, {name: checkpoint.read(name) for name in checkpoint.tensors})
    for suffix in (".index", ".data-00000-of-00001"):
        assert contents(tmp_path / (base + suffix)) == contents(data(base + suffix))


def test_arrays_of_the_other_byte_order_and_of_any_stride_arrive_unchanged(tmp_path):
    values = {
        "big": np.arange(6, dtype=">f4").reshape(2, 3),
        "columns": np.asfortranarray(np.arange(6, dtype="<i8").reshape(2, 3)),
        "every second": np.arange(10, dtype="<f8")[::2],
        "number": np.float32(1.5),
        "text": np.array(["é", b"\0"], dtype=object),
    }
    write_saver(tmp_path / "m", values)
    with open_checkpoint(tmp_path / "m") as checkpoint:
        for name in ("big", "columns", "every second", "number"):
            assert np.array_equal(checkpoint.read(name), values[name])
        assert checkpoint.read("text").tolist() == ["é".encode(), b"\0"]


def test_an_index_of_many_blocks_is_found_again(tmp_path):
    # Names of 200 characters fill TensorFlow's 256 KiB blocks several times over.
    values = {f"{number:05d}"[::-1] * 40: np.int32(number) for number in range(5000)}
    write_saver(tmp_path / "many", values)
    assert os.path.getsize(str(tmp_path / "many.index")) > 3 * 262144
    with open_checkpoint(tmp_path / "many") as checkpoint:
        assert list(checkpoint.tensors) == sorted(values)
        assert all(checkpoint.read(name) == values[name] for name in list(values)[::97])


def test_does_not_overwrite_unasked(tmp_path):
    write_saver(tmp_path / "m", {"x": np.float32(1)})
    with pytest.raises(CheckpointError, match="exists already"):
        write_saver(tmp_path / "m", {"x": np.float32(2)})
    with open_checkpoint(tmp_path / "m") as checkpoint:
        assert checkpoint.read("x") == 1
    write_saver(tmp_path / "m", {"x": np.float32(2)}, overwrite=True)
    with open_checkpoint(tmp_path / "m") as checkpoint:
        assert checkpoint.read("x") == 2


@pytest.mark.parametrize("bad", [object(), np.array([1], dtype="M8[s]"), np.array([object()])])
def test_a_value_that_cannot_be_stored_leaves_the_directory_as_it_was(bad, tmp_path):
    write_saver(tmp_path / "m", {"x": np.float32(1)})
    before = {name: contents(tmp_path / name) for name in os.listdir(str(tmp_path))}
    with pytest.raises(CheckpointError, match="tensor y"):
        write_saver(tmp_path / "m", {"x": np.float32(2), "y": bad}, overwrite=True)
    assert {name: contents(tmp_path / name) for name in os.listdir(str(tmp_path))} == before


@pytest.mark.parametrize("failing", [1, 2, 3, 4])
def test_a_failing_rename_puts_back_what_was_there(failing, tmp_path, monkeypatch):
    write_saver(tmp_path / "m", {"x": np.float32(1)})
    before = {name: contents(tmp_path / name) for name in os.listdir(str(tmp_path))}
    calls = []

    def count(original):
        def rename(source, target):
            calls.append(source)
            if len(calls) == failing:
                raise OSError(28, "No space left on device")
            original(source, target)

        return rename

    monkeypatch.setattr(os, "rename", count(os.rename))
    monkeypatch.setattr(os, "replace", count(os.replace))
    with pytest.raises(CheckpointError, match="No space left"):
        write_saver(tmp_path / "m", {"x": np.float32(2)}, overwrite=True)
    assert {name: contents(tmp_path / name) for name in os.listdir(str(tmp_path))} == before


def test_values_are_asked_for_one_at_a_time(tmp_path):
    class Lazy(dict):
        asked = []

        def __getitem__(self, name):
            self.asked.append(name)
            return np.full(3, ord(name), "i4")

    lazy = Lazy.fromkeys("cab")
    write_saver(tmp_path / "m", lazy)
    assert lazy.asked == ["a", "b", "c"]


def test_a_directory_that_is_missing_is_said(tmp_path):
    with pytest.raises(CheckpointError, match="cannot write here"):
        write_saver(tmp_path / "no" / "m", {"x": np.float32(1)})


def test_killed_while_writing_it_leaves_nothing_under_the_names(tmp_path):
    code = (
        "import os, signal, sys\n"
        "import numpy as np\n"
        "from checkpoints import write_saver\n"
        "class Deadly(dict):\n"
        "    def __getitem__(self, name):\n"
        "        if name == 'b':\n"
        "            os.kill(os.getpid(), signal.SIGKILL)\n"
        "        return np.zeros(100000, 'f4')\n"
        "write_saver(sys.argv[1], Deadly.fromkeys('abc'), overwrite=True)\n"
    )
    root = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
    write_saver(tmp_path / "old", {"x": np.float32(1)})
    for name in ("new", "old"):
        process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / name)], cwd=root)
        assert process.wait() == -signal.SIGKILL
    assert not [name for name in os.listdir(str(tmp_path)) if name.startswith("new")]
    with open_checkpoint(tmp_path / "old") as checkpoint:
        assert checkpoint.read("x") == 1
