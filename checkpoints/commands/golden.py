"""Make golden arrays: run the graph that came with a checkpoint on random inputs, and keep inputs and outputs (.npz).

Needs TensorFlow, but no Keras model. The file is what `verify --golden` takes.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ..errors import ArgumentError
from ..foreign_text import printable
from .common import add_graph_arguments, parse_feeds

if TYPE_CHECKING:
    import argparse

EXAMPLE = """examples that need TensorFlow:
  python -m checkpoints golden tests/fixtures/tf1-saver/model.ckpt \\
      --output generator/G/BiasAdd --to golden.npz --overwrite"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    parser.add_argument("graph", help="a SavedModel, a prefix with a .meta, or a frozen .pb to run")
    parser.add_argument("--to", metavar="FILE", required=True, help="the .npz to write")
    add_graph_arguments(parser)
    parser.add_argument("--layers", metavar="FILE", help="the layers to add, as verify writes them (.json)")
    parser.add_argument("--overwrite", action="store_true", help="replace FILE if it exists")


def run(options: argparse.Namespace) -> int:
    """Writes the file; returns the exit status."""
    from .. import dtypes
    from ..checkpoint import TensorInfo
    from ..source import Source
    from ..tf_runtime import run_graph
    from ..writers import write_npz

    if not options.to.endswith(".npz"):
        raise ArgumentError(f"--to {options.to}: must end in .npz")
    ran = run_graph(options.graph, options.output, _layers(options), parse_feeds(options.feed))
    arrays = {name: dtypes.own(array) for name, array in ran.items()}
    infos = {n: TensorInfo(n, dtypes.name_of(a.dtype) or "string", a.shape, a.nbytes) for n, a in arrays.items()}
    write_npz(options.to, Source(infos, arrays.__getitem__), options.overwrite)
    if options.json:
        print(json.dumps({"path": options.to, "arrays": sorted(arrays)}))
    else:
        print(printable("{}: {}".format(options.to, ", ".join(sorted(arrays)))))
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
