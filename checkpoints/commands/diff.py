"""Compare two checkpoints, of any formats: tensors that only one has, other shapes or types, other values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..open import open_checkpoint
from ..roles import is_bookkeeping
from ..tables import align, progress, terminal_width

if TYPE_CHECKING:
    import argparse

    from ..checkpoint import Checkpoint

EXAMPLE = """example:
  python -m checkpoints diff tests/fixtures/tf1-saver tests/fixtures/tf1-trajectory"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    parser.add_argument("a", metavar="A", help="a checkpoint")
    parser.add_argument("b", metavar="B", help="another")
    parser.add_argument("--ulps", type=int, default=0, metavar="N", help="take values this far apart as equal (0)")


def run(options: argparse.Namespace) -> int:
    """Prints what differs; returns 1 if anything does."""
    with open_checkpoint(options.a) as a, open_checkpoint(options.b) as b:
        # What describes objects holds no value, and formats without text leave it out.
        one_sided = sorted(filter(is_bookkeeping, set(a.tensors) ^ set(b.tensors)))
        names = sorted((set(a.tensors) | set(b.tensors)) - set(one_sided))
        found = [compare(name, a, b, options.ulps) for name in progress(names, len(names), "comparing")]
    differing = [entry for entry in found if entry["verdict"] != "equal"]
    if options.json:
        import json

        told = {"a": a.path, "b": b.path, "equal": len(found) - len(differing), "differing": differing}
        print(json.dumps(dict(told, bookkeeping_of_one=one_sided)))
    else:
        if differing:
            lines = [("name", "verdict", "A", "B")]
            lines += [(e["name"], e["verdict"], str(e.get("a", "")), str(e.get("b", ""))) for e in differing]
            print(align(lines, terminal_width()))
        count = f"{len(found) - len(differing)} equal, {len(differing)} differ"
        print(count + (f", {len(one_sided)} of bookkeeping in one of them only" if one_sided else ""))
    return 1 if differing else 0


def compare(name: str, a: Checkpoint, b: Checkpoint, ulps: int = 0) -> dict[str, Any]:
    """How the tensor `name` of two checkpoints compares: a verdict, and what stands on each side."""
    left, right = a.tensors.get(name), b.tensors.get(name)
    if left is None or right is None:
        return {"name": name, "verdict": "only in B" if left is None else "only in A"}
    if (left.shape, left.dtype) != (right.shape, right.dtype):
        verdict = "other shape" if left.shape != right.shape else "other type"
        sides = [f"{info.dtype} {list(info.shape)}" for info in (left, right)]
        return {"name": name, "verdict": verdict, "a": sides[0], "b": sides[1]}
    if left.dtype in ("variant", "resource"):
        return {"name": name, "verdict": "not readable"}
    return _compare_values(name, a.read(name), b.read(name), ulps)


def _compare_values(name: str, left: Any, right: Any, ulps: int) -> dict[str, Any]:
    import numpy as np

    from ..digest import sha256
    from ..ulps import INCOMPARABLE, max_ulps

    if left.dtype == object:
        equal = left.tolist() == right.tolist()
        return {"name": name, "verdict": "equal" if equal else "other strings"}
    # The same bits are equal, whatever they mean; that is also the quick way.
    if sha256(left) == sha256(right):
        return {"name": name, "verdict": "equal"}
    distance = max_ulps(left, right)
    if distance <= ulps and ulps:
        return {"name": name, "verdict": "equal"}
    entry: dict[str, Any] = {"name": name, "verdict": "other values"}
    if distance < INCOMPARABLE:
        entry["ulps"] = distance
        entry["verdict"] = f"other values, {distance} ulp"
    if left.dtype.names is None and left.dtype.kind in "fiu":
        with np.errstate(invalid="ignore", over="ignore"):
            place = int(np.nanargmax(np.abs(left.astype("f8") - right.astype("f8")))) if _comparable(left, right) else 0
        entry["a"], entry["b"] = left.reshape(-1)[place].item(), right.reshape(-1)[place].item()
        entry["at"] = [int(part) for part in np.unravel_index(place, left.shape)]
    return entry


def _comparable(left: Any, right: Any) -> bool:
    import numpy as np

    with np.errstate(invalid="ignore", over="ignore"):
        return not bool(np.all(np.isnan(left.astype("f8") - right.astype("f8"))))
