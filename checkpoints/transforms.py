"""Transforms: how the elements of a tensor in the file become elements of a variable in the model, and back.

A transform is a list of pieces. A piece takes a box of the source to a box of the target, with its axes permuted, its
shape changed, or a constant added on the way. That form can be inverted, checked for gaps and overlaps without reading
a byte, and lets one source fill several targets and several sources fill one target.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, List, NamedTuple, Tuple

from . import dtypes

if TYPE_CHECKING:
    import numpy as np

Shape = Tuple[int, ...]
Box = Tuple[Tuple[int, int], ...]
"""(start, length) for every dimension."""


class Piece(NamedTuple):
    """A box of the source that becomes a box of the target: permuted by `axes`, reshaped, then `add` added.

    Where there is a `fold`, the box is first of all given that shape. Where there is `plus`, the elements of that box
    of the source are added to those of `source`; on the way back they are zero, as no sum can be taken apart.

    Where `source` is None, the box of the target is filled with `add`: what the model has and the file has not.
    """

    source: Box | None
    target: Box
    axes: tuple[int, ...] | None = None
    add: float = 0.0
    fold: Shape | None = None
    plus: Box | None = None

    def sources(self) -> list[Box]:
        """The boxes that are taken from the source."""
        return [box for box in (self.source, self.plus) if box is not None]


Pieces = Callable[..., List[Piece]]
REGISTRY: dict[str, Pieces] = {}
"""Transforms by name: (source shape, target shape, **options) to pieces; ValueError if the shapes do not fit."""


def register(name: str) -> Callable[[Pieces], Pieces]:
    """A decorator that enters a transform under `name`."""

    def enter(pieces: Pieces) -> Pieces:
        REGISTRY[name] = pieces
        return pieces

    return enter


def pieces_of(name: str, source: Shape, target: Shape) -> list[Piece]:
    """The pieces of the transform `name` between these shapes; ValueError if unknown, or if they do not fit.

    Options follow the name: `lstm.bias:forget_bias=0.0`.
    """
    # The catalogue enters its transforms as it is imported.
    from . import layouts  # noqa: F401

    plain, _, tail = name.partition(":")
    pieces = REGISTRY.get(plain)
    if pieces is None:
        raise ValueError("unknown transform {!r}; there are {}".format(plain, ", ".join(sorted(REGISTRY))))
    options = _options(name, tail)
    try:
        return pieces(source, target, **options)
    except TypeError:
        raise ValueError(f"{plain} takes no options {sorted(options)}") from None


def _options(name: str, tail: str) -> dict[str, float]:
    options = {}
    for part in filter(None, tail.split(",")):
        key, _, value = part.partition("=")
        try:
            options[key.strip()] = float(value)
        except ValueError:
            raise ValueError(f"transform {name!r}: {key} needs a number, not {value!r}") from None
    return options


def whole(shape: Shape) -> Box:
    """The box that is all of `shape`."""
    return tuple((0, extent) for extent in shape)


def box_shape(box: Box) -> Shape:
    """The shape of a box."""
    return tuple(length for _, length in box)


def index_of(box: Box) -> tuple[slice, ...]:
    """The NumPy index of a box."""
    return tuple(slice(start, start + length) for start, length in box)


def apply(piece: Piece, source: np.ndarray[Any, Any], target: np.ndarray[Any, Any]) -> None:
    """Copies one piece from `source` into `target`."""
    if piece.source is None:
        import numpy as np

        target[index_of(piece.target)] = _plus(np.zeros((), target.dtype), piece.add)
        return
    value = source[index_of(piece.source)]
    if piece.plus is not None:
        value = _sum(value, source[index_of(piece.plus)])
    if piece.fold is not None:
        value = value.reshape(piece.fold)
    if piece.axes is not None:
        value = value.transpose(piece.axes)
    value = value.reshape(box_shape(piece.target))
    target[index_of(piece.target)] = _plus(value, piece.add)


def _plus(value: np.ndarray[Any, Any], amount: float) -> np.ndarray[Any, Any]:
    """`value` and a constant, in the type of `value`; ValueError for types that cannot be computed with."""
    if not amount:
        return value
    if not value.dtype.names:
        summed: np.ndarray[Any, Any] = value + value.dtype.type(amount)
        return summed
    # A type that NumPy lacks is held as its bits, to which nothing can be added.
    import numpy as np

    name = value.dtype.names[0]
    try:
        return dtypes.cast(dtypes.widen(value).astype("f4") + np.float32(amount), name)
    except TypeError as error:
        raise ValueError(f"{amount:g} cannot be added: {error}") from None


def _sum(first: np.ndarray[Any, Any], second: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The sum in the type of both; ValueError for types that cannot be computed with."""
    if not first.dtype.names:
        summed: np.ndarray[Any, Any] = first + second
        return summed
    name = first.dtype.names[0]
    try:
        return dtypes.cast(dtypes.widen(first).astype("f4") + dtypes.widen(second).astype("f4"), name)
    except TypeError as error:
        raise ValueError(f"two parts cannot be added: {error}") from None


def apply_inverse(piece: Piece, target: np.ndarray[Any, Any], source: np.ndarray[Any, Any]) -> None:
    """Copies one piece of a forward transform back, from `target` into `source`."""
    if piece.source is None:
        return
    if piece.plus is not None:
        import numpy as np

        source[index_of(piece.plus)] = np.zeros((), source.dtype)
    value = target[index_of(piece.target)]
    value = _plus(value, -piece.add)
    shape = box_shape(piece.source)
    if piece.axes is None:
        source[index_of(piece.source)] = value.reshape(shape)
        return
    back = [0] * len(piece.axes)
    for position, axis in enumerate(piece.axes):
        back[axis] = position
    folded = piece.fold or shape
    value = value.reshape([folded[axis] for axis in piece.axes]).transpose(back)
    source[index_of(piece.source)] = value.reshape(shape)


@register("identity")
def identity(source: Shape, target: Shape) -> list[Piece]:
    """The same shape, the same elements."""
    if source != target:
        raise ValueError("the shapes differ")
    return [Piece(whole(source), whole(target))]


@register("transpose")
def transpose(source: Shape, target: Shape) -> list[Piece]:
    """All axes reversed: a matrix transposed."""
    if source[::-1] != target:
        raise ValueError(f"the reversed shape of the source is {list(source[::-1])}")
    return [Piece(whole(source), whole(target), tuple(range(len(source)))[::-1])]


@register("reshape")
def reshape(source: Shape, target: Shape) -> list[Piece]:
    """The same elements in the same (row-major) order, in another shape."""
    from .checkpoint import element_count

    if element_count(source) != element_count(target):
        raise ValueError(f"{element_count(source)} elements cannot become {element_count(target)}")
    return [Piece(whole(source), whole(target))]


@register("fill")
def fill(source: Shape, target: Shape, value: float = 0.0) -> list[Piece]:
    """All of the target is `value`; nothing comes from the file."""
    return [Piece(None, whole(target), add=value)]
