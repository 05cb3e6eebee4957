"""Load a checkpoint into a model and compare what the model computes with golden outputs.

The golden file is a .npz with arrays inputs_NAME and outputs_NAME. For a dictionary of models, NAME is the model's key;
for one model, inputs are taken in the order of their names, and outputs compared in that of theirs. With --graph, the
golden arrays are made by running the graph that came with the checkpoint in the TensorFlow that is installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Mapping

from ..errors import CheckpointError
from ..open import open_checkpoint
from ..tables import align, terminal_width
from .common import add_plan_arguments, build_models, plan_for

if TYPE_CHECKING:
    import argparse

EXAMPLE = """example:
  python -m checkpoints verify model.ckpt --model my.package:build --golden golden.npz"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    add_plan_arguments(parser, required=True)
    parser.add_argument("--golden", metavar="FILE", help="inputs_* and outputs_* (.npz)")
    parser.add_argument("--graph", metavar="PATH", help="a SavedModel, a prefix with a .meta, or a frozen .pb to run")
    parser.add_argument("--output", action="append", default=[], help="an operation of that graph; may be repeated")
    parser.add_argument("--atol", type=float, default=1e-5, help="largest absolute error that passes (1e-5)")
    parser.add_argument("--rtol", type=float, default=1e-5, help="largest error relative to the output (1e-5)")


def run(options: argparse.Namespace) -> int:
    """Prints the errors of every output; returns 1 if one is too large."""
    from ..keras_models import model_variables
    from ..transfer import load

    arrays = _golden(options)
    models = build_models(options.model)
    variables = model_variables(models)
    with open_checkpoint(options.path) as checkpoint:
        load(plan_for(checkpoint, variables, options), checkpoint, variables)
    results = [_compare(*pair, options) for pair in _outputs(models, arrays, options.golden or options.graph)]
    if options.json:
        import json

        print(json.dumps({"path": options.path, "outputs": results, "passed": all(r["passed"] for r in results)}))
    else:
        lines = [("output", "absolute", "relative", "ulp", "")]
        for r in results:
            verdict = "" if r["passed"] else "DIFFERS"
            lines.append((r["name"], f"{r['absolute']:.3g}", f"{r['relative']:.3g}", str(r["ulps"]), verdict))
        print(align(lines, terminal_width()))
    return 0 if all(result["passed"] for result in results) else 1


def _golden(options: argparse.Namespace) -> dict[str, Any]:
    if bool(options.golden) == bool(options.graph):
        raise CheckpointError("verify: give golden arrays with --golden, or a graph to make them with --graph")
    if options.graph:
        from ..tf_runtime import run_graph

        return run_graph(options.graph, options.output)
    with open_checkpoint(options.golden) as golden:
        return {name: golden.read(name) for name in golden.tensors}


def _outputs(models: Mapping[str, Any], arrays: Mapping[str, Any], path: str) -> list[tuple[str, Any, Any]]:
    """(name, computed, golden) for every output."""
    from ..keras_models import predict

    found = []
    for key, model in models.items():
        given = [arrays[name] for name in sorted(arrays) if name.startswith("inputs") and _belongs(name, key)]
        wanted = [name for name in sorted(arrays) if name.startswith("outputs") and _belongs(name, key)]
        if not given or not wanted:
            raise CheckpointError(f"{path}: no inputs_{key}* and outputs_{key}*; it holds {', '.join(sorted(arrays))}")
        computed = predict(model, given)
        if len(computed) != len(wanted):
            raise CheckpointError(f"{path}: {len(wanted)} golden outputs for {len(computed)} of the model")
        found += [(name, value, arrays[name]) for name, value in zip(wanted, computed)]
    return found


def _belongs(name: str, key: str) -> bool:
    return not key or name.partition("_")[2].split("_", 1)[0] == key or name.partition("_")[2] == key


def _compare(name: str, computed: Any, golden: Any, options: argparse.Namespace) -> dict[str, Any]:
    import numpy as np

    from ..ulps import max_ulps

    if computed.shape != golden.shape:
        raise CheckpointError(f"{name}: the model computes {list(computed.shape)}, golden is {list(golden.shape)}")
    error = np.abs(computed.astype("f8") - golden.astype("f8"))
    size = np.abs(golden.astype("f8"))
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.where(error == 0, 0, error / size)
    passed = bool(np.all(error <= options.atol + options.rtol * size))
    return {
        "name": name,
        "absolute": float(error.max()) if error.size else 0.0,
        "relative": float(relative.max()) if error.size else 0.0,
        "ulps": max_ulps(computed.astype(golden.dtype), golden),
        "passed": passed,
    }
