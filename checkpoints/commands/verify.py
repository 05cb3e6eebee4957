"""Load a checkpoint into a model and compare what the model computes with golden outputs.

The golden file is a .npz with arrays inputs_NAME and outputs_NAME. For a dictionary of models, NAME is the model's key;
for one model, inputs are taken in the order of their names, and outputs compared in that of theirs. Without --golden,
the arrays are made by running the graph that came with the checkpoint (or --graph): in this Python's TensorFlow, else
in that of --python or $CARRYOVER_TENSORFLOW_PYTHON, else in a virtual environment or container of the checkout.

The first layer that differs is named where there are golden values for layers: the layers_LAYER (layers_KEY_LAYER) of
the file, or of a graph the last tensor of the scope that uses the layer's variables.
"""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any, Mapping, Sequence

from ..errors import ArgumentError, CheckpointError
from ..golden_arrays import unpack
from ..graph_files import beside, find_graph
from ..open import open_checkpoint
from ..tables import Meter, align, terminal_width
from .common import add_plan_arguments, build_models, plan_for
from .graphs import add_graph_arguments, make_golden, parse_feeds, print_notes

if TYPE_CHECKING:
    import argparse

    from ..checkpoint import Checkpoint
    from ..golden_arrays import Golden
    from ..layer_outputs import Layers, Watched

EXAMPLE = """examples that need TensorFlow:
  python -m checkpoints verify tests/fixtures/tf1-saver --model gan.subject:keras_models \\
      --golden tests/fixtures/tf1-saver/golden.npz
  python -m checkpoints verify tests/fixtures/tf1-saver --model gan.subject:keras_models --rules gan/rules.py \\
      --graph tests/fixtures/tf1-saver/model.ckpt \\
      --output generator=generator/G/BiasAdd --output discriminator=discriminator/D/BiasAdd"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    add_plan_arguments(parser, required=True)
    parser.add_argument("--golden", metavar="FILE", help="inputs_*, outputs_* and, if there are any, layers_* (.npz)")
    parser.add_argument("--graph", metavar="PATH", help="a SavedModel, a prefix with a .meta, or a frozen .pb to run")
    add_graph_arguments(parser)
    parser.add_argument("--atol", type=float, default=1e-5, help="largest absolute error that passes (1e-5)")
    parser.add_argument("--rtol", type=float, default=1e-5, help="largest error relative to the output (1e-5)")


def run(options: argparse.Namespace) -> int:
    """Prints the errors of every output, and the first layer that differs; returns 1 if an output's is too large."""
    from ..keras_models import model_variables
    from ..layer_outputs import requests, watch
    from ..transfer import load

    if options.golden and (options.graph or options.python or options.output or options.feed):
        raise ArgumentError("verify: --golden gives the arrays, which --graph, --python, --output, --feed would make")
    parse_feeds(options.feed)
    models = build_models(options.model)
    variables = model_variables(models)
    with open_checkpoint(options.path, options.budget) as checkpoint:
        plan = plan_for(checkpoint, variables, options)
        load(plan, checkpoint, variables, Meter(len(variables), "loading").step)
        options.graph = options.graph or (None if options.golden else _graph_beside(checkpoint, options.path))
    watched = {key: watch(key, model, variables) for key, model in models.items()}
    golden = _golden(options, requests([layer for layers in watched.values() for layer in layers], plan))
    results, layers = _results(models, watched, golden, options)
    passed = all(result["passed"] for result in results)
    if options.json:
        import json

        outputs, compared = [_finite(result) for result in results], _finite(layers._asdict())
        said = {"outputs": outputs, "random": golden.random, "layers": compared, "notes": golden.notes}
        print(json.dumps({"path": options.path, **said, "passed": passed}))
    else:
        lines = [("output", "absolute", "relative", "ulp", "")]
        for r in results:
            verdict = "" if r["passed"] else "DIFFERS"
            lines.append((r["name"], f"{r['absolute']:.3g}", f"{r['relative']:.3g}", str(r["ulps"]), verdict))
        print(align(lines, terminal_width()))
        print(layers)
        print_notes(golden)
    return 0 if passed else 1


def _golden(options: argparse.Namespace, layers: Mapping[str, Any]) -> Golden:
    if not options.golden:
        return make_golden(options, options.graph, layers)
    with open_checkpoint(options.golden) as golden:
        return unpack({name: golden.read(name) for name in golden.tensors}, options.golden)


def _graph_beside(checkpoint: Checkpoint, path: str) -> str:
    """The graph that came with the checkpoint; ArgumentError if none did."""
    file = find_graph(checkpoint.path) if checkpoint.path.endswith((".pb", ".pbtxt")) else beside(checkpoint.path)
    if file is not None:
        return file.path()
    what = "give golden arrays with --golden, or with --graph the graph that makes them"
    raise ArgumentError(f"verify: {path} comes without a graph ({checkpoint.path}.meta): {what}")


