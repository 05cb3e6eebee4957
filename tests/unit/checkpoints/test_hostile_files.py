"""Every hostile file ends in one line, or is read, in memory and time that its size accounts for."""

from __future__ import annotations

import os
import re

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
