"""What the jobs of a workflow call: the plan they fan out from, one environment's part, and all parts made one."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import msgspec

from matrix import artifacts, bundle, gitlab, parts, sweep
from matrix.engine import choose
from matrix.environments import load_environments
from matrix.errors import BadConfiguration, CarryoverError, NothingSelected, WrongUsage
from matrix.jobs import Asked, Jobs, load_runners, make_jobs, touched
from matrix.ledger import judge_all
from matrix.pair_run import run_part
from matrix.parts import Part
from matrix.plan import load_checks, planned_cells
from matrix.project import Project
from matrix.report.command import gather
from matrix.report.states import NO_RECORD
from matrix.repro import what_to_know
from matrix.results import TRIES, Outcome, Record, Results, unrun
from matrix.run import Progress
from matrix.sweep import Store
from matrix.table import Terminal, bad_lines, counted, matrix_table
from matrix.untrusted import printable

_FILES = ("results.jsonl", sweep.RESULTS)
_BUNDLES = 40  # of some 3 MiB each: what one run keeps of its failures


def plan(project: Project, asked: Asked, since: str, forge: str) -> int:
    """Print the jobs of what is `asked` for; with `since` (a commit) the rows that changed after it belong to them.

    For the `forge` github that is JSON, for gitlab a child pipeline, and for none a table for people.
    """
    if since:
        asked = msgspec.structs.replace(asked, touched=_touched(project, since))
    store = Store(project)
    runners = load_runners(project.root / f".{forge or 'github'}" / "runners.toml")
    jobs = make_jobs(asked, project.environments, store.producers, store.kinds, runners)
    if forge:
        print(msgspec.json.encode(jobs if forge == "github" else gitlab.pipeline(jobs)).decode())
        return 0
    for stage in ("images", "producers", "consumers", "checks"):
        rows = getattr(jobs, stage)
        print(f"{stage}: {len(rows)} {' '.join(job.environment for job in rows)}")
    print(f"not run, for want of a runner: {len(jobs.not_run)} {' '.join(jobs.not_run)}")
    return 0


def _touched(project: Project, since: str) -> frozenset[str]:
    changed = _git(project, "diff", "--name-only", since, "--").splitlines()
    if "environments.toml" not in changed:
        return touched(changed, project.environments, project.environments)
    with tempfile.TemporaryDirectory() as folder:
        before = Path(folder) / "environments.toml"
        before.write_text(_git(project, "show", f"{since}:environments.toml"))
        try:
            rows = load_environments(before)
        except BadConfiguration:  # of a form that is no longer read: then every row has changed
            rows = {}
        return touched(changed, project.environments, rows)


def _git(project: Project, *words: str) -> str:
    done = subprocess.run(["git", "-C", project.root, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise WrongUsage(f"--since: git {words[0]}: {said}: is that commit in this clone?")
    return done.stdout


def read_jobs(text: str) -> Jobs:
    """The jobs that `plan` printed. Raises WrongUsage."""
    try:
        return msgspec.json.decode(text, type=Jobs)
    except msgspec.DecodeError as error:
        raise WrongUsage(f"--jobs takes what `nox -s plan -- --github` printed: {error}") from None


class _Words(Progress):
    """Says where the image comes from. Not how cells end, which is known under the ledger only, when all have."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal

    def say(self, text: str) -> None:
        self.terminal.say(text)


def part(
    project: Project, stage: str, name: str, jobs: Jobs, engine_name: str | None, written: Path | None = None
) -> int:
    """Run what `name` has to do in `stage` (write or read) of the matrix; 1 if anything is bad, else 0.

    `written` is a folder with the parts of those that wrote what is to be read.
    """
    if written:
        parts.take_artifacts(project, written)
    store, terminal = Store(project), Terminal(name)
    environment = project.environment(name)
    try:
        engine = choose(project, engine_name, terminal.say)
        planned = sweep.plan(store, jobs.only.split(), stage)
        run_part(store, engine, environment, stage, "", _Words(terminal))
    finally:
        terminal.close()
    latest = store.latest()
    role = {"write": "produce", "read": "consume"}[stage]
    own = [cell for cell in planned if (cell.environment, cell.role) == (name, role)]
    records = [latest[key] for cell in own if (key := (name, cell.cell)) in latest]
    judged = judge_all(records, store.ledger(), store.producers)
    if stage == "read":
        terminal.console.print(matrix_table(sweep.summary(judged)))
    bad = sweep.bad(judged)
    for one in bad:
        terminal.console.print(bad_lines(one), markup=False)
    terminal.say(f"{stage}: {counted(judged)} of {len(own)} planned")
    return 1 if bad or len(records) < len(own) else 0


