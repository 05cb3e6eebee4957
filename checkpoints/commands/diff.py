"""Compare two checkpoints, of any formats: tensors that only one has, other shapes or types, other values."""

from __future__ import annotations

from math import isfinite
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
    with open_checkpoint(options.a, options.budget) as a, open_checkpoint(options.b, options.budget) as b:
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
    if left.missing or right.missing:
        return _compare_pieces(name, a, b, ulps)
    return _compare_values(name, a.read(name), b.read(name), ulps)


def _compare_pieces(name: str, a: Checkpoint, b: Checkpoint, ulps: int) -> dict[str, Any]:
    """How the parts of a tensor compare that is not whole in one of the checkpoints."""
    import numpy as np

    sides = [sorted(each.pieces(name), key=lambda piece: piece.box) for each in (a, b)]
    if [piece.box for piece in sides[0]] != [piece.box for piece in sides[1]]:
        return {"name": name, "verdict": "other parts of it"}
    left, right = (np.concatenate([piece.value.reshape(-1) for piece in side]) for side in sides)
    return _compare_values(name, left, right, ulps)


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
    if left.dtype.names is None and left.dtype.kind in "fiuc":
        place = _place(left.reshape(-1), right.reshape(-1))
        entry["a"], entry["b"] = (_told(side.reshape(-1)[place].item()) for side in (left, right))
        entry["at"] = [int(part) for part in np.unravel_index(place, left.shape)]
    return entry


def _place(left: Any, right: Any) -> int:
    """Which element to show of two vectors of numbers: of those whose bits differ, the first NaN, else the farthest."""
    import numpy as np

    unlike = np.any(left.view(np.uint8).reshape(left.size, -1) != right.view(np.uint8).reshape(left.size, -1), axis=1)
    places = np.flatnonzero(unlike)
    one, other = left[places], right[places]
    if left.dtype.kind in "iu":
        # The difference of two integers may not fit into their type, but as bits it does, and unsigned it is right.
        unsigned = np.dtype("u{}".format(left.dtype.itemsize))
        distance = np.where(
            one > other, one.view(unsigned) - other.view(unsigned), other.view(unsigned) - one.view(unsigned)
        )
        return int(places[distance.argmax()])
    nans = np.flatnonzero(np.isnan(one) != np.isnan(other))
    if nans.size:
        return int(places[nans[0]])
    exact = "c16" if left.dtype.kind == "c" else "f8"
    with np.errstate(invalid="ignore", over="ignore"):
        far = np.abs(one.astype(exact) - other.astype(exact))
    # Two NaNs of other bits are no distance apart.
    return int(places[np.where(np.isnan(far), -1, far).argmax()])


def _told(value: Any) -> Any:
    """A number for JSON, which has no word for NaN, the infinities and complex numbers."""
    return value if isinstance(value, int) or (isinstance(value, float) and isfinite(value)) else str(value)
