"""Damaged files: whatever a file holds, reading it ends soon, in bounded memory, with a CheckpointError or values.

Two kinds of damage: bytes changed anywhere, which checksums mostly catch; and files made of damaged messages under
right checksums, which reach all that is behind them.
"""

from __future__ import annotations

import json
import os
import sys
import tracemalloc

import pytest

from checkpoints import CheckpointError, Plan, make_plan, open_checkpoint
from checkpoints.rules import load_rules
from checkpoints.table import TableReader, TableWriter

from .fuzzing.check import check
from .fuzzing.files import MAKERS
from .fuzzing.mutate import Mutator
from .support import data

hypothesis = pytest.importorskip("hypothesis")
st = hypothesis.strategies

MOST_MEMORY = 96 << 20
# A number, for how many times more than usual. `python -m tests.unit.checkpoints.fuzzing` takes a time instead.
TIMES = int(os.environ.get("CARRYOVER_FUZZ", "1"))
bounded = hypothesis.settings(
    max_examples=150 * TIMES,
    deadline=5000,
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)

changes = st.lists(
    st.tuples(
        st.floats(0, 1, exclude_max=True),
        st.sampled_from(["flip", "zero", "ones", "cut", "double", "varint"]),
        st.integers(0, 255),
    ),
    min_size=1,
    max_size=6,
)


def damage(content, edits):
    """`content` with bytes changed, removed, repeated, or overwritten by a huge varint."""
    content = bytearray(content)
    for where, what, amount in edits:
        if not content:
            break
        place = int(where * len(content))
        if what == "flip":
            content[place] ^= amount or 1
        elif what in ("zero", "ones"):
            content[place : place + 4] = (b"\0" if what == "zero" else b"\xff") * 4
        elif what == "cut":
            del content[place : place + amount]
        elif what == "double":
            content[place:place] = content[place : place + amount]
        else:
            content[place : place + 9] = b"\xff" * 8 + b"\x7f"
    return bytes(content)


def read_all(path):
    """Opens and reads everything, tolerating only the one error that is promised."""
    tracemalloc.start()
    try:
        with open_checkpoint(path) as checkpoint:
            for name in checkpoint.tensors:
                try:
                    checkpoint.read(name)
                except CheckpointError as error:
                    assert os.path.dirname(str(path)) in str(error)
    except CheckpointError as error:
        assert os.path.dirname(str(path)) in str(error)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < MOST_MEMORY


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


WHOLE = ["part_v1", "types_v1", "keras_1.15.h5", "keras_2.21.keras", "expected.npz"]


@pytest.mark.parametrize("name", WHOLE)
@bounded
@hypothesis.given(edits=changes)
def test_a_damaged_file(name, folder, edits):
    if "keras" in name and pytest.importorskip("h5py").version.hdf5_version_tuple < (1, 12):
        pytest.skip("this HDF5 library crashes on damaged files, so each would take a process of its own")
    with open(data(name), "rb") as stream:
        content = stream.read()
    path = folder / name
    path.write_bytes(damage(content, edits))
    read_all(path)


@pytest.mark.parametrize("base", ["part", "types"])
@bounded
@hypothesis.given(index=changes, shard=changes, both=st.booleans())
def test_a_damaged_bundle(base, folder, index, shard, both):
    for suffix, edits in ((".index", index if both else []), (".data-00000-of-00001", shard)):
        with open(data(base + suffix), "rb") as stream:
            (folder / (base + suffix)).write_bytes(damage(stream.read(), edits))
    read_all(folder / base)


def entries_of(path):
    with open(path, "rb") as stream:
        return [(key, bytes(value)) for key, value in TableReader(stream, path).entries()]


@pytest.mark.parametrize("base", ["part.index", "types.index", "part_v1", "types_v1"])
@bounded
@hypothesis.given(edits=changes, places=st.lists(st.integers(0, 200), min_size=1, max_size=4), keys=st.booleans())
def test_damaged_messages_under_right_checksums(base, folder, edits, places, keys):
    entries = entries_of(data(base))
    for place in places:
        key, value = entries[place % len(entries)]
        entries[place % len(entries)] = (damage(key, edits), value) if keys else (key, damage(value, edits))
    path = folder / ("made_" + base)
    with open(str(path), "wb") as stream:
        table = TableWriter(stream)
        for key, value in sorted(dict(entries).items()):
            table.add(key, value)
        table.finish()
    if base.endswith(".index"):
        prefix = str(path)[: -len(".index")]
        with open(data(base[: -len(".index")] + ".data-00000-of-00001"), "rb") as stream:
            (folder / ("made_" + base.replace(".index", ".data-00000-of-00001"))).write_bytes(stream.read())
        read_all(prefix)
    else:
        read_all(path)


@bounded
@hypothesis.given(edits=changes, content=st.binary(max_size=200))
def test_damaged_graphs(folder, edits, content):
    from checkpoints.wire import field

    from .test_formats import graph, shape

    proto = field(1, 1) + shape(5, 5) + field(4, bytes(100))
    whole = graph(a=proto, b=field(1, 3) + shape(7) + field(7, content), c=content)
    path = folder / "graph.pb"
    path.write_bytes(damage(whole, edits))
    read_all(path)


@pytest.mark.parametrize("kind", sorted(MAKERS))
def test_commands_on_damaged_files(kind):
    """A few inputs of the fuzzer."""
    if kind in ("hdf5", "keras") and pytest.importorskip("h5py").version.hdf5_version_tuple < (1, 12):
        pytest.skip("this HDF5 library crashes on damaged files, so each would take a process of its own")
    assert [finding for seed in range(8 * TIMES) for finding in check(kind, seed).findings] == []


@bounded
@hypothesis.given(seed=st.integers(0, 1 << 32))
def test_damaged_plans(folder, seed):
    """What reads as a plan is one that can be written, and anything else is one line."""
    with open_checkpoint(data("adam")) as checkpoint:
        sound = make_plan(checkpoint, dict(checkpoint.tensors)).to_json()
    mutator = Mutator(seed)
    changed = mutator.json(mutator.json(json.loads(sound)))
    try:
        plan = Plan.from_json(json.dumps(changed))
        assert Plan.from_json(plan.to_json()) == plan
    except CheckpointError as error:
        assert str(error).isprintable()


TOML = """
[[rule]]
pattern = 'a/(.*)'
target = 'b/\\1'
transform = "transpose"

[[rule]]
pattern = 'x\\d+'
ignore = "a \\u001b reason"
"""


@bounded
@hypothesis.given(edits=changes)
def test_damaged_rules(folder, edits):
    if sys.version_info < (3, 11):
        pytest.importorskip("tomli")
    path = folder / "rules.toml"
    path.write_bytes(damage(TOML.encode("ascii"), edits))
    try:
        load_rules(path)
    except CheckpointError as error:
        assert str(error).isprintable()


@bounded
@hypothesis.given(content=st.binary(max_size=400))
def test_snappy_blocks(content):
    from checkpoints.snappy import decompress
    from checkpoints.wire import WireError

    try:
        assert len(decompress(memoryview(content))) <= 32 * len(content)
    except WireError:
        pass
