"""The configuration of a model's layers against that of the layers that their weights come from.

What a file or its graph says is compared with what the model's layers have. A difference is a problem that names both
values and the argument to set. What neither tells is assumed, and noted once for each kind of layer.
"""

from __future__ import annotations

import math
import os
import re
from typing import TYPE_CHECKING, Any, FrozenSet, Mapping, NamedTuple, Sequence

from ..foreign_text import named
from ..graphs import recurrent
from ..graphs.activations import LINEAR, UNKNOWN
from ..plan import Row
from .assumptions import assumption
from .defaults import default_of_version
from .differences import alike
from .files import layers_in_file
from .graphs import GraphBeside, read_beside
from .model_layers import layers_of_variables
from .networks import LayerData
from .settings import CUDNN, arguments_of, family_of, settings_of
from .special import SPECIAL, Place
from .wording import class_by_name, listed, remedy

if TYPE_CHECKING:
    from ..checkpoint import Checkpoint

_FORGET_BIAS, DEFAULT_FORGET_BIAS = "lstm.bias", 1.0
_ASSUMED_FORGET_BIAS = (
    "LSTM: the file does not say what is added to the forget gate, and 1.0 is taken, the default of TF 1's cells; "
    'another one is named by a rule, as in Layer(..., layout="lstm:forget_bias=0.0")'
)
# Behind what is true of most files, and not said by this one.
_ESCAPE = "; should that be wrong of your file, --no-config-check (compare_config=False) makes it a note"


class Outcome(NamedTuple):
    """The rows of a plan with what the graph says of them, what is wrong, and what should be known."""

    rows: list[Row]
    problems: list[str]
    notes: list[str]


def compare(
    checkpoint: Checkpoint,
    targets: Mapping[str, Any],
    rows: Sequence[Row],
    labels: Mapping[str, str],
    shadows: Mapping[str, str],
    strict: bool,
) -> Outcome:
    """Compares the layers of the model that `targets` are of with what the checkpoint says of its own.

    `labels` are the names to go by of the checkpoint's tensors, and `shadows` the variables that those of them which
    are moving averages stand for. Unless `strict`, differences are notes.
    """
    layers = layers_of_variables(getattr(targets, "models", {}), targets)
    comparison = _Comparison(checkpoint, layers, labels, shadows)
    outcome = comparison.run(list(rows))
    if strict:
        return outcome
    differences = [f"{problem} (not refused, as asked)" for problem in outcome.problems]
    return outcome._replace(problems=[], notes=[*differences, *outcome.notes])