def _results(
    models: Mapping[str, Any], watched: Mapping[str, Sequence[Watched]], golden: Golden, options: Any
) -> tuple[list[dict[str, Any]], Layers]:
    """The errors of every output, and what comparing layers found."""
    from ..dtypes import widen
    from ..keras_models import predict
    from ..layer_outputs import compare, together

    def close(computed: Any, golden: Any) -> bool:
        return bool(_compare("", computed, golden, options)["passed"])

    path, arrays = options.golden or options.graph, golden.arrays
    _check_layers(arrays, watched, path)
    results, layers = [], []
    for key, model in models.items():
        given = [widen(arrays[name]) for name in sorted(arrays) if _belongs(name, "inputs", key, models)]
        wanted = [name for name in sorted([*arrays, *golden.random]) if _belongs(name, "outputs", key, models)]
        if not given or not wanted:
            hint = f"; give --output {key}=OPERATION" if options.graph and key else ""
            if options.graph and wanted and not key:
                hint = "; no placeholder leads to this output: feed what stands for one, with --feed TENSOR=VALUE"
            held = ", ".join(sorted(arrays))
            raise CheckpointError(f"{path}: no inputs_{key}* and outputs_{key}*{hint}; it holds {held}")
        computed = predict(model, given)
        if len(computed) != len(wanted):
            which = "choose with --output NAME" if options.graph else "give one outputs_* for each"
            held = ", ".join(name.partition("_")[2] for name in wanted)
            raise CheckpointError(f"{path}: {len(wanted)} outputs ({held}) for {len(computed)} of the model: {which}")
        pairs = [(name, value) for name, value in zip(wanted, computed) if name not in golden.random]
        compared = [_compare(name, value, arrays[name], options) for name, value in pairs]
        passed = all(result["passed"] for result in compared)
        layers.append(compare(model, watched[key], given, arrays, close, bool(options.graph), passed))
        results += compared
    if not results:
        raise CheckpointError(f"{path}: nothing to compare: {'; '.join(map(' '.join, golden.random.items()))}")
    return results, together(layers, _why_not(watched, arrays, options))


def _why_not(watched: Mapping[str, Sequence[Watched]], arrays: Mapping[str, Any], options: Any) -> str:
    """Why there was no layer to compare, if there was none."""
    if not any(watched.values()):
        return "the model does not say how its layers are connected"
    if any(name.startswith("layers_") for name in arrays):
        return "the golden values of layers have other shapes"
    if options.graph:
        return "no scope of the graph is that of one layer's variables, and ends where the layer does"
    return "the golden file has no layers_*"


def _check_layers(arrays: Mapping[str, Any], watched: Mapping[str, Sequence[Watched]], path: str) -> None:
    known = {"layers_" + layer.key for layers in watched.values() for layer in layers}
    unknown = sorted(name for name in arrays if name.startswith("layers_") and name not in known)
    if unknown:
        raise CheckpointError("{}: {}: no such layer; there are {}".format(path, unknown[0], ", ".join(sorted(known))))


def _belongs(name: str, kind: str, key: str, keys: Mapping[str, Any]) -> bool:
    """Whether the array `name` is of that kind and of the model `key`: of the longest key that its name begins with."""
    start, _, rest = name.partition("_")
    if not start.startswith(kind):
        return False
    return not key or key == max((k for k in keys if rest == k or rest.startswith(k + "_")), key=len, default="")


def _compare(name: str, computed: Any, golden: Any, options: argparse.Namespace) -> dict[str, Any]:
    import numpy as np

    from .. import dtypes
    from ..ulps import max_ulps, plain

    if computed.shape != golden.shape and _in_rows(computed.shape) == _in_rows(golden.shape):
        # A graph of TF 1 has joined the axes of batch and time before its last layer.
        golden = golden.reshape(computed.shape)
    if computed.shape != golden.shape:
        raise CheckpointError(f"{name}: the model computes {list(computed.shape)}, golden is {list(golden.shape)}")
    if not golden.size:
        raise CheckpointError(f"{name}: golden is {list(golden.shape)}, which has no element to compare")
    computed, golden = dtypes.own(computed), dtypes.own(golden)
    try:
        one, other = plain(computed), plain(golden)
        # Where only one has an imaginary part, none is cast away.
        kind = golden.dtype if golden.dtype.kind == "c" or computed.dtype.kind != "c" else computed.dtype
        ulps = max_ulps(*(dtypes.cast(each, dtypes.name_of(kind) or "") for each in (computed, golden)))
    except (TypeError, ValueError, KeyError):
        raise CheckpointError(f"{name}: {computed.dtype} and golden {golden.dtype} cannot be compared") from None
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        error, size = np.abs(one - other), np.abs(other)
        relative = np.where(error == 0, 0, error / size)
    passed = bool(np.all(error <= options.atol + options.rtol * size))
    found = {"absolute": float(error.max()), "relative": float(relative.max()), "ulps": ulps}
    return {"name": name, **found, "passed": passed}


def _in_rows(shape: Sequence[int]) -> tuple[int, int]:
    """The shape with all axes but the last joined."""
    rows = 1
    for extent in shape[:-1]:
        rows *= extent
    return rows, shape[-1] if shape else 1


def _finite(told: Mapping[str, Any]) -> dict[str, Any]:
    """`told` for JSON, which has no word for NaN and the infinities."""
    return {key: None if isinstance(value, float) and not isfinite(value) else value for key, value in told.items()}
