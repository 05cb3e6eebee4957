"""What a graph says of a layer that is no argument of it: its kind, the order of its gates, how it normalises."""

from __future__ import annotations

from typing import Any, Callable, Dict, FrozenSet, NamedTuple, Tuple

from ..foreign_text import named
from ..plan import Row
from .networks import LayerData
from .settings import family_of, settings_of
from .wording import listed


class Place(NamedTuple):
    """A row of the plan, and the layer of the model that it leads to."""

    row: Row
    layer: LayerData

    @property
    def path(self) -> str:
        """The path of the layer in the model."""
        return (self.row.target or "").rpartition("/")[0] or self.layer.name

    @property
    def leaf(self) -> str:
        """The name of the variable in its layer."""
        return (self.row.target or "").rpartition("/")[2]


class Verdict(NamedTuple):
    """What is wrong, what should be known, and the arguments that need no note any more."""

    problem: str = ""
    note: str = ""
    known: Tuple[str, ...] = ()


_WORDS = {"Conv": "a convolution", "ConvTranspose": "a transposed convolution", "DepthwiseConv": "a depthwise one"}


def _convolution(place: Place, values: FrozenSet[Any], where: str) -> Verdict:
    """The three kinds of convolutions may have kernels of the same shape."""
    family = family_of(place.layer.kind)
    if not family or family in values:
        return Verdict()
    kinds = " or ".join(_WORDS.get(value, str(value)) for value in sorted(values))
    return Verdict(f"is {kinds} {where}, but a {place.layer.kind} in the model")


def _order(place: Place, values: FrozenSet[Any], where: str) -> Verdict:
    """Gates that stand in another order than the one that the row takes them to be in."""
    keras = "ifjo" if place.layer.kind.startswith("LSTM") else ""
    taken = {"lstm": "ijfo", "gru": "ru", "cudnn_gru": "ru"}.get(place.row.transform.partition(".")[0], keras)
    if not taken or taken in values:
        return Verdict()
    orders = " or ".join(", ".join(value) for value in sorted(values))
    return Verdict(
        f"the gates of {named(place.row.source)} stand in the order {orders} {where}, but are taken to be in the order "
        f"{', '.join(taken)}: there is no layout for that"
    )


def _axes(place: Place, values: FrozenSet[Any], where: str) -> Verdict:
    """Over how many axes a layer normalises: contrib's takes several with a gamma for the last alone."""
    axis = settings_of(place.layer).get("axis")
    counts = {len(value) for value in axis.values if isinstance(value, tuple)} if axis else set()
    if axis is None or not counts or counts & values:
        return Verdict(known=("axis",))
    return Verdict(
        f"normalises over {sorted(values)[0]} axes {where}, but over axis {listed('axis', axis.values)} in the model; "
        "with a gamma of the last axis, GroupNormalization(groups=1) normalises over all"
    )


def _statistics(place: Place, values: FrozenSet[Any], where: str) -> Verdict:
    if values != {"batch"}:
        return Verdict()
    told = f"normalises by the mean and variance of each batch {where} (is_training=True), never by the moving ones: "
    return Verdict(note=told + "for the same outputs, call the layer with training=True")


def _cell_clip(place: Place, values: FrozenSet[Any], where: str) -> Verdict:
    clips = " or ".join(f"{value:g}" for value in sorted(values))
    return Verdict(note=f"its state is cut off at {clips} {where} (cell_clip), which no Keras layer does")


SPECIAL: Dict[str, Callable[[Place, FrozenSet[Any], str], Verdict]] = {
    "convolution": _convolution,
    "order": _order,
    "axes": _axes,
    "statistics": _statistics,
    "cell_clip": _cell_clip,
}