class _Comparison:
    def __init__(
        self,
        checkpoint: Checkpoint,
        layers: Mapping[str, LayerData],
        labels: Mapping[str, str],
        shadows: Mapping[str, str],
    ) -> None:
        self._checkpoint, self._labels, self._shadows = checkpoint, labels, shadows
        self._name = os.path.basename(checkpoint.path) or checkpoint.path
        self._layers = layers
        self._in_file: Mapping[str, LayerData] = {}
        self._beside: GraphBeside | None = None
        # By layer (its id) and argument: what is wrong, and which were compared.
        self._problems: dict[tuple[int, str], str] = {}
        self._known: dict[int, set[str]] = {}
        self._notes: list[str] = []

    def run(self, rows: list[Row]) -> Outcome:
        """Compares every layer that a row leads to."""
        loads = [row for row in rows if row.action == "load"]
        cells = [row for row in loads if row.transform.partition(":")[0] == _FORGET_BIAS]
        if not self._layers and not cells:
            return Outcome(rows, [], [])
        self._in_file = layers_in_file(self._checkpoint, self._labels) if self._layers else {}
        self._beside, damage = read_beside(self._checkpoint, self._labels)
        if damage:
            self._note(f"nothing is compared with the graph beside the file: {damage}")
        places = [Place(row, self._layers[row.target or ""]) for row in loads if row.target in self._layers]
        for place in places:
            self._by_configuration(place)
            self._by_graph(place)
            self._by_name(place)
            self._by_backend(place)
        rows = [self._with_forget_bias(row) if row in cells else row for row in rows]
        self._note_assumptions(places)
        return Outcome(rows, list(self._problems.values()), self._notes)

    def _by_configuration(self, place: Place) -> None:
        """What a Keras file says of the layer: its configuration, or at least which Keras wrote it."""
        theirs = self._in_file.get(place.row.source)
        version = self._checkpoint.description.keras_version
        if theirs is not None:
            where = f"in the configuration of {self._name}"
            families = [family_of(each.kind) for each in (theirs, place.layer)]
            if all(families) and families[0] != families[1]:
                self._problem(
                    place, "class", f"is a {named(theirs.kind)} {where}, but a {place.layer.kind} in the model"
                )
            for argument, setting in settings_of(theirs).items():
                self._check(place, argument, setting.values, where, setting.layer.rank)
        elif place.row.transform.startswith("keras_cudnn_"):
            where = f"in what {named(place.row.source)} is stored for, cuDNN"
            for argument, value in CUDNN.items():
                self._check(place, argument, frozenset([value]), where)
        elif version:
            for argument in arguments_of(place.layer.kind):
                value, when = default_of_version(version, place.layer.kind, argument)
                if value:
                    self._check(place, argument, frozenset([value]), when, escape=_ESCAPE)

    def _by_name(self, place: Place) -> None:
        """What TF 1 and Keras call layers by default says of what class they are, where nothing else does."""
        label = self._labels.get(place.row.source, place.row.source)
        theirs, ours = class_by_name(label), family_of(place.layer.kind)
        differ = theirs and ours not in ("", "DepthwiseConv", family_of(theirs))
        if differ and not self._is_described(place):
            told = f"is a {theirs} by its name, {named(label)}, but a {place.layer.kind} in the model"
            self._problem(place, "class", told + _ESCAPE)

    def _is_described(self, place: Place) -> bool:
        beside = self._beside.nodes.get(place.row.source) if self._beside is not None else None
        return place.row.source in self._in_file or bool(beside)

    def _by_graph(self, place: Place) -> None:
        if self._beside is None:
            return
        where = f"in the graph {os.path.basename(self._beside.path)}"
        tensor = self._shadows.get(place.row.source, place.row.source)
        for argument, values in self._beside.says(tensor, place.layer.kind, place.leaf).items():
            if argument in SPECIAL:
                verdict = SPECIAL[argument](place, frozenset(values), where)
                if verdict.problem:
                    self._problem(place, argument, verdict.problem)
                if verdict.note:
                    self._note(f"{named(place.path)}: {verdict.note}")
                self._known.setdefault(id(place.layer), set()).update(verdict.known)
            elif argument != "forget_bias":
                self._check(place, argument, frozenset(values), where)

    def _by_backend(self, place: Place) -> None:
        """Theano convolved with kernels that are turned round; Keras 2 turns them when it loads such a file."""
        kernel = "kernel" in place.leaf and "Conv" in place.layer.kind
        if self._checkpoint.description.backend == "theano" and kernel and max(place.row.source_shape[:-2]) > 1:
            told = f"{self._name} was written by Keras on Theano, whose convolutions take their kernels the other way "
            told += "round: load it with Keras 2 (load_weights), save it again, and take that"
            self._problem(place, "backend", told)

    def _check(
        self,
        place: Place,
        argument: str,
        theirs: FrozenSet[Any],
        where: str,
        rank: int | None = None,
        escape: str = "",
    ) -> None:
        """A difference between the values that an argument may have and that of the model's layer."""
        ours = settings_of(place.layer).get(argument)
        if ours is None or (UNKNOWN in theirs and LINEAR not in theirs & ours.values):
            # Where the graph does more with a tensor than is known, only that it goes on as it is says something.
            return
        self._known.setdefault(id(place.layer), set()).add(argument)
        if not alike(argument, theirs, ours, ours.layer.rank or rank):
            shown, mine = (listed(argument, values) for values in (theirs, ours.values))
            told = f"{argument} is {shown} {where}, but {mine} in the model: set {remedy(ours.layer, argument, theirs)}"
            self._problem(place, argument, told + escape, ours.layer)

    def _problem(self, place: Place, subject: str, words: str, owner: LayerData | None = None) -> None:
        self._problems.setdefault((id(owner or place.layer), subject), f"{named(place.path)}: {words}")

    def _note(self, note: str) -> None:
        if note not in self._notes:
            self._notes.append(note)

    def _with_forget_bias(self, row: Row) -> Row:
        """The row with the constant that the graph adds to the forget gate, which the file does not hold."""
        name, _, options = row.transform.partition(":")
        planned = re.fullmatch(r"forget_bias=(.*)", options)
        assumed = float(planned.group(1)) if planned else DEFAULT_FORGET_BIAS
        tensor = self._shadows.get(row.source, row.source)
        said = self._beside.recognised(tensor, recurrent.lstm).get("forget_bias", ()) if self._beside else ()
        if len(said) != 1 or self._beside is None:
            if assumed == DEFAULT_FORGET_BIAS:
                self._note(_ASSUMED_FORGET_BIAS)
            return row
        value = round(float(said[0]), 6)
        where = f"in the graph {os.path.basename(self._beside.path)}"
        if math.isclose(assumed, value, abs_tol=1e-6):
            return row
        if assumed != DEFAULT_FORGET_BIAS:
            told = f"{named(row.source)}: {value:g} is added to the forget gate {where}, but {assumed:g} by its rule"
            self._problems.setdefault((hash(row.source), "forget_bias"), f"{told}: set forget_bias={value:g}")
            return row
        return row._replace(
            transform=f"{name}:forget_bias={value:g}", reason=f"{row.reason}; forget bias {value:g} {where}"
        )

    def _note_assumptions(self, places: Sequence[Place]) -> None:
        kinds: dict[str, list[Place]] = {}
        for place in places:
            kinds.setdefault(place.layer.kind, []).append(place)
        for kind, of_kind in sorted(kinds.items()):
            layers = list({id(place.layer): place.layer for place in of_kind}.values())
            note = assumption(kind, layers, self._known, [place.row for place in of_kind])
            if note:
                self._note(note)
