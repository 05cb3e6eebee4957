"""What the commands that run a graph share: arguments, and who runs it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Mapping, Sequence

from ..elsewhere import golden_elsewhere, ways
from ..errors import ArgumentError, CheckpointError
from ..foreign_text import printable
from ..graph_files import find_graph

if TYPE_CHECKING:
    import argparse

    from ..golden_arrays import Golden


def add_graph_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that say how to run a graph."""
    parser.add_argument(
        "--output",
        action="append",
        default=[],
        metavar="[KEY=]OP",
        help="an operation of the graph, of the model KEY if there are several; may be repeated",
    )
    parser.add_argument(
        "--feed",
        action="append",
        default=[],
        metavar="TENSOR=VALUE",
        help="the value (as in JSON) of a placeholder that is no input of the model, such as keep_prob=1.0: may be "
        "repeated; one number fills any shape",
    )
    parser.add_argument("--python", metavar="PATH", help="a Python with TensorFlow, to run the graph in")


def parse_feeds(feeds: Sequence[str]) -> dict[str, Any]:
    """What to feed, by the tensor's name, from TENSOR=VALUE; ArgumentError for what is not of that form."""
    import json

    found = {}
    for feed in feeds:
        name, _, text = feed.partition("=")
        try:
            found[name] = json.loads(text)
        except ValueError:
            found[name] = None
        if not name or not isinstance(found[name], (bool, int, float, list)):
            raise ArgumentError(f"--feed {feed}: not TENSOR=VALUE with a number, true, false or a list: keep_prob=1.0")
    return found


def make_golden(options: argparse.Namespace, graph: str, layers: Mapping[str, Any]) -> Golden:
    """The arrays that running `graph` makes, in this Python's TensorFlow or in another that can load it.

    Raises CheckpointError that says why nobody could.
    """
    from ..tf_graph import GraphLoadError
    from ..tf_runtime import run_graph

    feeds = parse_feeds(options.feed)
    path = find_graph(graph).path()
    failed: list[str] = []
    for way in ways(options.python) if not getattr(options, "here", False) else [None]:
        try:
            if way is None:
                return run_graph(path, options.output, layers, feeds)
            if not options.python:
                why = "this Python's TensorFlow cannot load the graph" if failed else "no TensorFlow in this Python"
                print(f"{why}: it runs in {way.label}", file=sys.stderr)
            arguments = [word for output in options.output for word in ("--output", output)]
            arguments += [word for feed in options.feed for word in ("--feed", feed)]
            return golden_elsewhere(way, path, arguments, layers)
        except GraphLoadError as error:
            failed.append(str(error))
    hint = "" if getattr(options, "here", False) else "; name another TensorFlow with --python PATH: contrib is in 1.15"
    raise CheckpointError("; ".join(failed) + hint)


def print_notes(golden: Golden) -> None:
    """Prints what was changed and assumed, and what is random, a line each."""
    for note in golden.notes:
        print(f"note: {printable(note)}")
    for name, why in golden.random.items():
        print(f"left out: {printable(name)} is random: it {printable(why)}")