def merge(project: Project, folder: Path, jobs: Jobs) -> int:
    """Take the parts below `folder` into this checkout, plan what they had to do, and write bundles of what failed.

    What has no record then stays without one in the matrix, which the report counts as bad; of the environments' own
    cells, of which there is no plan, it gets a failed one. Returns 0: the verdict is the report's.
    """
    found = parts.find(folder)
    for path in found:
        with parts.unpacked(project, path) as part:
            if part:
                _take(project, part)
    print(f"{len(found)} parts of {len(jobs.producers) + len(jobs.consumers) + len(jobs.checks)} jobs")
    if jobs.producers or jobs.consumers:
        store, words = Store(project), jobs.only.split()
        try:
            sweep.plan(store, words, "read")
        except NothingSelected:  # nobody has written anything: what writes is planned, and has no record
            sweep.plan(store, words, "write")
    _account_for_checks(project, jobs)
    return _bundles(project)


def _tried(record: Record, before: Record | None, number: int) -> Record:
    """`record`, marked where it passed at the try `number` of its job, and not at the one before."""
    if number == 1 or record.outcome is not Outcome.PASSED or (before and before.outcome is Outcome.PASSED):
        return record
    return msgspec.structs.replace(record, details=record.details | {TRIES: number})


def _take(project: Project, part: Part) -> None:
    """Add the records, logs and artifacts of one part."""
    for written in part.artifacts:
        artifacts.replace(project, written, project.artifacts / written.parent.name / written.name)
    for name in _FILES:
        (project.reports / name).parent.mkdir(parents=True, exist_ok=True)
        here = Results(project.reports / name)
        before = {(record.environment, record.cell): record for record in here.read()}
        taken = [one for one in Results(part.folder / "reports" / name).read() if one.environment == part.environment]
        here.extend(_tried(one, before.get((one.environment, one.cell)), part.number) for one in taken)
    if (part.folder / "reports" / "logs").is_dir():
        shutil.copytree(part.folder / "reports" / "logs", project.reports / "logs", dirs_exist_ok=True)


def _account_for_checks(project: Project, jobs: Jobs) -> None:
    checks = load_checks(project.cells_file)
    committed = {kind: [artifacts.COMMITTED] for kind, ids in artifacts.ids(project).items() if "committed" in ids}
    results = Results(project.reports / "results.jsonl")
    project.reports.mkdir(exist_ok=True)
    seen = {(record.environment, record.cell) for record in results.read()}
    died = "no record: its job died, or never began"
    nobody = "no runner has an NVIDIA GPU: .github/runners.toml names none"
    why = {job.environment: (Outcome.FAILED, died) for job in jobs.checks}
    why |= dict.fromkeys(jobs.not_run, (Outcome.NOT_RUN, nobody))
    for name, (outcome, reason) in why.items():
        cells = [cell.id for cell in planned_cells(checks, project.environment(name), committed)]
        results.extend(unrun(name, cell, outcome, reason) for cell in cells if (name, cell) not in seen)


def _bundles(project: Project) -> int:
    """A bundle of each bad cell that ran, as many as one run keeps: one of each reason, then the rest."""
    records = {(r.environment, r.cell): r for name in _FILES for r in Results(project.reports / name).read()}
    bad = [cell for cell in gather(project).bad() if cell.outcome != NO_RECORD]
    ran = [record for cell in bad if (record := records[cell.environment, cell.cell]).image_id]
    first = {id(record) for record in {record.reason: record for record in reversed(ran)}.values()}
    written = 0
    for record in sorted(ran, key=lambda record: id(record) not in first)[:_BUNDLES]:
        path = project.reports / "bundles" / bundle.file_name(record)
        try:
            bundle.write(project, record, what_to_know(project, record), path)
            written += 1
        except CarryoverError as error:
            print(printable(f"no bundle of {record.environment}/{record.cell}: {error}"))
    print(f"{written} bundles of {len(bad)} bad cells in reports/bundles")
    return 0
