"""Say where every tensor of a checkpoint goes in a Keras model, and why; or list all that keeps it from going."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..open import open_checkpoint
from ..tables import terminal_width
from .common import add_plan_arguments, plan_for, targets_of

if TYPE_CHECKING:
    import argparse

EXAMPLE = """example:
  python -m checkpoints plan tests/fixtures/tf1-saver --model tests/fixtures/keras-as-tf1

examples that need TensorFlow:
  python -m checkpoints plan tests/fixtures/tf1-saver --model gan.subject:keras_models --rules gan/rules.py"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    add_plan_arguments(parser, required=True)


def run(options: argparse.Namespace) -> int:
    """Prints the plan; returns the exit status."""
    with open_checkpoint(options.path, options.budget) as checkpoint:
        plan = plan_for(checkpoint, targets_of(options.model, options.budget), options)
    print(plan.to_json().rstrip() if options.json else plan.table(terminal_width()))
    return 0
