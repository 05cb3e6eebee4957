"""CuDNNGRU and CuDNNLSTM of Keras: the names of GRU and LSTM, other elements under them.

Each gate's kernels are as cuDNN wants them: the recurrent one transposed, the other one with the shape that it has in
GRU but its elements column by column. There are two biases, one behind the other in one dimension: a GRU with
`reset_after=True` has both as rows; an LSTM has their sum. A sum cannot be taken apart: on the way back the first bias
is all of it and the second zero, with which the layer computes the same. Nothing in the names tells these layers from
GRU and LSTM, and the shapes of their kernels do not either: the bias does. Source: `_convert_rnn_weights` in Keras 2's
`hdf5_format.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Mapping, NamedTuple, Sequence

from ..transforms import Piece, Shape, register
from .base import Layout, Part

if TYPE_CHECKING:
    from ..checkpoint import TensorInfo
    from ..plan import Row
    from ..planner import Target

_LEAVES = ("kernel", "recurrent_kernel", "bias")
_CLASSES = {3: "GRU", 4: "LSTM"}
_OWN = {"GRU": "keras_cudnn_gru.", "LSTM": "keras_cudnn_lstm."}


@register("keras_cudnn_gru.kernel")
def gru_kernel(source: Shape, target: Shape) -> list[Piece]:
    """Source and target (inputs, 3 units), in the source each gate's elements column by column."""
    return _column_by_column(source, target, 3)


@register("keras_cudnn_lstm.kernel")
def lstm_kernel(source: Shape, target: Shape) -> list[Piece]:
    """Source and target (inputs, 4 units), in the source each gate's elements column by column."""
    return _column_by_column(source, target, 4)


@register("keras_cudnn_gru.recurrent_kernel")
def gru_recurrent_kernel(source: Shape, target: Shape) -> list[Piece]:
    """Source and target (units, 3 units), each gate transposed."""
    return _transposed(source, target, 3)


@register("keras_cudnn_lstm.recurrent_kernel")
def lstm_recurrent_kernel(source: Shape, target: Shape) -> list[Piece]:
    """Source and target (units, 4 units), each gate transposed."""
    return _transposed(source, target, 4)


@register("keras_cudnn_gru.bias")
def gru_bias(source: Shape, target: Shape) -> list[Piece]:
    """Source (6 units,), target (2, 3 units)."""
    if len(source) != 1 or source[0] % 6:
        raise ValueError("the length is not 6 times the units")
    if target != (2, source[0] // 2):
        raise ValueError("a bias of (2, 3 units) is wanted: build the Keras GRU with reset_after=True")
    half = source[0] // 2
    return [Piece(((row * half, half),), ((row, 1), (0, half))) for row in range(2)]


@register("keras_cudnn_lstm.bias")
def lstm_bias(source: Shape, target: Shape) -> list[Piece]:
    """Source (8 units,), target (4 units,): the sum of both halves."""
    if len(source) != 1 or source[0] % 8 or target != (source[0] // 2,):
        raise ValueError("the lengths are not 8 and 4 times the units")
    half = target[0]
    return [Piece(((0, half),), ((0, half),), plus=((half, half),))]


def _column_by_column(source: Shape, target: Shape, gates: int) -> list[Piece]:
    rows, units = _units(source, target, gates)
    boxes = [((0, rows), (gate * units, units)) for gate in range(gates)]
    return [Piece(box, box, (1, 0), fold=(units, rows)) for box in boxes]


def _transposed(source: Shape, target: Shape, gates: int) -> list[Piece]:
    rows, units = _units(source, target, gates)
    if rows != units:
        raise ValueError(f"{rows} rows are not the units of {gates} gates in {source[1]} columns")
    boxes = [((0, units), (gate * units, units)) for gate in range(gates)]
    return [Piece(box, box, (1, 0)) for box in boxes]


def _units(source: Shape, target: Shape, gates: int) -> tuple[int, int]:
    """Rows, and the columns of one of the gates."""
    if len(source) != 2 or source != target or source[1] % gates:
        raise ValueError(f"the shapes are not the same (rows, {gates} units)")
    return source[0], source[1] // gates


LAYOUTS = (
    Layout(
        "CuDNNGRU of Keras",
        tuple(Part(leaf, leaf, _OWN["GRU"] + leaf) for leaf in _LEAVES),
        note="for a Keras GRU with reset_after=True",
        needs=_LEAVES,
    ),
    Layout(
        "CuDNNLSTM of Keras",
        tuple(Part(leaf, leaf, _OWN["LSTM"] + leaf) for leaf in _LEAVES),
        note='its two biases added; for a Keras LSTM with recurrent_activation="sigmoid", as Keras has it but in 1.15',
        needs=_LEAVES,
    ),
)


class CuDNNLayer(NamedTuple):
    """A layer that is stored so: what it is called in Keras, its scope, and its tensors by leaf."""

    kind: str
    scope: str
    leaves: Mapping[str, TensorInfo]

    def suits(self, path: str, targets: Mapping[str, Target]) -> bool:
        """Whether the model's layer at `path` is stored so too, and takes the tensors as they are."""
        target = targets.get(path + "/bias" if path else "bias")
        return target is not None and target.shape == self.leaves["bias"].shape

    def problem(self, rows: Sequence[Row], targets: Mapping[str, Target]) -> str:
        """What is wrong with where `rows` take its kernels, or with their taking none of it; nothing if nothing is."""
        names = {info.name for info in self.leaves.values()}
        mine = [row for row in rows if row.source in names]
        if mine and all(_right(row, self, targets) for row in mine):
            return ""
        told = (
            f"{self.scope or self.leaves['kernel'].name} is a CuDNN{self.kind} of Keras (bias "
            f"{list(self.leaves['bias'].shape)}), whose kernels are stored in another order than those of {self.kind}: "
        )
        whole = "GRU with reset_after=True" if self.kind == "GRU" else "LSTM"
        return told + f"all three of its tensors go into {whole} together, and nowhere else"


def _right(row: Row, layer: CuDNNLayer, targets: Mapping[str, Target]) -> bool:
    if row.action == "ignore" or row.transform.startswith(_OWN[layer.kind]):
        return True
    return layer.suits((row.target or "").rpartition("/")[0], targets)


def cudnn_layers(labels: Mapping[str, TensorInfo]) -> dict[str, CuDNNLayer]:
    """The layers that Keras's CuDNN classes wrote, by scope, among tensors given by the names to go by."""
    found = {}
    for label, info in labels.items():
        scope, _, leaf = label.rpartition("/")
        if leaf != "recurrent_kernel" or len(info.shape) != 2 or not info.shape[0]:
            continue
        leaves = {name: labels.get(f"{scope}/{name}" if scope else name) for name in _LEAVES}
        one, bias = leaves["kernel"], leaves["bias"]
        units, columns = info.shape
        kind = _CLASSES.get(columns // units) if not columns % units else None
        if kind is None or one is None or bias is None or bias.shape != (2 * columns,):
            continue
        if len(one.shape) == 2 and one.shape[1] == columns:
            found[scope] = CuDNNLayer(kind, scope, {"kernel": one, "recurrent_kernel": info, "bias": bias})
    return found
