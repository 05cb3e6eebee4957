"""What is written: its types are those of the bytes, it is read back before it gets its name, nothing else stays."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from checkpoints import CheckpointError, dtypes, open_checkpoint, write_saver
from checkpoints.atomic import Placement, Replacement, is_temporary
from checkpoints.checkpoint import TensorInfo
from checkpoints.cli import main
from checkpoints.source import Source
from checkpoints.writers import write

from .support import HERE

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
FORMATS = ["out", "out.npz", "out.safetensors"]


def npy(descr, shape, content, fortran=False):
    """An .npy file with the header as it is given."""
    header = f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header + content


def npz(path, content, name="a.npy"):
    with zipfile.ZipFile(str(path), "w") as archive:
        archive.writestr(name, content)
    return str(path)


@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize(
    "descr, size",
    [
        ("[('float32', '<i8')]", 8),
        ("[('bfloat16', '<i8')]", 8),
        ("[('bfloat16', '<f2')]", 2),
        ("[('bfloat16', '<u2', (3,))]", 6),
        ("[('float32', [('x', '<f4')])]", 4),
        ("[('int8', '<i2')]", 2),
        ("[('variant', '|u1')]", 1),
        ("[('string', '|S3')]", 3),
        ("'|S3'", 3),
        ("'|V2'", 2),
        ("'<M8[s]'", 8),
        ("'|O'", 8),
    ],
)
def test_structures_of_one_field(descr, size, to, tmp_path, capsys):
    path = npz(tmp_path / "in.npz", npy(descr, "(3,)", bytes(3 * size)))
    assert main(["convert", path, "--to", str(tmp_path / to)]) == 4
    assert "not read" in capsys.readouterr().err
    assert os.listdir(str(tmp_path)) == ["in.npz"]


@pytest.mark.parametrize("to", ["out", "out.npz", "out.safetensors"])
def test_bfloat16_of_either_byte_order(to, tmp_path):
    path = npz(tmp_path / "in.npz", npy("[('bfloat16', '>u2')]", "(2,)", struct.pack(">2H", 0x3F80, 0x4000)))
    assert main(["convert", path, "--to", str(tmp_path / to)]) == 0
    with open_checkpoint(tmp_path / to) as checkpoint:
        assert dtypes.widen(checkpoint.read("a")).tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    "header",
    [
        npy("'<f4'", "(-3,)", bytes(12)),
        npy("'<f4'", "(True,)", bytes(4)),
        npy("'<f4'", "(1.0,)", bytes(4)),
        npy("'<f4'", "3", bytes(12)),
        npy("'<f4'", "[3]", bytes(12)),
        npy("'f4,f4'", "(3,)", bytes(24)),
        npy("'<f4'", "(" + "1," * 65 + ")", bytes(4)),
        npy("'<f4'", "(" * 3000 + ")" * 3000, bytes(4)),
        npy("'<f4'", "()", bytes(4), fortran="1"),
        npy("'<f4'", "(3,)", bytes(16)),
        npy("'<f4'", "(3,)", bytes(8)),
        b"\x93NUMPY\x02\0" + struct.pack("<I", 1 << 20) + b"(" * (1 << 20),
        b"\x93NUMPY\x09\0\0\0",
        b"",
    ],
    ids=range(14),
)
def test_npy_headers(header, tmp_path):
    with pytest.raises(CheckpointError, match=r"in\.npz: a\.npy: "):
        open_checkpoint(npz(tmp_path / "in.npz", header))


@pytest.mark.parametrize(
    "array", [np.arange(6).reshape(2, 3), np.float32(1), np.zeros((0, 4)), np.ones((2, 3, 4), ">f8")]
)
@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("version", [(1, 0), (2, 0), None])
def test_npy_files_of_numpy(array, order, version, tmp_path):
    content = io.BytesIO()
    np.lib.format.write_array(content, np.asarray(array, order=order), version=version)
    with open_checkpoint(npz(tmp_path / "in.npz", content.getvalue())) as checkpoint:
        value = checkpoint.read("a")
    assert np.array_equal(value, array) and value.dtype == np.asarray(array).dtype.newbyteorder("=")


def test_npy_of_python_2(tmp_path):
    with open_checkpoint(npz(tmp_path / "in.npz", npy('"<f4"', "(2L, 1L)", bytes(8)))) as checkpoint:
        assert checkpoint.read("a").shape == (2, 1)


def lying_source(dtype, shape):
    """A source whose one tensor is described otherwise than it is."""
    info = TensorInfo("a", dtype, shape, int(np.prod(shape)) * dtypes.BY_NAME[dtype].size)
    return Source({"a": info}, lambda name: np.zeros((2, 3), "f4"))


@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize("dtype, shape", [("float32", (3, 2)), ("int32", (2, 3)), ("float64", (3,))])
def test_value_unlike_its_description(dtype, shape, to, tmp_path):
    with pytest.raises(CheckpointError, match=r"a is float32 \[2, 3\], and was to be"):
        write(str(tmp_path / to), lying_source(dtype, shape))
    assert os.listdir(str(tmp_path)) == []


@pytest.mark.parametrize("to", FORMATS)
def test_what_does_not_read_back(to, tmp_path, monkeypatch):
    """A writer that goes wrong leaves what was there before."""
    if to == "out":
        monkeypatch.setattr("checkpoints.saver.fixed32", lambda number, value: b"\xff")
    elif to == "out.npz":
        monkeypatch.setattr("numpy.lib.format.write_array", lambda stream, array, allow_pickle: stream.write(b"no"))
    else:
        monkeypatch.setattr("checkpoints.writers.json.dumps", lambda header, ensure_ascii: '{"b": {}}')
    arrays = {"a": np.zeros(3, "f4")}
    source = Source({"a": TensorInfo("a", "float32", (3,), 12)}, arrays.__getitem__)
    with pytest.raises(CheckpointError, match="does not read back as it was written"):
        write(str(tmp_path / to), source)
    assert os.listdir(str(tmp_path)) == []


def killed_while_writing(path):
    code = (
        "import os, signal, sys\n"
        "import numpy as np\n"
        "from checkpoints.checkpoint import TensorInfo\n"
        "from checkpoints.source import Source\n"
        "from checkpoints.writers import write\n"
        "infos = {name: TensorInfo(name, 'float32', (3,), 12) for name in 'ab'}\n"
        "def read(name):\n"
        "    if name == 'b':\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return np.zeros(3, 'f4')\n"
        "write(sys.argv[1], Source(infos, read))\n"
    )
    assert subprocess.Popen([sys.executable, "-c", code, str(path)], cwd=ROOT).wait() != 0


@pytest.mark.parametrize("to", FORMATS)
def test_next_run_removes_what_a_killed_one_left(to, tmp_path):
    killed_while_writing(tmp_path / to)
    assert any(map(is_temporary, os.listdir(str(tmp_path))))
    with pytest.raises(CheckpointError, match="no checkpoint"):
        open_checkpoint(tmp_path)
    write_saver(tmp_path / "other", {"x": np.zeros(3, "f4")})
    assert sorted(os.listdir(str(tmp_path))) == ["other.data-00000-of-00001", "other.index"]


def test_what_is_still_written_is_not_removed(tmp_path):
    with Replacement([str(tmp_path / "one")]) as (stream,):
        stream.write(b"1")
        write_saver(tmp_path / "other", {"x": np.zeros(3, "f4")})
        with Placement([str(tmp_path / "two.h5")]) as (name,):
            assert name.endswith(".h5")
            with open(name, "wb") as other:
                other.write(b"2")
            write_saver(tmp_path / "another", {"x": np.zeros(3, "f4")})
    assert (tmp_path / "one").read_bytes() == b"1" and (tmp_path / "two.h5").read_bytes() == b"2"
    assert not [name for name in os.listdir(str(tmp_path)) if name.startswith(".")]


def test_what_others_write_is_checked_too(tmp_path):
    def check(names):
        raise CheckpointError(f"{names[0]}: no")

    path = tmp_path / "model.weights.h5"
    path.write_bytes(b"old")
    with pytest.raises(
        CheckpointError, match=r"model\.weights\.h5: does not read back as it was written: .*model: no|no$"
    ):
        with Placement([str(path)], True, check) as (name,):
            with open(name, "wb") as stream:
                stream.write(b"new")
    assert path.read_bytes() == b"old" and os.listdir(str(tmp_path)) == ["model.weights.h5"]


@pytest.mark.parametrize("base", ["x" * 200, "x." * 100, "\u00e9" * 100])
def test_long_names_can_be_written(base, tmp_path):
    write_saver(tmp_path / base, {"x": np.zeros(3, "f4")})
    assert main(["convert", str(tmp_path / base), "--to", str(tmp_path / (base + ".npz"))]) == 0
    assert len(os.listdir(str(tmp_path))) == 3
