"""What SECURITY.md promises of a checkpoint: that no command runs anything in it, or touches anything beside it."""

from __future__ import annotations

import base64
import json
import marshal
import os
import pickle
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from checkpoints import write_saver
from checkpoints.cli import main

from .fuzzing.files import sound_graph
from .hostile import constants
from .support import HERE, data

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
pytestmark = pytest.mark.skipif(sys.version_info < (3, 8), reason="audit hooks are new in Python 3.8")


def audited(folder, warm, arguments):
    """What a command does under the audit hook: events that it should not cause, status, output, errors."""
    folder = os.path.realpath(str(folder))
    command = [sys.executable, "-m", "tests.unit.checkpoints.audited", folder, json.dumps(warm), json.dumps(arguments)]
    process = subprocess.Popen(command, cwd=ROOT, env=dict(os.environ, PYTHONPATH=ROOT), stdout=subprocess.PIPE)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    return json.loads(said.decode("ascii"))


def copy(name, folder):
    """A file of the tests' data, or all files of a bundle, in the folder; what to pass."""
    if os.path.exists(data(name)):
        return shutil.copy(data(name), str(folder / name))
    for suffix in (".index", ".data-00000-of-00001"):
        shutil.copy(data(name + suffix), str(folder / (name + suffix)))
    return str(folder / name)


def graph(folder):
    return constants(folder, {"a/kernel": (2, 3), "a/bias": (3,)})


def saved(folder, to):
    write_saver(folder / "made", {"a/kernel": np.ones((2, 3), "f4"), "a/bias": np.zeros(3, "f4")})
    assert main(["convert", str(folder / "made"), "--to", str(folder / to)]) == 0
    return str(folder / to)


FILES = {
    "bundle": lambda folder: copy("adam", folder),
    "objects": lambda folder: copy("objects_keras3", folder),
    "v1": lambda folder: copy("part_v1", folder),
    "graph": graph,
    "h5": lambda folder: copy("keras_1.15.h5", folder),
    "keras": lambda folder: copy("keras_2.21.keras", folder),
    "npz": lambda folder: saved(folder, "a.npz"),
    "safetensors": lambda folder: saved(folder, "a.safetensors"),
}
COMMANDS = {
    "inspect": lambda path, to: ["inspect", "--sha256", path],
    "plan": lambda path, to: ["plan", path, "--model", path],
    "convert": lambda path, to: ["convert", path, "--to", to + ".npz"],
    "convert to a Saver": lambda path, to: ["convert", path, "--to", to],
    "convert to safetensors": lambda path, to: ["convert", path, "--to", to + ".safetensors"],
    "diff": lambda path, to: ["diff", path, path],
}


def allowed(events):
    """`events` without what SECURITY.md says: an old HDF5 library reads a file in a process of its own first."""
    import h5py

    if h5py.version.hdf5_version_tuple >= (1, 12):
        return events
    return [event for event in events if "-c" not in event and not event.startswith(("os.posix_spawn", "open"))]


@pytest.mark.parametrize("kind", sorted(FILES))
def test_commands_touch_what_they_are_given(kind, tmp_path):
    if kind in ("h5", "keras"):
        pytest.importorskip("h5py")
    path = FILES[kind](tmp_path)
    for number, make in enumerate(COMMANDS.values()):
        (tmp_path / f"out{number}").mkdir()
        warm, arguments = (make(path, str(tmp_path / f"out{number}" / name)) for name in ("warm", "out"))
        done = audited(tmp_path, warm, arguments)
        assert (allowed(done["events"]) if kind in ("h5", "keras") else done["events"]) == []
        # A file need not map onto itself: what Keras numbers may be anything.
        assert done["status"] == 0 or (done["status"] == 3 and arguments[0] == "plan"), done["errors"]


def canary(folder):
    """Code that leaves a file behind if it is run, as source and as what a Lambda layer and a pickle hold."""
    source = f"open({str(folder / 'was-run')!r}, 'w').close()"
    code = compile(source, "lambda", "exec")
    return source, base64.b64encode(marshal.dumps(code)).decode("ascii")


def lambda_layer(code, name):
    """A Lambda layer in the words of Keras 3, and in those of Keras 2."""
    three = {"name": name, "function": {"class_name": "__lambda__", "config": {"value": code}}}
    two = {"name": name + "_2", "function": [code, None, None], "function_type": "lambda"}
    return [
        {"class_name": "Lambda", "module": "keras.layers", "config": three},
        {"class_name": "Lambda", "config": two},
    ]


