"""The matrix as the jobs of a workflow: which environments write, read and run their own cells, and on what. Pure."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from matrix import pairs
from matrix.environments import Environment, nearest
from matrix.errors import BadConfiguration, NothingSelected
from matrix.pairs import Kind

MOST = 256  # jobs that one matrix of a workflow may have
_LOCKS = "docker/locks/"


class Runners(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """.github/runners.toml: the label of the runners for each device; no `gpu` where there are none."""

    cpu: str
    gpu: str = ""


class Job(msgspec.Struct, frozen=True):
    """One job: its environment, the nox session that runs that environment's own cells, and the runner's label."""

    environment: str
    session: str
    runner: str
    require_gpu: str


class Jobs(msgspec.Struct, frozen=True):
    """What a workflow fans out to. `only` are the words that select the same of the matrix (`nox -s matrix -- --only`).

    `not_run` are environments that were asked for, and that no runner takes.
    """

    only: str
    images: tuple[Job, ...]
    producers: tuple[Job, ...]
    consumers: tuple[Job, ...]
    checks: tuple[Job, ...]
    not_run: tuple[str, ...]


class Asked(msgspec.Struct, frozen=True):
    """What to run: `releases` and `kinds` are words, none of them meaning all; `reduced` the short matrix.

    `touched` are ids of environments that take part in the short matrix besides. With `kinds` the environments' own
    cells are left out.
    """

    releases: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    device: str = "all"
    reduced: bool = False
    touched: frozenset[str] = frozenset()


def load_runners(path: Path) -> Runners:
    """The runners that the TOML file at `path` names. Raises BadConfiguration."""
    try:
        return msgspec.convert(tomllib.loads(path.read_text()), Runners)
    except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise BadConfiguration(f"{path.name}: {error}") from error


def touched(
    changed: Iterable[str], now: Mapping[str, Environment], before: Mapping[str, Environment]
) -> frozenset[str]:
    """The environments whose lock is among the `changed` files, or whose row is not what it was."""
    locks = {name.removeprefix(_LOCKS).removesuffix(".txt") for name in changed if name.startswith(_LOCKS)}
    return frozenset(name for name, row in now.items() if name in locks or _row(before.get(name)) != _row(row))


def _row(environment: Environment | None) -> Environment | None:
    """Without the lines where it stands, which move when another row is added."""
    return environment and msgspec.structs.replace(environment, places={})


def make_jobs(
    asked: Asked,
    environments: Mapping[str, Environment],
    producers: Mapping[str, Environment],
    kinds: Sequence[Kind],
    runners: Runners,
) -> Jobs:
    """The jobs of what is `asked` for. `producers` are those of the matrix, those that only left files among them.

    Raises NothingSelected when that is nothing, or names nothing, and BadConfiguration for too many jobs.
    """
    chosen = _chosen(asked, {**producers, **environments})
    readers = {name: row for name, row in producers.items() if name in environments}
    words = [f"kind={','.join(asked.kinds)}"] if asked.kinds else []
    pairs.select(words, producers, readers, kinds)  # a kind that is none shows even where no environment takes part
    named = set(asked.releases)  # Keras 2 in a release of Keras 3 takes part in the matrix only where its own name is
    own = {name: {row.session, *row.names} for name, row in environments.items() if row.session.endswith("-legacy")}
    pairing = {name for name in chosen if name not in own or named & own[name]}
    if asked.releases or asked.reduced:
        words += [f"producer={','.join(name for name in producers if name in pairing)}"]
        words += [f"consumer={','.join(name for name in readers if name in pairing)}"]
    selection = pairs.select(words, producers, readers, kinds) if any(name in pairing for name in readers) else None
    writers = {cell.environment for cell in pairs.writing_cells(selection, readers, kinds)} if selection else set()
    consumers = selection.consumers if selection else ()
    checks = [] if asked.kinds else [name for name in environments if name in chosen]
    needed = {*writers, *consumers, *checks}

    def jobs(names: Iterable[str]) -> tuple[Job, ...]:
        wanted = set(names)
        rows = [row for name, row in environments.items() if name in wanted]
        return tuple(_job(row, runners) for row in rows if _runner(row, runners))

    made = Jobs(
        only=" ".join(words) if selection else "",
        images=jobs(name for name in needed if environments[name].device == "cpu"),
        producers=jobs(writers),
        consumers=jobs(consumers),
        checks=jobs(checks),
        not_run=tuple(name for name in checks if not _runner(environments[name], runners)),
    )
    return _checked(made, asked)


def _checked(made: Jobs, asked: Asked) -> Jobs:
    if not (made.producers or made.consumers or made.checks or made.not_run):
        raise NothingSelected(f"nothing is selected: {msgspec.json.encode(asked).decode()}")
    for stage in ("images", "producers", "consumers", "checks"):
        count = len(getattr(made, stage))
        if count > MOST:
            raise BadConfiguration(
                f"{count} {stage} are more than the {MOST} jobs of one matrix: select fewer releases"
            )
    return made


def _chosen(asked: Asked, rows: Mapping[str, Environment]) -> set[str]:
    names = {name: {name, row.release, row.session, *row.tags} for name, row in rows.items()}
    known = sorted(set().union(*names.values()))
    for word in asked.releases:
        if word not in known:
            raise NothingSelected(f"{word!r} is no release, environment or tag: {nearest(word, known)}")
    if asked.releases:
        chosen = {name for name, own in names.items() if own & set(asked.releases)}
    elif asked.reduced:
        chosen = {name for name, row in rows.items() if "reduced" in row.tags} | (asked.touched & set(rows))
    else:
        chosen = set(rows)
    return {name for name in chosen if asked.device in ("all", rows[name].device)}


def _runner(row: Environment, runners: Runners) -> str:
    return runners.gpu if row.device == "gpu" else runners.cpu


def _job(row: Environment, runners: Runners) -> Job:
    required = "1" if row.device == "gpu" else "0"
    return Job(row.id, f"{row.session}({row.release})", _runner(row, runners), required)
