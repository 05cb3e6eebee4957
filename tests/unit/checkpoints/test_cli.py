"""The command line: what it prints, its exit statuses, one clear line for bad input, examples that work."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

from checkpoints import write_saver
from checkpoints.cli import main
from checkpoints.dtypes import cast

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


def test_wrong_arguments_are_status_2():
    assert run("inspect")[0] == 2
    assert run("no-such-command", "x")[0] == 2


MODEL = """
import numpy as np

class Weight:
    def __init__(self, name, shape):
        self.name, self.shape, self.dtype, self.value = name, shape, "float32", np.zeros(shape, "f4")
    def assign(self, value):
        self.value = np.array(value)
    def numpy(self):
        return self.value

class Dense:
    name, layers, call = "dense", [], None
    def __init__(self):
        self.weights = [Weight("dense/kernel:0", (4, 3)), Weight("dense/bias:0", (3,))]

class Model:
    name, call = "model", None
    def __init__(self):
        self.layers = [Dense()]
        self.weights = self.layers[0].weights
    def predict_on_batch(self, x):
        return x @ self.weights[0].value + self.weights[1].value

def build():
    return Model()

def pair():
    return {"g": Model()}

def headed():
    return {"g": Model(), "h": Model()}

def broken():
    raise RuntimeError("no such network\\nof that name")

def leaves():
    raise SystemExit(5)

def text():
    return "a model"

def texts():
    return {"a": 1}

def nothing():
    return {}

