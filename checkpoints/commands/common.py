"""What the commands that take a model share: arguments, the model, its plan."""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any, Mapping

from ..errors import CheckpointError
from ..keras_models import model_variables
from ..open import open_checkpoint
from ..plan import Plan
from ..planner import make_plan
from ..rules import load_rules

if TYPE_CHECKING:
    import argparse

    from ..checkpoint import Checkpoint


def add_plan_arguments(parser: argparse.ArgumentParser, required: bool) -> None:
    """The arguments that name a model and say how a checkpoint maps onto it."""
    parser.add_argument("path", help="a checkpoint, by any of its files")
    parser.add_argument(
        "--model",
        metavar="MODULE:FUNCTION|FILE",
        required=required,
        help="a function without arguments that returns a built Keras model, or a dictionary of them; or a file "
        "(.h5, .keras, a checkpoint) whose variables stand for the model's",
    )
    parser.add_argument("--rules", metavar="FILE", help="rules that come first (.py or .toml)")
    parser.add_argument("--averages", choices=("raw", "shadow"), help="where there are moving averages, which to take")
    parser.add_argument("--plan", metavar="FILE", help="a plan saved before, to run instead of making one")


def build_models(spec: str) -> dict[str, Any]:
    """The models that MODULE:FUNCTION returns, by key; one model alone has the empty key."""
    module_name, _, function_name = spec.partition(":")
    if not function_name:
        raise CheckpointError(f"--model {spec}: must be MODULE:FUNCTION, such as my.package:build")
    sys.path.insert(0, os.getcwd())
    try:
        function = getattr(importlib.import_module(module_name), function_name)
        built = function()
    except Exception as error:
        raise CheckpointError(f"--model {spec}: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(os.getcwd())
    return dict(built) if isinstance(built, Mapping) else {"": built}


def targets_of(spec: str) -> dict[str, Any]:
    """The variables to map onto: those of the model that MODULE:FUNCTION builds, or those in the file of that name."""
    if not os.path.exists(spec) and not os.path.exists(spec + ".index"):
        return model_variables(build_models(spec))
    with open_checkpoint(spec) as checkpoint:
        roles = checkpoint.roles()
        return {name: info for name, info in checkpoint.tensors.items() if roles[name].kind == "variable"}


def plan_for(checkpoint: Checkpoint, targets: Mapping[str, Any], options: argparse.Namespace) -> Plan:
    """The saved plan if one is named, else a new one by rules and inference."""
    if options.plan:
        try:
            with open(options.plan, encoding="utf-8") as stream:
                return Plan.from_json(stream.read())
        except (OSError, UnicodeDecodeError) as error:
            raise CheckpointError(f"{options.plan}: {getattr(error, 'strerror', None) or error}") from None
    rules = load_rules(options.rules) if options.rules else []
    return make_plan(checkpoint, targets, rules, infer=True, averages=options.averages)
