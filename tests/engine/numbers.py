"""A failure, planted: cells that read a number from an artifact, and want it even and small."""

from __future__ import annotations

import hashlib
import json

from matrix.results import Results
from tests.engine.planted import ID

CELLS = """
import os
import pytest

def number(artifact):
    with open(os.path.join(artifact, "number.txt")) as file:
        return int(file.read())

@pytest.mark.consumes("numbers")
def test_is_even(artifact):
    found = number(artifact)
    print("the number is", found, "and TensorFlow may say", os.environ["TF_CPP_MIN_LOG_LEVEL"])
    assert found % 2 == 0, "%d is odd" % found

@pytest.mark.consumes("numbers")
def test_is_small(artifact): assert number(artifact) < 100
"""
ODD, SMALL = f"{ID}/cells::is_even[committed]", f"{ID}/cells::is_small[committed]"


def write_number(planted, number, folder="tests/fixtures/numbers"):
    """An artifact with this number, and its manifest; the default is numbers/committed."""
    folder = planted.root / folder
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "number.txt").write_text(str(number))
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    manifest = {"kind": "numbers", "environment": ID, "cell": "c", "versions": {}, "sha256": {"number.txt": digest}}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def plant(planted):
    """Cells of which one fails, and what they read."""
    planted.cells(CELLS, consumes="numbers")
    write_number(planted, 7)
    return planted


def repeated(planted):
    """The records of what was run again."""
    return Results(planted.root / "reports/repro/results.jsonl").read()
