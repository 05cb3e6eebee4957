"""Running a graph until it is known what of its outputs is computed, and what is drawn at random."""

from __future__ import annotations

from typing import Any, Callable, ContextManager, Mapping, NamedTuple, Sequence

from .errors import CheckpointError
from .golden_arrays import Golden
from .graph_feeds import Feeds
from .repeated_runs import TIMES, Run, differs, mixes_rows, run_again


class Session(NamedTuple):
    """Values for the variables of a graph, and how to `run` it with them.

    `unsaved` are variables that the file has no values of, with the operations that draw their first values at random.
    """

    run: Run
    unsaved: Mapping[str, Sequence[str]]


Start = Callable[[], ContextManager[Session]]


class Output(NamedTuple):
    """An output to compute: the name of its array, the operations that draw random numbers for it, its variables."""

    array: str
    draws: Sequence[str]
    variables: Sequence[str]


class _Outcome(NamedTuple):
    """One way to feed a graph, what it computes then, what of that is random, and whether rows of a batch mix."""

    feeds: Mapping[str, Any]
    values: Mapping[str, Any]
    differing: set[str]
    mixes: bool


class Trial:
    """Runs of one graph. `start` begins a session of its own; `batch` are scopes that normalize with the batch."""

    def __init__(self, start: Start, feeds: Feeds, outputs: Sequence[Output], batch: Sequence[str]) -> None:
        self._start = start
        self._feeds = feeds
        self._outputs = outputs
        self._batch = batch
        self._draws = any(output.draws for output in outputs)

    def golden(self, notes: Sequence[str], advise: Callable[[Sequence[str]], str]) -> Golden:
        """The arrays, and what is random among the outputs.

        Raises CheckpointError if that is all of them, with what `advise` says can be fed in place of an operation.
        """
        with self._start() as session:
            outcome, unsaved = self._settle(session.run), session.unsaved
        differing = outcome.differing
        if self._draws:
            # A session of its own, as some numbers are drawn once in each.
            with self._start() as session:
                again = session.run(outcome.feeds)
            differing = differing | {name for name, value in outcome.values.items() if differs(value, again[name])}
        random = {}
        for output in self._outputs:
            drawn = [name for name in output.variables if unsaved.get(name)]
            if drawn:
                random[output.array] = f"needs what is not in the file, and starts with random numbers: {_list(drawn)}"
            elif output.array in differing:
                random[output.array] = _why(output)
        if len(random) == len(self._outputs):
            first = self._outputs[0]
            name = first.array[len("outputs_") :]
            raise CheckpointError(f"the output {name} is random: it {random[first.array]}{advise(first.draws)}")
        arrays = {name: value for name, value in outcome.values.items() if name not in differing and name not in random}
        found = [*notes, *self._notes(outcome, random)]
        if unsaved:
            found.append(f"not in the file, and started anew: {_list(sorted(unsaved))}")
        return Golden({**self._feeds.named, **arrays}, random, tuple(found))

    def _settle(self, run: Run) -> _Outcome:
        """Runs the graph with all switches off, or with one on if only so it computes what it does in inference."""
        outcome = self._try(run, self._feeds.values)
        if outcome.differing or outcome.mixes:
            for switch in self._feeds.switches():
                other = self._try(run, self._feeds.turned(switch))
                if not other.differing and not other.mixes:
                    return other
        return outcome

    def _try(self, run: Run, feeds: Mapping[str, Any]) -> _Outcome:
        values = run(feeds)
        differing = run_again(run, feeds, values, self._draws)
        outputs = {output.array: values[output.array] for output in self._outputs if output.array not in differing}
        mixes = bool(self._batch) and mixes_rows(run, self._feeds.with_other_rows(feeds), outputs)
        return _Outcome(feeds, values, differing, mixes)

    def _notes(self, outcome: _Outcome, random: Mapping[str, str]) -> list[str]:
        found = list(self._feeds.notes)
        for switch in self._feeds.switches():
            value = outcome.feeds[switch]
            text = str(bool(value)).lower() if value.dtype.kind == "b" else str(value)
            found.append(f"{switch.partition(':')[0]} = {text}: it decides between branches")
        if outcome.mixes:
            found.append(f"normalized with the statistics of the batch, which nothing averages: {_list(self._batch)}")
        without = sorted({name for output in self._outputs if output.array not in random for name in output.draws})
        if without:
            found.append(f"random numbers are drawn in {_list(without)}; in {TIMES} runs they changed nothing")
        return found


def _why(output: Output) -> str:
    if not output.draws:
        return "differs from run to run, though nothing is drawn at random"
    return f"draws random numbers in {_list(output.draws)}"


def _list(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f", ... ({len(names)})" if len(names) > 4 else "")
