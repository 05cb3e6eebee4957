"""Say where every tensor of a checkpoint goes in a Keras model, and why; or list all that keeps it from going."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import ArgumentError, MappingError
from ..open import open_checkpoint
from ..rules import check_new_file, save_rules
from ..suggestions import alternatives
from ..tables import terminal_width
from .common import add_plan_arguments, given_rules, plan_for, targets_of

if TYPE_CHECKING:
    import argparse

EXAMPLE = """example:
  python -m checkpoints plan tests/fixtures/tf1-saver --model tests/fixtures/keras-as-tf1

examples that need TensorFlow:
  python -m checkpoints plan tests/fixtures/tf1-saver --model gan.subject:keras_models --rules gan/rules.py"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    add_plan_arguments(parser, required=True)
    parser.add_argument(
        "--suggest",
        metavar="FILE",
        help="where the checkpoint does not map, write the rules given and those suggested to a new .py file, for "
        "--rules",
    )


def run(options: argparse.Namespace) -> int:
    """Prints the plan; returns the exit status."""
    if options.suggest:
        if options.plan:
            raise ArgumentError(f"--plan {options.plan}: is run as it stands, so there is nothing for --suggest")
        check_new_file(options.suggest)
    with open_checkpoint(options.path, options.budget) as checkpoint:
        try:
            plan = plan_for(checkpoint, targets_of(options.model, options.budget), options)
        except MappingError as error:
            if not options.suggest:
                raise
            raise MappingError(error.problems, _suggest(error, options), error.suggestions) from None
    print(plan.to_json().rstrip() if options.json else plan.table(terminal_width()))
    return 0


def _suggest(error: MappingError, options: argparse.Namespace) -> str:
    """Writes the suggested rules; what the error says before its problems."""
    rules = error.suggestions
    if not rules:
        return f"{error.context} (no rule would help, so {options.suggest} is not written)"
    save_rules(options.suggest, rules, given_rules(options), options.path)
    count = "1 rule" if len(rules) == 1 else f"{len(rules)} rules"
    choices = sum(bool(alternatives(rule)) for rule in rules)
    choice = f", {choices} with a choice to make," if choices else ""
    return f"{error.context} ({count}{choice} written to {options.suggest})"
