"""LSTM cells of TF 1: one kernel for inputs and state, gates in the order i, j, f, o, the forget bias not in the file.

Keras has two kernels and the order i, f, j, o; the constant that TF 1 adds to f at run time goes into the bias.
Source: `BasicLSTMCell.call` in TF 1's `rnn_cell_impl.py`, `LSTMCell.call` in Keras.
"""

from __future__ import annotations

from ..transforms import Piece, Shape, register
from .base import Layout, Part, cell

# Where each gate of the file (i, j, f, o) stands in Keras (i, f, j, o).
_PLACES = (0, 2, 1, 3)
_FORGET = 2


def _units(columns: int, gates: int) -> int:
    if columns % gates:
        raise ValueError(f"{columns} columns are not {gates} gates")
    return columns // gates


def _split(source: Shape, target: Shape, first: bool) -> list[Piece]:
    if len(source) != 2 or len(target) != 2 or source[1] != target[1]:
        raise ValueError("the columns differ")
    units = _units(target[1], 4)
    inputs = source[0] - units
    rows = (0, inputs) if first else (inputs, units)
    if inputs < 0 or target[0] != rows[1]:
        raise ValueError(f"{source[0]} rows are not {target[0]} for this kernel and {units} units")
    return [
        Piece((rows, (gate * units, units)), ((0, rows[1]), (place * units, units)))
        for gate, place in enumerate(_PLACES)
    ]


@register("lstm.kernel")
def kernel(source: Shape, target: Shape) -> list[Piece]:
    """Source (inputs + units, 4 units), its upper rows; target (inputs, 4 units)."""
    return _split(source, target, first=True)


@register("lstm.recurrent_kernel")
def recurrent_kernel(source: Shape, target: Shape) -> list[Piece]:
    """Source (inputs + units, 4 units), its lower rows; target (units, 4 units)."""
    return _split(source, target, first=False)


@register("lstm.bias")
def bias(source: Shape, target: Shape, forget_bias: float = 1.0) -> list[Piece]:
    """Source and target (4 units,); the forget gate gains `forget_bias`."""
    if source != target or len(source) != 1:
        raise ValueError("the shapes differ")
    units = _units(source[0], 4)
    return [
        Piece(((gate * units, units),), ((place * units, units),), add=forget_bias if gate == _FORGET else 0.0)
        for gate, place in enumerate(_PLACES)
    ]


def parts(weight: str, offset: str, forget_bias: float) -> tuple[Part, ...]:
    """The parts of a cell that stores `weight` and `offset`."""
    return (
        Part(weight, "kernel", "lstm.kernel"),
        Part(weight, "recurrent_kernel", "lstm.recurrent_kernel"),
        Part(offset, "bias", f"lstm.bias:forget_bias={forget_bias}"),
    )


_REFUSED = {
    r"w_[fio]_diag|W_[FIO]_diag": "peephole connections, which no Keras LSTM has",
    r"projection/(?:kernel|bias|weights)|W_P_0|W_P": "a projection of the output, which no Keras LSTM has",
}
_LINEAR = r"MultiRNNCell/Cell\d+/(?:Basic)?LSTMCell/Linear|(?:Basic)?LSTMCell/Linear"

LAYOUTS = (
    Layout(
        "lstm",
        parts("kernel", "bias", 1.0),
        cell("basic_lstm_cell", "lstm_cell", "lstm_fused_cell", "lstm_block_cell", "lstm_block_wrapper"),
        _REFUSED,
    ),
    Layout(
        "lstm before 1.2",
        parts("weights", "biases", 1.0),
        cell("basic_lstm_cell", "lstm_cell"),
        _REFUSED,
    ),
    Layout(
        "lstm before 1.0",
        parts("Matrix", "Bias", 1.0),
        r"(?:RNN/)?(?:" + _LINEAR + ")",
        _REFUSED,
    ),
    Layout(
        "lstm before 0.12",
        parts("W_0", "B", 1.0),
        r"(?:RNN/)?(?:MultiRNNCell/Cell\d+/)?LSTMCell",
        _REFUSED,
    ),
)
