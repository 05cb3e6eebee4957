"""Every other format, by every path that people pass; each read as what TensorFlow or Keras wrote into it."""

from __future__ import annotations

import os
import shutil
import struct
import zipfile

import numpy as np
import pytest

from checkpoints import CheckpointError, open_checkpoint, write_saver
from checkpoints.cli import main
from checkpoints.table import TableReader, TableWriter
from checkpoints.wire import field

from .support import comparable, corpus, data, expected, needs_corpus

KERNEL = np.arange(6, dtype="f4").reshape(3, 2)


@pytest.mark.parametrize("base, same_as", [("part_v1", "part"), ("shard_v1", "shard"), ("types_v1", "types")])
def test_v1_reads_what_the_same_saver_wrote_as_v2(base, same_as):
    wanted = expected(same_as)
    with open_checkpoint(data(base)) as checkpoint:
        assert checkpoint.format == "V1"
        assert set(checkpoint.tensors) <= set(wanted) and len(checkpoint.tensors) >= len(wanted) - 3
        for name in checkpoint.tensors:
            value = comparable(checkpoint.read(name))
            assert value.shape == wanted[name].shape and value.tobytes() == wanted[name].tobytes()


@pytest.mark.parametrize("name", ["shard_v1-00001-of-00003", "shard_v1-?????-of-00003", "shard_v1"])
def test_v1_shards_are_found_by_prefix_pattern_or_any_of_them(name):
    with open_checkpoint(data(name)) as checkpoint:
        assert {"rows/w", "on_cpu0", "on_cpu1"} <= set(checkpoint.tensors)


def test_a_missing_v1_shard_is_said(tmp_path):
    for number in (0, 2):
        shutil.copy(data(f"shard_v1-0000{number}-of-00003"), str(tmp_path))
    with pytest.raises(CheckpointError, match="2 of its 3 shards"):
        open_checkpoint(tmp_path / "shard_v1")


def place(tmp_path, *names):
    for name in names:
        shutil.copy(data(name), str(tmp_path / name))


@pytest.mark.parametrize("given", ["", "adam", "adam.index", "adam.data-00000-of-00001", "adam.meta", "checkpoint"])
def test_a_bundle_is_found_by_whatever_stands_beside_it(given, tmp_path):
    place(tmp_path, "adam.index", "adam.data-00000-of-00001")
    (tmp_path / "adam.meta").write_bytes(b"")
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "/gone/long ago/adam"\n')
    with open_checkpoint(tmp_path / given) as checkpoint:
        assert checkpoint.read("generator/fc1/bias").shape == (3,)


def test_a_base_name_may_be_empty(tmp_path):
    for suffix in (".index", ".data-00000-of-00001"):
        shutil.copy(data("adam" + suffix), str(tmp_path / suffix))
    with open_checkpoint(tmp_path) as checkpoint:
        assert checkpoint.read("generator/fc1/bias").shape == (3,)


@pytest.mark.parametrize("written", ["mod\\303\\250le \\'9\\'-3", "mod\u00e8le \\'9\\'-3"])
def test_the_checkpoint_file_may_spell_a_name_in_octal_numbers(written, tmp_path):
    """TensorFlow up to 2.15 at least does so with what is not ASCII, later releases do not."""
    write_saver(tmp_path / "mod\u00e8le '9'-3", {"w": KERNEL})
    (tmp_path / "checkpoint").write_bytes(f'model_checkpoint_path: "{written}"\n'.encode())
    with open_checkpoint(tmp_path) as checkpoint:
        assert np.array_equal(checkpoint.read("w"), KERNEL)


def test_a_stale_state_file_says_what_to_pass(tmp_path):
    place(tmp_path, "adam.index", "adam.data-00000-of-00001")
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "../elsewhere/model.ckpt-7"\n')
    with pytest.raises(CheckpointError, match=r"model\.ckpt-7, which is not beside it; pass .*adam"):
        open_checkpoint(tmp_path)


