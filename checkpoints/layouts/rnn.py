"""Basic cells of TF 1: one kernel for inputs and state, which Keras keeps apart.

CudnnRNNTanh and CudnnRNNRelu are saved under the same names.
Source: `BasicRNNCell.call` in TF 1's `rnn_cell_impl.py`, `CudnnRNNTanhSaveable` in its `contrib/cudnn_rnn`,
`SimpleRNNCell.call` in Keras.
"""

from __future__ import annotations

from ..transforms import Piece, Shape, register
from .base import Layout, Part, cell, old_cell
from .gru import kernel_rows


def _split(source: Shape, target: Shape, first: bool) -> list[Piece]:
    if len(source) != 2 or len(target) != 2 or source[1] != target[1]:
        raise ValueError("the columns differ")
    rows = kernel_rows(source, target, source[1], first)
    return [Piece((rows, (0, source[1])), ((0, rows[1]), (0, source[1])))]


@register("rnn.kernel")
def kernel(source: Shape, target: Shape) -> list[Piece]:
    """Source (inputs + units, units), its upper rows; target (inputs, units)."""
    return _split(source, target, first=True)


@register("rnn.recurrent_kernel")
def recurrent_kernel(source: Shape, target: Shape) -> list[Piece]:
    """Source (inputs + units, units), its lower rows; target (units, units)."""
    return _split(source, target, first=False)


def _parts(weight: str, offset: str) -> tuple[Part, ...]:
    return (
        Part(weight, "kernel", "rnn.kernel"),
        Part(weight, "recurrent_kernel", "rnn.recurrent_kernel"),
        Part(offset, "bias"),
    )


_NOTE = "for a Keras SimpleRNN; the activation is not in the file, and tanh unless the cell was given another"

LAYOUTS = (
    Layout("rnn", _parts("kernel", "bias"), cell("basic_rnn_cell"), note=_NOTE),
    Layout("rnn before 1.2", _parts("weights", "biases"), cell("basic_rnn_cell"), note=_NOTE),
    Layout("rnn before 1.0", _parts("Matrix", "Bias"), old_cell("BasicRNNCell/Linear"), note=_NOTE),
)