def keras_with_code(folder, depth):
    """A .keras archive with Lambda layers in models in models, and code in its compile_config."""
    pytest.importorskip("h5py")
    _, code = canary(folder)
    layers = lambda_layer(code, "deep")
    for number in range(depth):
        layers = [{"class_name": "Functional", "config": {"name": f"model_{number}", "layers": layers}}]
    loss = {"class_name": "__lambda__", "config": {"value": code}}
    wrapped = {"class_name": "TimeDistributed", "config": {"name": "td", "layer": lambda_layer(code, "wrapped")[0]}}
    config = {
        "class_name": "Functional",
        "config": {"name": "m", "layers": [*layers, wrapped]},
        "compile_config": {"optimizer": "adam", "loss": loss, "metrics": [[loss]]},
    }
    path = str(folder / "code.keras")
    with zipfile.ZipFile(data("keras_2.21.keras")) as sound, zipfile.ZipFile(path, "w") as archive:
        for name in sound.namelist():
            archive.writestr(name, sound.read(name) if name != "config.json" else json.dumps(config))
    return path


@pytest.mark.parametrize("command", ["inspect", "plan", "convert", "diff"])
def test_code_in_a_configuration_is_not_run(command, tmp_path):
    (tmp_path / "sound").mkdir()
    sound = copy("keras_2.21.keras", tmp_path / "sound")
    path = keras_with_code(tmp_path, depth=40)
    make = COMMANDS[command]
    done = audited(tmp_path, make(sound, str(tmp_path / "warm")), make(path, str(tmp_path / "out")))
    assert allowed(done["events"]) == [] and done["status"] == 0, done["errors"]
    assert not (tmp_path / "was-run").exists()


class Pickled:
    def __init__(self, source):
        self.source = source

    def __reduce__(self):
        return exec, (self.source,)


def pickled(folder, kind):
    """A pickle that runs code when it is loaded: bare, in a .npz, in a zip as PyTorch makes them, under other names."""
    source, _ = canary(folder)
    content = pickle.dumps(Pickled(source), protocol=2 if kind != "old.pkl" else 0)
    path = str(folder / kind)
    if kind.endswith(".npz"):
        np.savez(path, a=np.array([Pickled(source)], dtype=object))
    elif kind == "model.pt":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", content)
    else:
        with open(path, "wb") as stream:
            stream.write(content)
    return path


@pytest.mark.parametrize(
    "kind", ["a.npz", "model.pt", "bare.pkl", "old.pkl", "named.h5", "named.keras", "named.safetensors"]
)
@pytest.mark.parametrize("command", ["inspect", "convert", "diff"])
def test_pickles_are_refused(kind, command, tmp_path):
    path = pickled(tmp_path, kind)
    make = COMMANDS[command]
    done = audited(tmp_path, make(path, str(tmp_path / "out")), make(path, str(tmp_path / "out")))
    assert done["events"] == [] and done["status"] == 4
    assert len(done["errors"].splitlines()) == 1 and done["output"] == ""
    assert sorted(os.listdir(str(tmp_path))) == [kind]


@pytest.mark.parametrize(
    "named", ["/etc/passwd", "../../../../etc/passwd", "..", "/", "checkpoint", "checkpoint.meta", "..\\\\x", "\\000"]
)
def test_a_state_file_leads_nowhere_else(named, tmp_path):
    (tmp_path / "checkpoint").write_text(f'model_checkpoint_path: "{named}"\n')
    (tmp_path / "checkpoint.meta").write_bytes(sound_graph())
    arguments = ["inspect", str(tmp_path)]
    done = audited(tmp_path, arguments, arguments)
    assert done["events"] == [] and done["status"] == 4 and len(done["errors"].splitlines()) == 1


def test_hdf5_files_lead_nowhere_else(tmp_path):
    """The library would open other files itself, unseen by the hook: the reader of a pipe would wait for ever."""
    h5py = pytest.importorskip("h5py")
    os.mkfifo(str(tmp_path / "pipe"))
    with h5py.File(str(tmp_path / "raw.h5"), "w") as file:
        file.create_dataset("a", (16,), "u1", external=[(str(tmp_path / "pipe"), 0, 16)])
    with h5py.File(str(tmp_path / "link.h5"), "w") as file:
        file["a"] = h5py.ExternalLink(str(tmp_path / "pipe"), "/")
    names = ["raw.h5", "link.h5"]
    if hasattr(h5py, "VirtualLayout"):
        layout = h5py.VirtualLayout((16,), "u1")
        layout[:] = h5py.VirtualSource(str(tmp_path / "pipe"), "x", (16,))
        with h5py.File(str(tmp_path / "virtual.h5"), "w", libver="latest") as file:
            file.create_virtual_dataset("a", layout)
        names.append("virtual.h5")
    for name in names:
        assert main(["convert", str(tmp_path / name), "--to", str(tmp_path / "out")]) == 4


def test_filters_that_a_plugin_would_run(tmp_path, capsys):
    h5py = pytest.importorskip("h5py")
    path = str(tmp_path / "filter.h5")
    with h5py.File(path, "w") as file:
        created = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        created.set_chunk((4,))
        created.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, (3,))
        space = h5py.h5s.create_simple((4,))
        h5py.h5d.create(file.id, b"a", h5py.h5t.NATIVE_FLOAT, space, created)
    assert main(["convert", path, "--to", str(tmp_path / "out")]) == 4
    assert "filter plugin" in capsys.readouterr().err