def test_several_checkpoints_in_a_directory_are_listed(tmp_path):
    for name in ("a", "b"):
        write_saver(tmp_path / name, {"x": np.float32(1)})
    with pytest.raises(CheckpointError, match=r"2 checkpoints; pass one of .*a, .*b"):
        open_checkpoint(tmp_path)


def test_a_shard_without_its_index_is_said(tmp_path):
    place(tmp_path, "adam.data-00000-of-00001")
    with pytest.raises(CheckpointError, match=r"adam\.index is not beside it"):
        open_checkpoint(tmp_path / "adam.data-00000-of-00001")


@pytest.mark.parametrize("names", [["types_v1"], [f"shard_v1-0000{number}-of-00003" for number in range(3)]])
def test_the_graph_of_a_v1_checkpoint_leads_to_its_variables(names, tmp_path):
    place(tmp_path, *names)
    path = tmp_path / (names[0].partition("-")[0] + ".meta")
    path.write_bytes(graph(constant=field(1, 1)))
    with open_checkpoint(path) as checkpoint:
        assert checkpoint.format == "V1"


def test_a_graph_alone_is_not_taken_for_variables(tmp_path):
    (tmp_path / "model.ckpt.meta").write_bytes(graph(constant=field(1, 1)))
    with pytest.raises(
        CheckpointError, match=r"the graph of a checkpoint, without its variables: .*ckpt\.index is not"
    ):
        open_checkpoint(tmp_path / "model.ckpt.meta")


@pytest.mark.parametrize("given", ["", "adam", "adam.meta", "adam.data-00000-of-00001"])
def test_data_without_its_index_names_the_index(given, tmp_path):
    place(tmp_path, "adam.data-00000-of-00001")
    (tmp_path / "adam.meta").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"index .*adam\.index"):
        open_checkpoint(tmp_path / given)


