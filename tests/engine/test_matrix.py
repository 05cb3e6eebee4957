"""The compatibility matrix as a whole, on files that need no TensorFlow: what runs, what runs again, what is told."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from matrix.errors import ArtifactMismatch, LockMismatch
from matrix.results import Results
from tests.engine.planted import CHECKOUT, ID, PYTHON, Planted, until, wait

KINDS = "".join(
    f'[[kinds]]\nid = "{name}"\ntitle = "{name}"\nfile = "file"\n' for name in ("plain", "torn", "deadly", "slow", "no")
)
TEST = """
import os, signal, time
import pytest

@pytest.mark.kinds
def test_writes(kind, new_artifact):
    if kind == "no":
        pytest.skip("unsupported: nobody writes this")
    with open(os.path.join(new_artifact("matrix-" + kind), "file"), "w") as file:
        file.write(kind)

@pytest.mark.pairs
def test_loads(pair, record_property):
    for name in ("producer", "kind", "way"):
        record_property(name, pair[name])
    record_property("how", "raises")
    with open(os.path.join(pair["folder"], pair["file"])) as file:
        kind = file.read()
    if kind == "deadly" and pair["way"] == "native":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "slow":
        time.sleep(SECONDS)
    if kind == "torn" and pair["way"] == "native":
        record_property("how", "silently wrong")
        pytest.fail("silently wrong: half of it", pytrace=False)
