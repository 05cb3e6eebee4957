"""Write a checkpoint in another format: as it stands, or with --model under the model's names and in its layouts.

The suffix of FILE decides: .npz, .safetensors, with a model .weights.h5 and .keras, else the prefix of a TF 1 Saver.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Mapping

from ..errors import ArgumentError, CheckpointError
from ..foreign_text import named, printable
from ..open import open_checkpoint
from ..tables import human

if TYPE_CHECKING:
    import argparse

    import numpy as np

    from ..checkpoint import Checkpoint, Piece, Stored
    from ..source import Source

EXAMPLE = """example:
  python -m checkpoints convert tests/fixtures/tf1-saver --to gan.safetensors --overwrite

examples that need TensorFlow:
  python -m checkpoints convert tests/fixtures/tf1-saver --model gan.subject:keras_models --to gan.npz --overwrite"""

_KERAS = (".weights.h5", ".keras")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    from .common import add_plan_arguments

    add_plan_arguments(parser, required=False)
    parser.add_argument("--to", metavar="FILE", required=True, help="what to write")
    parser.add_argument("--objects", action="store_true", help="write what tf.train.Checkpoint(model=...) writes")
    parser.add_argument("--overwrite", action="store_true", help="replace FILE if it exists")


def run(options: argparse.Namespace) -> int:
    """Writes the file; returns the exit status."""
    from ..writers import left_out

    _check(options)
    left: dict[str, str] = {}
    with open_checkpoint(options.path, options.budget) as checkpoint:
        if options.model:
            count, size, kind = _with_model(checkpoint, options)
        else:
            left = left_out(options.to, checkpoint.tensors.values())
            count, size, kind = _as_it_stands(checkpoint, options, left)
    if options.json:
        import json

        print(json.dumps({"path": options.to, "format": kind, "tensors": count, "bytes": size, "left_out": left}))
    else:
        print(f"{printable(options.to)}: {count} tensors, {human(size)}, {kind}")
        for name, why in left.items():
            print(f"left out: {named(name)} ({why})")
    return 0


def _check(options: argparse.Namespace) -> None:
    """Raises before anything is read if what was asked for cannot be written."""
    from ..writers import kind_of

    keras = options.to.endswith(_KERAS)
    if (keras or options.objects) and not options.model:
        raise ArgumentError(f"--to {options.to}: this format needs the model: give --model")
    if keras and options.objects:
        raise ArgumentError(f"--to {options.to}: --objects writes a checkpoint; give the prefix of one")
    if not keras:
        kind_of(options.to)


def _as_it_stands(
    checkpoint: Checkpoint, options: argparse.Namespace, without: Mapping[str, str]
) -> tuple[int, int, str]:
    from ..source import of_checkpoint
    from ..writers import write

    source = _watched(of_checkpoint(checkpoint, without))
    kind = write(options.to, source, options.overwrite)
    return len(source), sum(info.nbytes for info in source.infos.values()), kind


def _watched(source: Source) -> Source:
    """`source`, saying on a terminal how far its reading is."""
    from ..source import Source
    from ..tables import Meter

    meter = Meter(len(source), "converting")

    def read(name: str) -> np.ndarray[Any, Any]:
        meter.step()
        return source[name]

    def stored(name: str) -> Stored | None:
        found = source.stored(name)
        if found is not None:
            meter.step()
        return found

    def pieces(name: str) -> list[Piece]:
        meter.step()
        return source.pieces(name) or []

    return Source(source.infos, read, stored, pieces)


def _with_model(checkpoint: Checkpoint, options: argparse.Namespace) -> tuple[int, int, str]:
    from ..keras_models import model_variables, save
    from ..tables import Meter
    from ..transfer import load, planned
    from ..writers import write
    from .common import build_models, plan_for, targets_of

    models = build_models(options.model) if options.to.endswith(_KERAS) or options.objects else {}
    variables = model_variables(models) if models else targets_of(options.model, options.budget)
    plan = plan_for(checkpoint, variables, options)
    source = _watched(planned(plan, checkpoint, variables))
    size = sum(info.nbytes for info in source.infos.values())
    if not models:
        return len(source), size, write(options.to, source, options.overwrite)
    if len(models) != 1:
        raise CheckpointError(f"{options.to}: this format holds one model, not {len(models)}")
    load(plan, checkpoint, variables, Meter(len(source), "loading").step)
    (model,) = models.values()
    if options.objects:
        from ..tf_runtime import write_objects

        write_objects(model, options.to, options.overwrite)
        return len(source), size, "object-based"
    save(model, options.to, options.overwrite)
    return len(source), size, "Keras"
