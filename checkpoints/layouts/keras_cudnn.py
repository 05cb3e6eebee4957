"""CuDNNGRU and CuDNNLSTM of Keras: the names of GRU and LSTM, other elements under them.

Each gate's kernels are as cuDNN wants them: the recurrent one transposed, the other one with the shape that it has in
GRU but its elements column by column. There are two biases, one behind the other in one dimension: a GRU with
`reset_after=True` has both as rows; an LSTM has their sum, which no plan could take apart on the way back.
Nothing in the names tells these layers from GRU and LSTM, and the shapes of their kernels do not either: the bias does.
Source: `_convert_rnn_weights` in Keras 2's `hdf5_format.py`.
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
_OWN = "keras_cudnn_gru."


@register("keras_cudnn_gru.kernel")
def kernel(source: Shape, target: Shape) -> list[Piece]:
    """Source and target (inputs, 3 units), in the source each gate's elements column by column."""
    rows, units = _gates(source, target)
    boxes = [((0, rows), (gate * units, units)) for gate in range(3)]
    return [Piece(box, box, (1, 0), fold=(units, rows)) for box in boxes]


@register("keras_cudnn_gru.recurrent_kernel")
def recurrent_kernel(source: Shape, target: Shape) -> list[Piece]:
    """Source and target (units, 3 units), each gate transposed."""
    rows, units = _gates(source, target)
    if rows != units:
        raise ValueError(f"{rows} rows are not the units of 3 gates in {source[1]} columns")
    boxes = [((0, units), (gate * units, units)) for gate in range(3)]
    return [Piece(box, box, (1, 0)) for box in boxes]


@register("keras_cudnn_gru.bias")
def bias(source: Shape, target: Shape) -> list[Piece]:
    """Source (6 units,), target (2, 3 units)."""
    if len(source) != 1 or source[0] % 6:
        raise ValueError("the length is not 6 times the units")
    if target != (2, source[0] // 2):
        raise ValueError("a bias of (2, 3 units) is wanted: build the Keras GRU with reset_after=True")
    half = source[0] // 2
    return [Piece(((row * half, half),), ((row, 1), (0, half))) for row in range(2)]


def _gates(source: Shape, target: Shape) -> tuple[int, int]:
    """Rows, and the columns of one of the three gates."""
    if len(source) != 2 or source != target or source[1] % 3:
        raise ValueError("the shapes are not the same (rows, 3 units)")
    return source[0], source[1] // 3


LAYOUTS = (
    Layout(
        "CuDNNGRU of Keras",
        tuple(Part(leaf, leaf, _OWN + leaf) for leaf in _LEAVES),
        note="for a Keras GRU with reset_after=True",
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
        if self.kind == "GRU":
            return told + "all three of its tensors go into a GRU with reset_after=True together, and nowhere else"
        told += "it is not converted, as the two halves of its bias would have to be added. Keras 2 does when it loads "
        return told + "the .h5 (load_weights, in TensorFlow 2.15 and before): save what it has loaded, and take that"


def _right(row: Row, layer: CuDNNLayer, targets: Mapping[str, Target]) -> bool:
    if row.action == "ignore" or row.transform.startswith(_OWN):
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
