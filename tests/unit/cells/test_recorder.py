"""What a record says of a failure: the same in every run."""

from __future__ import annotations

import os
import socket
import sys
import tempfile

import pytest

from tests.recorder import stable


@pytest.mark.parametrize(
    "text, expected",
    [
        (
            "OSError: Unable to open file '{tmp}/tmpab12_x9z/model.h5'",
            "OSError: Unable to open file '…/model.h5'",
        ),
        ("ValueError: {tmp}/pytest-of-me/pytest-12/out0/trace.npz is empty", "ValueError: …/out0/trace.npz is empty"),
        (
            "ValueError: no {out}/in/matrix-keras-h5/cpu-tf2.4/model.h5",
            "ValueError: no …/in/matrix-keras-h5/cpu-tf2.4/model.h5",
        ),
        ("TypeError: <tf.Variable object at 0x7f3a5c0b9d30>", "TypeError: <tf.Variable object at 0x…>"),
        (
            "NotFoundError: Op type not registered 'X' in binary running on {host}. Make",
            "NotFoundError: Op type not registered 'X' in binary running on …. Make",
        ),
        ("ValueError: __inference_signature_wrapper_1234 failed", "ValueError: __inference_signature_wrapper_… failed"),
        ("ImportError: {prefix}/lib/python3.9/x.py", "ImportError: …/lib/python3.9/x.py"),
        ("ValueError: dimension 64 of 0x10 is not 12", "ValueError: dimension 64 of 0x10 is not 12"),
    ],
)
def test_reason_is_stable(text, expected, monkeypatch, tmp_path):
    monkeypatch.setenv("CARRYOVER_OUT", str(tmp_path / "carryover-venv-cpu-tf2-6-20261126T120000-7" / "out"))
    out = os.path.dirname(os.environ["CARRYOVER_OUT"])
    names = {"tmp": tempfile.gettempdir(), "out": out, "host": socket.gethostname(), "prefix": sys.prefix}
    assert stable(text.format(**names)) == expected