"""
ENTRY = """
[[entries]]
id = "torn"
where = [{ kinds = ["torn"] }]
how = "silently wrong"
reason = "half"
cause = "It is torn."
link = "https://example.org"
instead = "Do not."
"""


@pytest.fixture
def matrix(planted):
    """A project whose only environment exchanges files with itself."""
    (planted.root / "tests/pairs").mkdir()
    (planted.root / "tests/pairs/__init__.py").touch()
    (planted.root / "tests/pairs/kinds.toml").write_text(KINDS)
    (planted.root / "tests/pairs/test_pairs.py").write_text(TEST.replace("SECONDS", "0.01"))
    (planted.root / "tests/cells.toml").write_text("cells = []\n")
    (planted.root / "matrix").mkdir()
    (planted.root / "matrix/ledger.toml").write_text("entries = []\n")
    for name in ("gan", "checkpoints"):
        (planted.root / name).mkdir()
    shutil.copy(CHECKOUT / "checkpoints/ulps.py", planted.root / "checkpoints")
    return planted


def outcomes(planted: Planted) -> dict[str, str]:
    """The last outcome of every cell, by what stands in brackets."""
    records = Results(planted.root / "reports/matrix/results.jsonl").read()
    return {record.cell.partition("[")[2].rstrip("]").replace(f"{ID}-", ""): record.outcome.value for record in records}


def count(planted: Planted) -> int:
    """How many records there are, repeated ones too."""
    return len(Results(planted.root / "reports/matrix/results.jsonl").read())


def test_files_are_exchanged_and_only_what_changed_runs_again(matrix):
    done = matrix.do("matrix")
    assert done.status == 1, done.out + done.err
    assert outcomes(matrix) == {
        "plain": "passed",
        "torn": "passed",
        "deadly": "passed",
        "slow": "passed",
        "no": "unsupported",
        "plain-native": "passed",
        "plain-carryover": "passed",
        "torn-native": "failed",
        "torn-carryover": "passed",
        "deadly-native": "crashed",
        "deadly-carryover": "passed",
        "slow-native": "passed",
        "slow-carryover": "passed",
    }
    assert "nox -s repro" in done.out and "torn-" in done.out
    plan = json.loads((matrix.root / "reports/matrix/plan.json").read_text())
    assert len(plan["cells"]) == 13
    records = Results(matrix.root / "reports/matrix/results.jsonl").read()
    crashed = next(record for record in records if record.outcome.value == "crashed")
    assert crashed.details["way"] == "native" and crashed.details["kind"] == "deadly", "a crash says what it was about"
    assert not matrix.left()

    before = count(matrix)
    assert matrix.do("matrix").status == 1, "what failed is told again"
    assert count(matrix) == before, "and nothing ran"
    (matrix.root / "checkpoints/reader.py").write_text("# another reader\n")
    assert matrix.do("matrix").status == 1
    assert count(matrix) == before + 4, "only what goes through checkpoints/"
    (matrix.root / "matrix/ledger.toml").write_text(ENTRY)
    done = matrix.do("matrix", "--only", "torn")
    assert done.status == 0 and "1 known" in done.out, done.out
    (matrix.root / "matrix/ledger.toml").write_text(ENTRY.replace("torn", "plain"))
    done = matrix.do("matrix", "--only", "plain")
    assert done.status == 1 and "1 fixed" in done.out, done.out
    before = count(matrix)
    assert matrix.do("matrix", "--only", "plain", "--fresh").status == 1
    assert count(matrix) == before + 3


def test_a_run_that_is_killed_goes_on_where_it_was(matrix):
    (matrix.root / "tests/pairs/test_pairs.py").write_text(TEST.replace("SECONDS", "300"))
    process = matrix._start(["matrix", "--only", "plain", "slow"], {})
    until(lambda: (matrix.root / "reports/matrix/results.jsonl").exists() and "plain-carryover" in outcomes(matrix), 60)
    other = matrix.do("matrix", "--only", "plain")
    assert other.status == 18 and "another run" in other.error
    process.send_signal(signal.SIGKILL)
    wait(process)
    until(lambda: not matrix.left(), 60)  # its parts end by themselves
    before = count(matrix)
    assert matrix.do("matrix", "--only", "plain").status == 0
    assert count(matrix) == before, "what had finished counts"


def test_ctrl_c_leaves_nothing_behind(matrix):
    (matrix.root / "tests/pairs/test_pairs.py").write_text(TEST.replace("SECONDS", "300"))
    process = matrix._start(["matrix", "--only", "slow"], {})
    until(lambda: (matrix.root / "reports/matrix/results.jsonl").exists() and "slow" in outcomes(matrix), 60)
    until(lambda: matrix.left(), 60)
    process.send_signal(signal.SIGINT)
    done = wait(process)
    assert done.status == 130, done.err
    assert not matrix.left()


def test_a_file_that_was_changed_is_said_and_not_read(matrix):
    assert matrix.do("matrix", "--only", "plain", "way=native").status == 0
    (matrix.root / f"artifacts/matrix-plain/{ID}/file").write_text("changed")
    done = matrix.do("matrix", "--only", "plain")
    assert done.status == 11 and "its manifest says" in done.err and "Traceback" not in done.err, done.err
    assert outcomes(matrix)["plain-carryover"] == "not run"
    assert matrix.do("matrix", "--only", "plain", "--fresh").status == 0, "it is written anew"


def test_an_environment_that_cannot_be_made_costs_its_own_cells(matrix):
    with (matrix.root / "environments.toml").open("a") as axis:
        axis.write('\n[environments."cpu-tf99.0"]\ntensorflow = "99.0.0"\npackage = "pytest"\n')
        axis.write(f'python = "{PYTHON}"\nkeras = 3\n')
    done = matrix.do("matrix", "--only", "plain")
    assert done.status == LockMismatch.status, done.out + done.err
    assert "cpu-tf99.0" in done.err and "Traceback" not in done.err
    assert "did not get to the end, see above: cpu-tf99.0" in done.out
    records: dict[str, list[str]] = {}
    for record in Results(matrix.root / "reports/matrix/results.jsonl").read():
        records.setdefault(record.environment, []).append(record.outcome.value)
    assert records == {ID: ["passed"] * 3, "cpu-tf99.0": ["not run"] * 3}, "a file of its own nobody can read"
    assert (matrix.root / "reports/index.html").exists()
    assert matrix.do("report").status == 1, "and the report is bad"


def test_a_part_that_is_killed_leaves_no_verdict_of_an_earlier_run(matrix):
    assert matrix.do("matrix", "--only", "plain").status == 0
    code = (matrix.root / "tests/pairs/test_pairs.py").read_text()
    slower = code.replace('    for name in ("producer"', '    time.sleep(60)\n    for name in ("producer"')
    (matrix.root / "tests/pairs/test_pairs.py").write_text(slower)
    process = matrix._start(["matrix", "--only", "plain"], {})
    until(lambda: parts(process.pid, "read"), 60)
    os.kill(parts(process.pid, "read")[0], signal.SIGKILL)
    done = wait(process)
    assert done.status == 1, done.out + done.err
    assert "1 passed, 2 failed" in done.out
    until(lambda: not matrix.left(), 60)
    records = Results(matrix.root / "reports/matrix/results.jsonl").read()[-2:]
    assert {record.reason for record in records} == {"no result: its part ended with SIGKILL before it"}
    assert matrix.do("report").status == 1, "nor does the report show an earlier one"
    assert "failed" in (matrix.root / "reports/report.md").read_text()
    (matrix.root / "tests/pairs/test_pairs.py").write_text(code)
    before = count(matrix)
    assert matrix.do("matrix", "--only", "plain").status == 0
    assert count(matrix) > before, "what was lost runs again"


def break_the_part(matrix):
    """Let cells write what the host cannot take in: a link to nowhere."""
    write = "        file.write(kind)\n"
    broken = write.replace("kind", '"another"') + '        os.symlink("nowhere", file.name + "2")\n'
    (matrix.root / "tests/pairs/test_pairs.py").write_text(TEST.replace("SECONDS", "0.01").replace(write, broken))


def test_a_part_that_breaks_leaves_no_verdict_of_an_earlier_run(matrix):
    assert matrix.do("matrix", "--only", "plain").status == 0
    break_the_part(matrix)
    done = matrix.do("matrix", "--only", "plain")
    assert done.status != 0 and "3 passed" not in done.out, done.out + done.err
    assert outcomes(matrix)["plain"] == "failed"
    assert matrix.do("report").status == 1


def test_parts_that_cannot_begin_are_no_success_of_a_fresh_run(matrix):
    assert matrix.do("matrix", "--only", "plain").status == 0
    shutil.rmtree(matrix.root / ".carryover/runs")
    (matrix.root / ".carryover/runs").touch()
    done = matrix.do("matrix", "--only", "plain", "--fresh")
    assert done.status not in (0, 1) and "passed" not in done.out, done.out + done.err
    assert outcomes(matrix)["plain"] == "failed"


def test_a_file_of_an_earlier_run_is_not_read_when_nobody_writes_it_any_more(matrix):
    only = ("matrix", "--only", "plain", "slow")
    assert matrix.do(*only).status == 0
    code = TEST.replace("SECONDS", "0.01").replace('kind == "no"', 'kind in ("no", "plain")')
    (matrix.root / "tests/pairs/test_pairs.py").write_text(code)
    done = matrix.do(*only)
    assert done.status == 0 and "3 passed, 1 unsupported" in done.out, done.out
    plan = json.loads((matrix.root / "reports/matrix/plan.json").read_text())
    assert {cell["kind"] for cell in plan["cells"] if cell["role"] == "consume"} == {"slow"}
    failing = TEST.replace("SECONDS", "0.01").replace(
        "    with open(os.path.join(new_artifact", "    assert 0\n    with open(os.path.join(new_artifact"
    )
    (matrix.root / "tests/pairs/test_pairs.py").write_text(failing)
    done = matrix.do(*only)
    assert done.status == 1 and "2 failed" in done.out, "nothing is read, and that nothing was written is what is said"


def test_another_variable_of_the_row_runs_its_cells_again(matrix):
    code = TEST.replace("SECONDS", "0.01")
    breaks = '    assert not os.environ.get("BREAK")\n    record_property("how", "raises")\n'
    code = code.replace('    record_property("how", "raises")\n', breaks)
    (matrix.root / "tests/pairs/test_pairs.py").write_text(code)
    assert matrix.do("matrix", "--only", "plain").status == 0
    axis = matrix.root / "environments.toml"
    axis.write_text(axis.read_text().replace("keras = 3\n", 'keras = 3\nenv = { BREAK = "1" }\n', 1))
    assert matrix.do("matrix", "--only", "plain").status == 1
    assert outcomes(matrix) == {"plain": "passed", "plain-native": "failed", "plain-carryover": "failed"}


def test_an_artifact_without_its_manifest_is_said_in_a_line(matrix):
    assert matrix.do("matrix", "--only", "plain").status == 0
    (matrix.root / f"artifacts/matrix-plain/{ID}/manifest.json").unlink()
    done = matrix.do("matrix", "--only", "plain")
    assert done.status == ArtifactMismatch.status and f"matrix-plain/{ID}/manifest.json cannot be read" in done.error
    assert matrix.do("matrix", "--only", "plain", "--fresh").status == 0, "it is written anew"


def parts(parent: int, stage: str) -> list[int]:
    """The processes below `parent` that run one environment's part of `stage`."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(child) for child in children if f"\0pairs\0{stage}\0" in Path(f"/proc/{child}/cmdline").read_text()]


def test_a_selection_of_nothing_is_an_error(matrix):
    done = matrix.do("matrix", "--only", "plaim")
    assert done.status == 10 and "plain" in done.error
    done = matrix.do("matrix", "--only", "no")
    assert done.status == 10 and "that anybody writes" in done.error
