"""Several runs at the same time: each has its records, and what both need is built once."""

from __future__ import annotations

import pytest

from tests.engine.planted import ID, OTHER, wait

CELLS = "".join(f"def test_{number}(): pass\n" for number in range(40))


@pytest.mark.parametrize("environments", [(ID, ID), (ID, OTHER)], ids=["the same", "different"])
def test_runs_at_the_same_time(planted_anew, environments):
    planted_anew.cells(CELLS)
    ends = [wait(process) for process in [planted_anew.start(environment=name) for name in environments]]
    assert [(done.status, done.err) for done in ends] == [(0, ""), (0, "")]
    lines = (planted_anew.root / "reports/results.jsonl").read_text().splitlines()
    assert len(lines) == 2 * CELLS.count("def") and set(planted_anew.outcomes().values()) == {"passed"}
    builds = sum(done.out.count("building ") + done.out.count("making ") for done in ends)
    assert builds == len(set(environments))
    assert planted_anew.left() == []


def test_artifacts_are_whole_while_others_write_them(planted):
    """Two producers of the same artifact and a consumer that reads it, all at once."""
    planted.cells(
        "import os\n"
        "def test_writes(new_artifact):\n"
        "    folder = new_artifact('thing')\n"
        "    for number in range(50):\n"
        "        with open(os.path.join(folder, str(number)), 'wb') as file:\n"
        "            file.write(os.urandom(20000))\n"
    )
    assert planted.run().status == 0
    for _ in range(2):
        ends = [wait(process) for process in [planted.start() for _ in range(3)]]
        assert [(done.status, done.err) for done in ends] == [(0, "")] * 3
    assert planted.left() == []
    assert len(list((planted.root / "artifacts/thing").iterdir())) == 1