def unbuilt():
    model = Model()
    model.built = False
    return model
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module with a model that is like a Keras model, in the current directory."""
    name = "model_" + tmp_path.name
    (tmp_path / (name + ".py")).write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    return name


def test_plan_saves_what_convert_runs(module, capsys, tmp_path):
    assert main(["plan", "--json", data("adam"), "--model", module + ":build"]) == 0
    (tmp_path / "plan.json").write_text(capsys.readouterr().out)
    arguments = ["convert", data("adam"), "--model", module + ":build", "--plan", "plan.json", "--to", "out.npz"]
    assert main(arguments) == 0
    with np.load("out.npz") as written:
        assert sorted(written.files) == ["dense/bias", "dense/kernel"]
        assert np.array_equal(written["dense/kernel"], expected("adam")["generator/fc1/kernel"])
    assert main(arguments) == 4
    assert "exists already" in capsys.readouterr().err


def test_what_does_not_map_is_status_3_with_all_problems(module, capsys):
    assert main(["plan", data("part"), "--model", module + ":build"]) == 3
    errors = capsys.readouterr().err
    assert "dense/kernel" in errors and "rows/w" in errors and "columns/w" in errors
    assert main(["plan", "--json", data("part"), "--model", module + ":build"]) == 3
    told = json.loads(capsys.readouterr().out)["problems"]
    assert any("rows/w" in problem for problem in told) and any("dense/kernel" in problem for problem in told)


@pytest.mark.parametrize("suffix", [".py", ".toml"])
def test_rules_files(suffix, module, tmp_path, capsys):
    rules = tmp_path / ("rules" + suffix)
    if suffix == ".py":
        rules.write_text(r'RULES = [Rule(r"generator/fc1/(.*l|.*s)", r"g/dense/\1"), Ignore(".*", "not needed")]')
    else:
        if sys.version_info < (3, 11):
            pytest.importorskip("tomli")
        rules.write_text(
            "[[rule]]\npattern = 'generator/fc1/(.*l|.*s)'\ntarget = 'g/dense/\\1'\n"
            "[[rule]]\npattern = '.*'\nignore = 'not needed'\n"
        )
    assert main(["plan", data("adam"), "--model", module + ":pair", "--rules", str(rules)]) == 0
    assert "not needed" in capsys.readouterr().out


@pytest.mark.parametrize("how", ["--keep", ".py", ".toml"])
def test_keep_on_the_command_line(how, module, tmp_path, capsys):
    pattern = "h/dense/(kernel|bias)"
    arguments = ["--keep", pattern]
    if how != "--keep":
        if how == ".toml" and sys.version_info < (3, 11):
            pytest.importorskip("tomli")
        rules = {".py": f"RULES = [Keep({pattern!r})]", ".toml": f"[[rule]]\npattern = '{pattern}'\nkeep = 'new'\n"}
        (tmp_path / ("rules" + how)).write_text(rules[how])
        arguments = ["--rules", "rules" + how]
    model = ["--model", module + ":headed"]
    assert main(["plan", data("adam"), *model, *arguments]) == 0
    assert "2 of the model kept" in capsys.readouterr().out
    assert main(["convert", data("adam"), *model, *arguments, "--to", "out.npz"]) == 0
    with np.load("out.npz") as written:
        assert np.array_equal(written["g/dense/kernel"], expected("adam")["generator/fc1/kernel"])
        assert not written["h/dense/kernel"].any()
    capsys.readouterr()
    # A file that stands for the model has shapes alone to give.
    assert main(["convert", data("adam"), "--model", "out.npz", *arguments, "--to", "again.npz"]) == 4
    assert "only the model itself has one" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name, content",
    [
        ("a.py", "RULES = 3"),
        ("b.py", "1/0"),
        ("c.toml", "[[rule]]\npattern='x'"),
        ("d.txt", ""),
        ("e.toml", "rule = [1]"),
        ("f.toml", "rule = " + "[" * 5000),
        ("g.toml", "x = " + "9" * 5000),
        ("h.toml", "[[rule]]\npattern = 'x'\nkeep = 'y'\n\"\\u001b[2J\" = ''"),
    ],
)
def test_bad_rules_files_are_status_4(name, content, module, tmp_path, capsys):
    if name.endswith(".toml") and sys.version_info < (3, 11):
        pytest.importorskip("tomli")
    (tmp_path / name).write_text(content)
    assert main(["plan", data("adam"), "--model", module + ":build", "--rules", name]) == 4
    said = capsys.readouterr().err
    assert name in said and len(said.splitlines()) == 1 and said.strip().isprintable()


@pytest.mark.parametrize("command", ["plan", "convert", "verify"])
@pytest.mark.parametrize(
    "model, said",
    [
        ("no_such_package.models:build", "no module no_such_package"),
        ("MODULE", "not MODULE:FUNCTION"),
        (":build", "not MODULE:FUNCTION"),
        ("MODULE:buidl", "has no function buidl; did you mean build?"),
        ("MODULE:broken", "broken() raises RuntimeError: no such network"),
        ("MODULE:leaves", "leaves() raises SystemExit: 5"),
        ("MODULE:text", "text() is no Keras model but of type str"),
        ("MODULE:texts", "texts()['a'] is no Keras model but of type int"),
        ("MODULE:nothing", "returns no model"),
        ("MODULE:unbuilt", "model model has no variables yet; build it"),
        ("half_a_module:build", "importing half_a_module raises ModuleNotFoundError: No module named 'not_here'"),
    ],
)
def test_a_model_that_cannot_be_had_is_one_line_and_status_2(command, model, said, module, tmp_path, capsys):
    (tmp_path / "half_a_module.py").write_text("import not_here\n")
    np.savez(str(tmp_path / "golden.npz"), inputs_x=np.ones((2, 4), "f4"), outputs_y=np.ones((2, 3), "f4"))
    more = {"plan": [], "convert": ["--to", "out"], "verify": ["--golden", "golden.npz"]}[command]
    assert main([command, data("adam"), "--model", model.replace("MODULE", module), *more]) == 2
    errors = capsys.readouterr().err
    assert said in errors and len(errors.splitlines()) == 1 and "--model" in errors
    assert not (tmp_path / "out.index").exists()


def test_verify_tells_equal_from_different(module, capsys, tmp_path):
    x = np.ones((2, 4), "f4")
    golden = x @ expected("adam")["generator/fc1/kernel"] + expected("adam")["generator/fc1/bias"]
    np.savez(str(tmp_path / "good.npz"), inputs_x=x, outputs_y=golden)
    np.savez(str(tmp_path / "bad.npz"), inputs_x=x, outputs_y=golden + 1)
    arguments = ["verify", "--json", data("adam"), "--model", module + ":build", "--golden"]
    assert main([*arguments, "good.npz"]) == 0
    assert json.loads(capsys.readouterr().out)["outputs"][0]["ulps"] == 0
    assert main([*arguments, "bad.npz"]) == 1
    assert json.loads(capsys.readouterr().out)["outputs"][0]["absolute"] == pytest.approx(1.0)


def test_verify_names_the_first_layer_whose_golden_values_it_does_not_compute(module, capsys, tmp_path):
    x = np.ones((2, 4), "f4")
    golden = x @ expected("adam")["generator/fc1/kernel"] + expected("adam")["generator/fc1/bias"]
    np.savez(str(tmp_path / "none.npz"), inputs_x=x, outputs_y=golden)
    np.savez(str(tmp_path / "odd.npz"), inputs_x=x, outputs_y=golden, layers_fc9=golden)
    arguments = ["verify", data("adam"), "--model", module + ":build", "--golden"]
    assert main([*arguments, "none.npz"]) == 0
    assert "layers not compared: the model does not say how its layers are connected" in capsys.readouterr().out
    assert main([*arguments, "odd.npz"]) == 4
    assert "layers_fc9: no such layer" in capsys.readouterr().err


def test_golden_arrays_are_made_by_another_python(module, capsys, tmp_path):
    x = np.ones((2, 4), "f4")
    golden = x @ expected("adam")["generator/fc1/kernel"] + expected("adam")["generator/fc1/bias"]
    np.savez(str(tmp_path / "made.npz"), inputs_x=x, outputs_y=golden)
    # Stands for a Python with TensorFlow: it is called as one, and makes what `golden` would.
    other = tmp_path / "python"
    other.write_text('#!/bin/sh\necho "$@" > called\nwhile [ "$1" != --to ]; do shift; done\ncp made.npz "$2"\n')
    other.chmod(0o755)
    (tmp_path / "g.pb").touch()
    arguments = ["verify", data("adam"), "--model", module + ":build", "--graph", "g.pb", "--output", "out"]
    arguments += ["--feed", "keep_prob=1.0"]
    assert main([*arguments, "--python", str(other)]) == 0
    called = (tmp_path / "called").read_text()
    assert called.startswith(f"-m checkpoints golden --here {tmp_path / 'g.pb'} --to ")
    assert called.endswith("--output out --feed keep_prob=1.0\n")

    other.write_text("#!/bin/sh\necho first >&2\necho 'error: g.pb: no such file' >&2\nexit 4\n")
    assert main([*arguments, "--python", str(other)]) == 4
    assert capsys.readouterr().err == f"error: --python {other}: g.pb: no such file\n"
    assert main([*arguments, "--python", str(tmp_path / "none")]) == 2
    assert main(["verify", data("adam"), "--model", module + ":build", "--python", str(other)]) == 2
    assert "adam comes without a graph" in capsys.readouterr().err
    assert main(["verify", data("adam"), "--model", module + ":build", "--golden", "x", "--python", "p"]) == 2
    assert main([*arguments, "--feed", "keep_prob"]) == 2
    assert "not TENSOR=VALUE" in capsys.readouterr().err


def test_without_tensorflow_it_is_said_where_to_get_golden_arrays(capsys, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CARRYOVER_TENSORFLOW_PYTHON", raising=False)
    # In this checkout there may be environments.
    monkeypatch.setattr("checkpoints.elsewhere._ROOT", str(tmp_path))
    (tmp_path / "g.pb").touch()
    assert main(["golden", str(tmp_path / "g.pb"), "--to", str(tmp_path / "g.npz")]) == 4
    errors = capsys.readouterr().err
    assert len(errors.splitlines()) == 1 and "--python PATH or $CARRYOVER_TENSORFLOW_PYTHON, or install nox" in errors


@pytest.mark.parametrize("to", ["out", "out.npz", "out.safetensors"])
def test_convert_keeps_every_bit(to, tmp_path):
    target = str(tmp_path / to)
    assert main(["convert", data("part"), "--to", target]) == 0
    assert main(["diff", data("part"), target]) == 0
    assert all(name.startswith("out") for name in os.listdir(str(tmp_path)))


def test_what_a_format_cannot_hold_is_named_before_anything_is_written(tmp_path, capsys):
    assert main(["convert", data("types"), "--to", str(tmp_path / "out.safetensors")]) == 4
    assert "d/complex128 (complex128)" in capsys.readouterr().err
    assert os.listdir(str(tmp_path)) == []


@pytest.mark.parametrize("to", ["out", "out.npz", "out.safetensors"])
def test_an_object_based_checkpoint_is_converted_and_nothing_left_out_unsaid(to, tmp_path, capsys):
    tensors = {"net/w/.ATTRIBUTES/VARIABLE_VALUE": np.ones(3, "f4")}
    tensors["_CHECKPOINTABLE_OBJECT_GRAPH"] = np.array([b"graph"], object)
    write_saver(tmp_path / "in", tensors)
    assert main(["convert", str(tmp_path / "in"), "--to", str(tmp_path / to)]) == 0
    assert ("left out: _CHECKPOINTABLE_OBJECT_GRAPH" in capsys.readouterr().out) == (to != "out")
    assert main(["diff", str(tmp_path / "in"), str(tmp_path / to)]) == 0
    told = "1 equal, 0 differ, 1 of bookkeeping in one of them only\n"
    assert capsys.readouterr().out == ("2 equal, 0 differ\n" if to == "out" else told)


@pytest.mark.parametrize(
    "to, status", [("out.h5", 2), ("frozen.pb", 2), ("there", 2), ("out.keras", 2), ("no/such", 4)]
)
def test_a_target_that_cannot_be_meant_is_refused(to, status, tmp_path, capsys):
    (tmp_path / "there").mkdir()
    assert main(["convert", data("part"), "--to", str(tmp_path / to)]) == status
    errors = capsys.readouterr().err
    assert len(errors.splitlines()) == 1 and str(tmp_path / to) in errors
    assert os.listdir(str(tmp_path)) == ["there"]


@pytest.mark.parametrize("to", ["out", "out.npz", "out.safetensors"])
def test_conversion_holds_one_tensor_at_a_time(to, tmp_path):
    size = 4 << 20
    write_saver(tmp_path / "in", {f"w{number}": np.zeros(size // 4, "f4") for number in range(8)})
    tracemalloc.start()
    try:
        assert main(["convert", str(tmp_path / "in"), "--to", str(tmp_path / to)]) == 0
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * size  # of eight


def test_verify_compares_both_parts_of_complex_outputs_and_says_nan_in_json(module, capsys, tmp_path):
    x = np.ones((2, 4), "f4")
    golden = x @ expected("adam")["generator/fc1/kernel"] + expected("adam")["generator/fc1/bias"]
    given = {"good": golden, "imaginary": golden + 1j, "complex": golden + 0j, "nan": golden * np.float32("nan")}
    for name, value in given.items():
        np.savez(str(tmp_path / (name + ".npz")), inputs_x=x, outputs_y=value)
    arguments = ["verify", "--json", data("adam"), "--model", module + ":build", "--golden"]
    told = {}
    for name in given:
        status = main([*arguments, name + ".npz"])
        told[name] = status, json.loads(capsys.readouterr().out, parse_constant=pytest.fail)["outputs"][0]
    assert told["imaginary"][0] == 1 and told["imaginary"][1]["absolute"] == pytest.approx(1.0)
    assert (told["complex"][0], told["complex"][1]["ulps"]) == (0, 0)
    assert told["nan"][0] == 1 and told["nan"][1]["absolute"] is None

    with open(module + ".py", "a") as stream:
        stream.write(
            "\nclass Turned(Model):\n    def predict_on_batch(self, x):\n"
            "        return super().predict_on_batch(x) + 5j\ndef turned():\n    return Turned()\n"
        )
    del sys.modules[module]
    arguments[4] = module + ":turned"
    assert [main([*arguments, name + ".npz"]) for name in ("good", "complex")] == [1, 1]


@pytest.mark.parametrize(
    "outputs, said",
    [
        (np.zeros((0, 3), "f4"), "outputs_y: golden is [0, 3], which has no element to compare"),
        (np.zeros((2, 3), [("qint8", "i1")]), "outputs_y: float32 and golden [('qint8', 'i1')] cannot be compared"),
    ],
)
def test_verify_passes_nothing_that_it_cannot_compare(outputs, said, module, capsys, tmp_path):
    np.savez(str(tmp_path / "g.npz"), inputs_x=np.zeros((len(outputs), 4), "f4"), outputs_y=outputs)
    assert main(["verify", data("adam"), "--model", module + ":build", "--golden", "g.npz"]) == 4
    assert said in capsys.readouterr().err


def test_verify_takes_golden_values_in_bfloat16(module, capsys, tmp_path):
    x = np.ones((2, 4), "f4")
    golden = x @ expected("adam")["generator/fc1/kernel"] + expected("adam")["generator/fc1/bias"]
    np.savez(str(tmp_path / "g.npz"), inputs_x=x, outputs_y=cast(golden, "bfloat16"))
    arguments = ["verify", "--json", data("adam"), "--model", module + ":build", "--golden", "g.npz", "--rtol", "0.01"]
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out)["outputs"][0]["ulps"] == 0