@pytest.mark.parametrize("given", ["notes.txt", "checkpoint", "model.tflite", "page.h5", "pointer.pb", "odd.pb"])
def test_another_kind_of_file_is_named_and_so_is_what_to_pass(given, tmp_path):
    place(tmp_path, "adam.index", "adam.data-00000-of-00001")
    other = {
        "notes.txt": (b"trained in 2017\n", "but a text file"),
        "checkpoint": (b"", "names no checkpoint"),
        "model.tflite": (b"\x1c\0\0\0TFL3" + bytes(90), "TensorFlow Lite"),
        "page.h5": (b"<!DOCTYPE html>", "a web page"),
        "pointer.pb": (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        "odd.pb": (b"\x07\xff\x01\x02", "no TensorFlow graph, or a damaged one"),
    }
    (tmp_path / given).write_bytes(other[given][0])
    with pytest.raises(CheckpointError, match=f"{other[given][1]}.*; pass .*adam"):
        open_checkpoint(tmp_path / given)


def test_a_directory_of_a_saved_model_names_the_saved_model(tmp_path):
    (tmp_path / "assets").mkdir()
    (tmp_path / "saved_model.pb").write_bytes(b"")
    with pytest.raises(CheckpointError, match=f"; pass {tmp_path}$"):
        open_checkpoint(tmp_path / "assets")


@pytest.mark.parametrize("path", ["", "a\nb", "a\0b"])
def test_what_no_path_can_be_is_said_in_one_line(path):
    with pytest.raises(CheckpointError, match="not a path") as caught:
        open_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_a_pipe_does_not_block(tmp_path):
    os.mkfifo(str(tmp_path / "pipe"))
    with pytest.raises(CheckpointError, match="not a regular file"):
        open_checkpoint(tmp_path / "pipe")


@pytest.mark.parametrize("base", ["types", "adam"])
def test_a_big_endian_bundle_reads_as_the_same_numbers(base, tmp_path):
    """The bytes of every element turned round, and the header's word for it: what a big-endian machine writes."""
    from checkpoints.crc32c import masked_crc32c
    from checkpoints.dtypes import BY_NAME

    shutil.copy(data(base + ".data-00000-of-00001"), str(tmp_path))
    path = tmp_path / (base + ".data-00000-of-00001")
    swapped = bytearray(path.read_bytes())
    entries = {}
    with open(data(base + ".index"), "rb") as stream, open_checkpoint(data(base)) as original:
        from checkpoints.entries import parse_entry

        for key, value in TableReader(stream, base).entries():
            entries[key] = bytes(value)
            if not key:
                entries[key] += field(2, 1)
                continue
            entry, info = parse_entry(value), original.tensors[key.decode()]
            kind = BY_NAME[info.dtype]
            if kind.size > 1:
                part = 8 if info.dtype == "complex128" else 4 if info.dtype == "complex64" else kind.size
                raw = np.frombuffer(bytes(swapped[entry.offset : entry.offset + entry.size]), np.uint8)
                turned = raw.reshape(-1, part)[:, ::-1].tobytes()
                swapped[entry.offset : entry.offset + entry.size] = turned
                crc = struct.pack("<I", masked_crc32c(turned))
                entries[key] = entries[key].replace(struct.pack("<I", entry.crc), crc)
    path.write_bytes(bytes(swapped))
    with open(str(tmp_path / (base + ".index")), "wb") as stream:
        table = TableWriter(stream)
        for key in sorted(entries):
            table.add(key, entries[key])
        table.finish()
    with open_checkpoint(tmp_path / base) as big, open_checkpoint(data(base)) as little:
        for name in little.tensors:
            assert comparable(big.read(name)).tobytes() == comparable(little.read(name)).tobytes()


def graph(**constants):
    """A GraphDef of constants, each given as the bytes of its TensorProto."""
    nodes = b""
    for name, proto in constants.items():
        attribute = field(1, b"value") + field(2, field(8, proto))
        nodes += field(1, field(1, name.encode()) + field(2, b"Const") + field(5, attribute))
    return nodes


def shape(*extents):
    return field(2, b"".join(field(2, field(1, extent)) for extent in extents))


def test_graph_constants_in_both_spellings_and_filled(tmp_path):
    values = np.array([1.5, -2, 3], "<f4")
    path = tmp_path / "frozen.pb"
    path.write_bytes(
        graph(
            content=field(1, 1) + shape(3) + field(4, values.tobytes()),
            packed=field(1, 1) + shape(3) + field(5, values.tobytes()),
            filled=field(1, 3) + shape(2, 2) + field(7, (1 << 64) - 5),
            empty=field(1, 1) + shape(2),
            text=field(1, 7) + shape(2) + field(8, b"a") + field(8, b"bc"),
            half=field(1, 19) + shape(1) + field(13, 0x3E00),
        )
    )
    with open_checkpoint(path) as checkpoint:
        assert checkpoint.read("content").tolist() == checkpoint.read("packed").tolist() == [1.5, -2, 3]
        assert checkpoint.read("filled").tolist() == [[-5, -5], [-5, -5]]
        assert checkpoint.read("empty").tolist() == [0, 0]
        assert checkpoint.read("text").tolist() == [b"a", b"bc"]
        assert checkpoint.read("half").tolist() == [1.5]


def test_a_constant_of_absurd_size_is_refused_before_it_is_made(tmp_path):
    path = tmp_path / "frozen.pb"
    path.write_bytes(graph(big=field(1, 1) + shape(1 << 40) + field(5, struct.pack("<f", 1))))
    with open_checkpoint(path) as checkpoint:
        assert checkpoint.tensors["big"].shape == (1 << 40,)
        with pytest.raises(CheckpointError, match="constant big"):
            checkpoint.read("big")


@pytest.mark.parametrize("name", ["keras_1.15.h5", "keras_2.21.keras"])
def test_keras_files(name):
    pytest.importorskip("h5py")
    names = {"keras_1.15.h5": "fc1/kernel", "keras_2.21.keras": "layers/dense/vars/0"}
    with open_checkpoint(data(name)) as checkpoint:
        assert np.array_equal(checkpoint.read(names[name]), KERNEL)


def test_hdf5_that_leaves_its_file_or_loops_is_refused(tmp_path):
    h5py = pytest.importorskip("h5py")
    secret = tmp_path / "secret.h5"
    with h5py.File(str(secret), "w") as file:
        file["x"] = np.zeros(3)
    (tmp_path / "raw").write_bytes(b"0" * 64)

    def make(name, build):
        with h5py.File(str(tmp_path / name), "w") as file:
            build(file)
        return tmp_path / name

    def loop(file):
        group = file.create_group("a")
        group["again"] = file["a"]

    bad = [
        make("external.h5", lambda file: file.__setitem__("x", h5py.ExternalLink(str(secret), "/x"))),
        make("soft.h5", lambda file: file.__setitem__("x", h5py.SoftLink("/y"))),
        make("loop.h5", loop),
        make(
            "elsewhere.h5",
            lambda file: file.create_dataset("x", (8,), "f8", external=[(str(tmp_path / "raw"), 0, 64)]),
        ),
        make("absent.h5", lambda file: file.create_dataset("x", (1 << 34,), "f8", chunks=(1024,))),
    ]
    for path in bad:
        with pytest.raises(CheckpointError, match=path.name), open_checkpoint(path) as checkpoint:
            checkpoint.read("x")


def test_zip_bombs_and_archives_without_weights_are_refused(tmp_path):
    bomb = tmp_path / "bomb.keras"
    with zipfile.ZipFile(str(bomb), "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("model.weights.h5", "w") as stream:
            for _ in range(100):
                stream.write(bytes(1 << 20))
    with pytest.raises(CheckpointError, match="claims to unpack"):
        open_checkpoint(bomb)
    other = tmp_path / "other.keras"
    with zipfile.ZipFile(str(other), "w") as archive:
        archive.writestr("config.json", '{"class_name": "Lambda"}')
    with pytest.raises(CheckpointError, match=r"no model\.weights\.h5"):
        open_checkpoint(other)


def test_npz_reads_numbers_and_refuses_pickles(tmp_path):
    np.savez(str(tmp_path / "good.npz"), **{"a/kernel": KERNEL})
    with open_checkpoint(tmp_path / "good.npz") as checkpoint:
        assert np.array_equal(checkpoint.read("a/kernel"), KERNEL)
    np.savez(str(tmp_path / "bad.npz"), x=np.array([{}], dtype=object))
    with pytest.raises(CheckpointError, match=r"bad\.npz: x\.npy"):
        open_checkpoint(tmp_path / "bad.npz")


def test_what_is_no_checkpoint_is_said_to_be_none(tmp_path):
    for name, content in {"empty": b"", "text": b"Hello, this is no checkpoint.\n" * 20, "json": b"{}"}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CheckpointError, match=name):
            open_checkpoint(tmp_path / name)


@needs_corpus
def test_every_file_of_the_corpus_that_holds_tensors_reads_whole():
    # What corpus/README.md says of each folder, by the kind that is found.
    kinds = {
        "tf101-charrnn-v1": "V1",
        "tf-sm-v1vars-single-2016": "V1",
        "tf-session-bundle-v1/00000123": "V1",
        "t2o-frozen-gru": "graph constants",
        "t2o-frozen-lstm": "graph constants",
        "mlnet-cifar-ckpt": "TensorBundle (V2)",
        "serving-sm-tf2": "TensorBundle (V2)",
        "t2o-regression/saved_model": "TensorBundle (V2)",
    }
    for folder, kind in kinds.items():
        (path,) = corpus(folder)
        with open_checkpoint(path) as checkpoint:
            assert checkpoint.format == kind and checkpoint.tensors
            for name, info in checkpoint.tensors.items():
                assert checkpoint.read(name).shape == info.shape


@needs_corpus
def test_a_frozen_graph_holds_the_values_of_the_checkpoint_it_was_frozen_from():
    (folder,) = corpus("mlnet-cifar-ckpt")
    with open_checkpoint(folder) as checkpoint, open_checkpoint(folder + "/frozen_model.pb") as frozen:
        shared = set(checkpoint.tensors) & set(frozen.tensors)
        assert len(shared) == 3
        for name in shared:
            assert np.array_equal(checkpoint.read(name), frozen.read(name))


def test_a_library_that_crashes_takes_only_a_process_of_its_own_with_it(tmp_path, monkeypatch):
    pytest.importorskip("h5py")
    from checkpoints import hdf5

    monkeypatch.setattr(hdf5, "_SAFE_LIBRARY", (99,))
    with open_checkpoint(data("keras_2.21.keras")) as checkpoint:
        assert np.array_equal(checkpoint.read("layers/dense/vars/0"), KERNEL)
    monkeypatch.setattr(hdf5, "_PROBE", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    with pytest.raises(CheckpointError, match="crashes the HDF5 library"):
        open_checkpoint(data("keras_1.15.h5"))


def test_a_folder_of_the_same_name_beside_a_graph_is_no_checkpoint(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model.meta").write_bytes(b"\x0a\x02\x08\x01")
    with pytest.raises(CheckpointError, match=r"model\.meta: the graph of a checkpoint, without its variables"):
        open_checkpoint(tmp_path / "model.meta")


def test_bfloat16_of_keras_3_is_read_from_hdf5_bit_for_bit(tmp_path):
    """HDF5 has no such type: Keras 3 writes two bytes of no meaning, and an attribute that says what they are."""
    h5py = pytest.importorskip("h5py")
    bits = np.array([[0x3F80, 0xBFC0], [0x7FC0, 0x0001]], "<u2")
    for name, held in [("a", bits), ("b", bits + 1)]:
        with h5py.File(str(tmp_path / (name + ".weights.h5")), "w") as file:
            for path, value in [("matrix", held), ("scalar", held[0, 0])]:
                file.create_dataset("layers/dense/vars/" + path, data=np.asarray(value).view("V2"))
                file["layers/dense/vars/" + path].attrs["dtype"] = "bfloat16"
    with open_checkpoint(tmp_path / "a.weights.h5") as checkpoint:
        info = checkpoint.tensors["layers/dense/vars/matrix"]
        assert (info.dtype, info.shape, info.nbytes) == ("bfloat16", (2, 2), 8)
        assert np.array_equal(checkpoint.read("layers/dense/vars/matrix")["bfloat16"], bits)
        assert checkpoint.read("layers/dense/vars/scalar")["bfloat16"] == bits[0, 0]
    assert main(["diff", str(tmp_path / "a.weights.h5"), str(tmp_path / "b.weights.h5")]) == 1


def test_a_dataset_of_a_type_that_is_not_read_is_not_passed_over(tmp_path):
    h5py = pytest.importorskip("h5py")
    opaque = np.zeros(3, "V2")
    pair = np.zeros(3, [("a", "f4"), ("b", "f4")])
    lists = h5py.special_dtype(vlen=np.dtype("f4"))
    for name, options in {"opaque": {"data": opaque}, "pair": {"data": pair}, "lists": {"dtype": lists}}.items():
        path = tmp_path / (name + ".h5")
        with h5py.File(str(path), "w") as file:
            file["fc/kernel"] = np.zeros(3)
            file.create_dataset("fc/odd", (3,), **options)
        with pytest.raises(CheckpointError, match=rf"{name}\.h5: dataset /fc/odd: holds .*, which is not read"):
            open_checkpoint(path)
