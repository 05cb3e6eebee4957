"""Every hostile file ends in one line, or is read, in memory and time that its size accounts for."""

from __future__ import annotations

import gc
import os
import re

import numpy as np
import pytest

from .fuzzing import contained
from .hostile_files import FILES

MEMORY = 640 << 20
PEAK = 420 << 20
SECONDS = 30
HDF5 = re.compile(r"h5|keras", re.I)


@pytest.fixture(scope="module", autouse=True)
def imported():
    """What every command needs, once, so that each fork has it."""
    import importlib

    for name in ("archives", "frozen", "v1", "writers", "planner", "digest", "commands.convert", "commands.inspect"):
        importlib.import_module("checkpoints." + name)


@pytest.mark.parametrize("name", sorted(FILES))
def test_hostile_file(name, tmp_path):
    make, said = FILES[name]
    folder, work = tmp_path / "given", tmp_path / "work"
    folder.mkdir()
    work.mkdir()
    try:
        path = make(folder)
    except ImportError:
        pytest.skip("this file is made with h5py")
    if HDF5.search(os.path.basename(path)):
        h5py = pytest.importorskip("h5py")
        if h5py.version.hdf5_version_tuple < (1, 12):
            pytest.skip("this HDF5 library is asked in a process of its own, which imports everything again")
    for arguments in (["convert", path, "--to", "out"], ["inspect", path]):
        outcome = contained.run(arguments, str(work), MEMORY, SECONDS)
        assert outcome.problems() == [], (arguments, outcome)
        assert outcome.peak < PEAK, f"{outcome.peak >> 20} MiB"
        if arguments[0] == "convert" and said is None:
            assert outcome.status == 0, outcome.errors
            assert contained.run(["inspect", "--sha256", "out"], str(work), MEMORY, SECONDS).status == 0
        elif arguments[0] == "convert":
            assert re.search(said, outcome.errors or outcome.output), outcome
            assert outcome.status == 4 or "0 tensors" in said
            assert outcome.status == 0 or os.listdir(str(work)) == []


class _Ends:
    """Garbage of this process, in a cycle, which ends whatever process collects it, as TensorFlow's may."""

    def __init__(self):
        self.itself, self.owner = self, os.getpid()

    def __del__(self):
        if os.getpid() != self.owner:
            os._exit(99)


def test_garbage_of_the_parent(tmp_path):
    path = str(tmp_path / "many.npz")
    np.savez(path, **{f"layer_{number}/kernel": np.zeros(2, "f4") for number in range(500)})
    gc.collect()
    _Ends()
    assert contained.run(["inspect", path], str(tmp_path), MEMORY, SECONDS).status == 0
