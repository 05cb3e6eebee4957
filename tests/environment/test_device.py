"""Where did the ops run? TensorFlow falls back to the CPU without a word, so its own log and metadata are asked.

Whether what CUDA needs is here can be seen without a GPU; the rest needs one.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys


def in_a_process(what, **environ):
    """(the JSON that `tests.environment.device` prints, TensorFlow's log)."""
    command = [sys.executable, "-m", "tests.environment.device", what]
    environ = dict(os.environ, TF_CPP_MIN_LOG_LEVEL="0", **environ)
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True, env=environ)
    print(done.stderr)
    assert done.returncode == 0, done.stderr.strip()[-300:]
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


def test_every_cuda_library_that_tensorflow_opens_is_found(record_property):
    """The names are TensorFlow's: each function that opens a library is called, and the log says what it looked for."""
    called, log = in_a_process("libraries", TF_CPP_VMODULE="dso_loader=1")
    assert {"CudaRuntime", "Cublas", "Cudnn"} <= set(called), "this TensorFlow opens no CUDA libraries: " + str(called)
    found, missing = [], []
    for name, words in zip(called, re.split("opening |opened all", log)[1:]):
        # Of CUPTI, which is looked for under two names, the last word counts.
        last = re.findall(
            r"(Successfully opened dynamic library (\S+)|[Cc]ould not load dynamic library '([^']+)')", words
        )
        assert last, "TensorFlow does not say what came of opening {}: {}".format(name, words.strip())
        (found if last[-1][1] else missing).append(last[-1][1] or last[-1][2])
    record_property("libraries", ", ".join(sorted(found)))
    assert not missing, "TensorFlow does not find " + ", ".join(sorted(missing))
    assert all(re.search(r"\.so\.\d", library) or "cupti" in library for library in found), "not a CUDA build: " + str(
        found
    )


def check(seen, record_property):
    """Every op was on GPU:0, and agrees with the CPU."""
    record_property("largest", "{:.1e}".format(max(op["difference"] for op in seen["ops"].values())))
    for name, devices in seen["devices"].items():
        on_gpu = [device for device in devices if re.search("gpu:0", device, re.IGNORECASE)]
        assert on_gpu, "{} ran on {}".format(name, devices or "no device that the metadata knows")
    far = {name: op for name, op in seen["ops"].items() if not op["difference"] <= op["bound"]}
    assert not far, "further from the CPU's result than the bound: " + str(far)


def test_a_session_runs_its_ops_on_the_gpu(record_property):
    """By the metadata of each run, which also says what memory the op took on the device."""
    seen, log = in_a_process("tf1", NVIDIA_TF32_OVERRIDE="0")
    check(seen, record_property)
    placed = set(re.findall(r"\b(\w+): \(\w+\): \S*GPU:0", log, re.IGNORECASE))
    record_property("placed", ", ".join(sorted(placed)))
    assert seen["bytes"] > 0, "no op took memory on the device"
    record_property("bytes", seen["bytes"])


def test_eager_ops_run_on_the_gpu(record_property):
    """By TensorFlow's log of the device of each op."""
    seen, log = in_a_process("tf2", NVIDIA_TF32_OVERRIDE="0")
    check(seen, record_property)
    logged = set(re.findall(r"Executing op (\w+) in device \S*GPU:0", log))
    not_logged = set(seen["ops"]) - logged
    assert not not_logged, "the log does not say that these ran on GPU:0: " + ", ".join(sorted(not_logged))
    if seen["bytes"] is not None:
        assert seen["bytes"] > 0, "no memory was taken on the device"
        record_property("bytes", seen["bytes"])
