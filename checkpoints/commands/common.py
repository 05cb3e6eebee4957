"""What the commands that take a model share: arguments, the model, its plan."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from typing import TYPE_CHECKING, Any, Mapping

from ..errors import ArgumentError, CheckpointError

if TYPE_CHECKING:
    import argparse

    from ..checkpoint import Checkpoint
    from ..plan import AnyRule, Plan


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
    parser.add_argument(
        "--keep",
        action="append",
        default=[],
        metavar="PATTERN",
        help="variables of the model that keep their value, such as 'head/.*'; may be repeated",
    )
    parser.add_argument("--averages", choices=("raw", "shadow"), help="where there are moving averages, which to take")
    parser.add_argument(
        "--no-config-check",
        action="store_true",
        help="note where the model's layers are configured unlike those of the file, rather than refuse them",
    )
    parser.add_argument(
        "--partition-strategy",
        choices=("div", "mod"),
        help="how embeddings in slices were looked up, where no graph beside them says so",
    )
    parser.add_argument("--plan", metavar="FILE", help="a plan saved before, to run instead of making one")


def build_models(spec: str) -> dict[str, Any]:
    """The models that MODULE:FUNCTION returns, by key; one model alone has the empty key.

    Modules of the current directory are found. Raises ArgumentError that says in one line what keeps the models from
    being built: no such module or function, what either raised, or what came back instead.
    """
    module_name, _, function_name = spec.partition(":")
    if not module_name or not function_name:
        raise ArgumentError(f"--model {spec}: no such file, and not MODULE:FUNCTION, such as my.package:build")
    here = os.getcwd()
    sys.path.insert(0, here)
    try:
        built = _function(spec, module_name, function_name)()
    except ArgumentError:
        raise
    except (Exception, SystemExit) as error:
        raise ArgumentError(f"--model {spec}: {function_name}() raises {_one_line(error)}") from error
    finally:
        if here in sys.path:
            sys.path.remove(here)
    models = dict(built) if isinstance(built, Mapping) else {"": built}
    for key, model in models.items():
        if not hasattr(model, "weights") or not hasattr(model, "call"):
            place = f"{function_name}()[{key!r}]" if key else f"{function_name}()"
            raise ArgumentError(f"--model {spec}: {place} is no Keras model but of type {type(model).__name__}")
        if not getattr(model, "built", True):
            name = getattr(model, "name", key)
            raise ArgumentError(f"--model {spec}: model {name} has no variables yet; build it or call it once")
    if not models:
        raise ArgumentError(f"--model {spec}: {function_name}() returns no model")
    return models


def _function(spec: str, module_name: str, function_name: str) -> Any:
    """The function, or an ArgumentError that tells a module that is not there from one that does not import."""
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        missing = getattr(error, "name", None) if isinstance(error, ModuleNotFoundError) else None
        if missing and (module_name == missing or module_name.startswith(missing + ".")):
            where = "neither in this directory nor on Python's path"
            raise ArgumentError(f"--model {spec}: no module {missing}, {where}") from None
        raise ArgumentError(f"--model {spec}: importing {module_name} raises {_one_line(error)}") from error
    function = getattr(module, function_name, None)
    if not callable(function):
        near = difflib.get_close_matches(function_name, dir(module), 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ArgumentError(f"--model {spec}: {module_name} has no function {function_name}{hint}")
    return function


def _one_line(error: BaseException) -> str:
    """The type of `error` and the first line of what it says."""
    said = str(error).strip().splitlines()
    return f"{type(error).__name__}: {said[0]}" if said else type(error).__name__


def targets_of(spec: str, budget: float = 1.0) -> dict[str, Any]:
    """The variables to map onto: those of the model that MODULE:FUNCTION builds, or those in the file of that name."""
    from ..keras_models import model_variables
    from ..open import open_checkpoint

    if not os.path.exists(spec) and not os.path.exists(spec + ".index"):
        return model_variables(build_models(spec))
    with open_checkpoint(spec, budget) as checkpoint:
        roles = checkpoint.roles()
        return {name: info for name, info in checkpoint.tensors.items() if roles[name].kind == "variable"}


def _check_alone(options: argparse.Namespace) -> None:
    """A saved plan says all there is to say, so that what would go into another one cannot be meant."""
    for name in ("rules", "keep", "averages", "partition-strategy", "no-config-check"):
        if getattr(options, name.replace("-", "_")):
            raise ArgumentError(
                f"--plan {options.plan}: is run as it stands, so --{name} has no say: leave one of them out"
            )


def plan_for(checkpoint: Checkpoint, targets: Mapping[str, Any], options: argparse.Namespace) -> Plan:
    """The saved plan if one is named, else a new one by rules and inference.

    Raises CheckpointError for files that do not read as plan or rules, MappingError for what does not map.
    """
    from ..plan import Plan
    from ..planner import make_plan

    for name, reason in getattr(targets, "excluded", {}).items():
        print(f"note: {name}: {reason}", file=sys.stderr)
    if options.plan:
        _check_alone(options)
        try:
            with open(options.plan, encoding="utf-8") as stream:
                return Plan.from_json(stream.read())
        except (OSError, UnicodeDecodeError) as error:
            raise CheckpointError(f"{options.plan}: {getattr(error, 'strerror', None) or error}") from None
    return make_plan(
        checkpoint,
        targets,
        given_rules(options),
        averages=options.averages,
        compare_config=not options.no_config_check,
        partition_strategy=options.partition_strategy,
    )


def given_rules(options: argparse.Namespace) -> list[AnyRule]:
    """The rules that the arguments name; CheckpointError for a file that holds none."""
    from ..plan import Keep
    from ..rules import load_rules

    return [*map(Keep, options.keep), *(load_rules(options.rules) if options.rules else [])]
