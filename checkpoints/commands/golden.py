"""Make golden arrays: run the graph that came with a checkpoint on random inputs, and keep inputs and outputs (.npz).

Needs TensorFlow, but no Keras model. The file is what `verify --golden` takes.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from ..errors import ArgumentError
from ..foreign_text import printable
from .graphs import add_graph_arguments, make_golden, print_notes

EXAMPLE = """examples that need TensorFlow:
  python -m checkpoints golden tests/fixtures/tf1-saver/model.ckpt \\
      --output generator/G/BiasAdd --to golden.npz --overwrite"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    parser.add_argument("graph", help="a SavedModel, a prefix with a .meta, a frozen .pb, or a directory with one")
    parser.add_argument("--to", metavar="FILE", required=True, help="the .npz to write")
    add_graph_arguments(parser)
    parser.add_argument("--layers", metavar="FILE", help="the layers to add, as verify writes them (.json)")
    parser.add_argument("--overwrite", action="store_true", help="replace FILE if it exists")
    # For one that was asked by another, which then asks somebody else.
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)


def run(options: argparse.Namespace) -> int:
    """Writes the file; returns the exit status."""
    from .. import dtypes
    from ..checkpoint import TensorInfo
    from ..source import Source
    from ..writers import write_npz

    if not options.to.endswith(".npz"):
        raise ArgumentError(f"--to {options.to}: must end in .npz")
    golden = make_golden(options, options.graph, _layers(options))
    arrays = {name: dtypes.own(array) for name, array in golden.packed().items()}
    infos = {n: TensorInfo(n, dtypes.name_of(a.dtype) or "string", a.shape, a.nbytes) for n, a in arrays.items()}
    write_npz(options.to, Source(infos, arrays.__getitem__), options.overwrite)
    if options.json:
        told = {"arrays": sorted(golden.arrays), "random": golden.random, "notes": golden.notes}
        print(json.dumps({"path": options.to, **told}))
    else:
        print("{}: {}".format(options.to, printable(", ".join(sorted(golden.arrays)))))
        print_notes(golden)
    return 0


def _layers(options: argparse.Namespace) -> dict[str, Any]:
    if not options.layers:
        return {}
    try:
        with open(options.layers, encoding="utf-8") as stream:
            layers: dict[str, Any] = json.load(stream)
        wanted = ("variables", "shape", "activation")
        return {name: {key: layer[key] for key in wanted} for name, layer in layers.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArgumentError(f"--layers {options.layers}: {error}") from None
