"""A report that was never measured, for tests of how reports are shown: any number of releases and formats, seeded."""

from __future__ import annotations

import random
import zlib

import msgspec

from matrix.ledger import Entry, Judged
from matrix.pairs import VERSION, MatrixPlan, PlannedCell
from matrix.report.model import make_report
from matrix.results import Outcome, Record

RELEASES = ("1.4", "1.12", "1.15", *(f"2.{minor}" for minor in range(22)))
WAYS = ("native", "carryover")
KINDS = (
    ("tf1-saver-v2", "Saver V2 checkpoint"),
    ("tf1-saver-v1", "Saver V1 checkpoint"),
    ("frozen-graph", "Frozen graph"),
    ("tf1-saved-model", "SavedModel of a v1 graph"),
    ("keras-h5", "Keras .h5, whole model"),
    ("keras-h5-weights", "Keras .h5, weights"),
    ("keras-weights-h5", "Keras .weights.h5"),
    ("keras-zip", ".keras"),
    ("object-checkpoint", "tf.train.Checkpoint with optimizer"),
    ("saved-model", "SavedModel"),
)


def entry(name, cause, link, instead):
    """An entry of a ledger; which cells it is about, the tests say by themselves."""
    return Entry(name, (), "raises", "", cause, link, instead)


CAUSES = (
    entry(
        "keras3-reads-no-h5-of-keras-2",
        "Keras 3 looks classes up in its own registry, where a Functional model of Keras 2 is not.",
        "https://example.org/issues/1",
        "Load the weights into a model built in code.",
    ),
    entry("no-v1-format", "The reader of V1 checkpoints was dropped.", "javascript:alert(1)", "Rewrite it as V2."),
)
REASONS = ("ValueError: Unknown layer: Functional", "OSError: Unable to open file (file signature not found)")


def environment(release):
    return f"cpu-tf{release}"


def cell_id(kind, producer, way):
    return f"tests/compatibility/test_load_any.py::test_loads[{kind}-{environment(producer)}-{way}]"


def record(of, cell, outcome=Outcome.PASSED, reason="", **details):
    second = zlib.crc32(f"{of} {cell}".encode()) % 86400  # as different as in a real run
    return Record(
        run="run-1",
        cell=cell,
        environment=of,
        device="cpu",
        outcome=outcome,
        reason=reason,
        seconds=0.1 + second / 86400,
        engine="docker 20.10",
        isolation="container",
        image=f"carryover/{of}",
        image_id=f"sha256:{of}",
        base="python:3.11-slim-bookworm",
        versions={"tensorflow": of.rpartition("tf")[2], "numpy": "1.26.4"},
        host={"system": "Linux", "cpus": "2"},
        started=f"2026-11-22T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}+00:00",
        log=f"reports/logs/carryover-docker-{of}.log",
        details=details,
        inputs={f"{details['kind']}/{details['producer']}": details.pop("sha256")} if details.get("producer") else {},
    )


def plan(releases=RELEASES[-4:], kinds=KINDS[:3], selection=()):
    names = [environment(release) for release in releases]
    cells = []
    for kind, _ in kinds:
        for producer in releases:
            writes = f"tests/compatibility/test_produce.py::test_writes[{kind}]"
            cells.append(PlannedCell(environment(producer), writes, "produce", kind))
        for consumer in releases:
            for producer in releases:
                for way in WAYS:
                    cell = cell_id(kind, producer, way)
                    cells.append(PlannedCell(environment(consumer), cell, "consume", kind, environment(producer), way))
    titles = [{"id": name, "title": title} for name, title in kinds]
    return MatrixPlan(VERSION, "2026-11-22T14:00:00+00:00", list(selection), names, names, titles, list(WAYS), cells)


def one_way(made, kind):
    """`made` without what reads `kind` in the second way: not every format has both."""
    left = [cell for cell in made.cells if (cell.kind, cell.way) != (kind, WAYS[1])]
    return msgspec.structs.replace(made, cells=left)


def judged_cell(planned, dice):
    """One cell with an outcome that depends on the dice, and on what is likely for its releases and way."""
    base = {"producer": planned.producer, "kind": planned.kind, "way": planned.way, "sha256": f"{planned.kind:>064}"}

    def made(outcome, reason="", known=None, **details):
        found = record(planned.environment, planned.cell, outcome, reason, **base, **details)
        return Judged(found, outcome, known.id if known else "")

    if planned.role == "produce":
        return made(Outcome.PASSED, artifact=f"{planned.kind}/{planned.environment}")
    old, new = (RELEASES.index(name.removeprefix("cpu-tf")) for name in (planned.producer, planned.environment))
    number = dice.random()
    if planned.way == "native" and old < new and new >= RELEASES.index("2.16") and "h5" in planned.kind:
        return made(Outcome.KNOWN, REASONS[0], CAUSES[0], how="raises")
    if planned.way == "native" and old > new + 6:
        return made(Outcome.UNSUPPORTED, "the release has no reader for it")
    if number > 0.9985:
        return made(Outcome.FAILED, "silently wrong: 0 of 6 variables restored", how="silently wrong")
    if number > 0.997:
        return made(Outcome.FAILED, REASONS[1], how="raises")
    odd = {0: Outcome.CRASHED, 1: Outcome.TIMED_OUT, 2: Outcome.FIXED, 3: Outcome.NOT_RUN}.get(int(number * 4000))
    if odd:
        return made(odd, f"{odd.value} here", CAUSES[1] if odd is Outcome.FIXED else None)
    if number > 0.95 and planned.way == "native":
        return made(Outcome.KNOWN, "silently wrong: 4 of 6 variables restored", CAUSES[1], how="silently wrong")
    return made(Outcome.PASSED, restored="6 of 6", ulps=dice.randrange(12), bound=18, continued=dice.random() > 0.5)


def report(releases=RELEASES[-4:], kinds=KINDS[:3], seed=1, change=None, causes=CAUSES):
    """`change(judged)` may give other judged records, or leave some out, before the report is made."""
    dice = random.Random(seed)
    made = plan(releases, kinds)
    judged = [judged_cell(planned, dice) for planned in made.cells]
    checks = [
        Judged(
            record(environment(release), f"tests/environment/test_training.py::test_{name}", text="a"), Outcome.PASSED
        )
        for release in releases
        for name in ("keras_models_learn", "static_graph_learns")
    ]
    if change:
        judged = change(judged)
    return make_report(made, judged, checks, "2026-11-22T15:00:00+00:00", causes)


def large():
    """Some 20,000 cells: 25 releases, 16 formats, two ways."""
    again = [(f"{kind}-again", f"{title}, again") for kind, title in KINDS]
    return report(RELEASES, [*KINDS, *again][:16])


def again_in_the_same_place(made):
    """`made` with one more cell where the first one that reads is, which failed."""
    first = next(cell for cell in made.cells if cell.role == "consume")
    other = msgspec.structs.replace(first, name=f"{first.name}-more", cell=f"{first.cell}-more", outcome="failed")
    return msgspec.structs.replace(made, cells=[*made.cells, other])
