"""GRU cells of TF 1: a kernel for the gates, r before u, and one for the candidate; reset before the product.

Keras has one kernel per side with the order u, r, candidate, and `reset_after=False` for this arithmetic. A layer with
`reset_after=True` (the default of TF 2) computes something else, so it is refused.
The fused cell of contrib computes the same under names of its own.
Source: `GRUCell.call` in TF 1's `rnn_cell_impl.py`, `GRUBlockCell` in its `contrib/rnn`, `GRUCell.call` in Keras.
"""

from __future__ import annotations

from ..transforms import Piece, Shape, register
from .base import Layout, Part, cell, old_cell

RESET_AFTER = (
    "TF 1's GRU cell resets the state before the product; this Keras layer has reset_after=True, which computes "
    "something else: build it with reset_after=False"
)


def kernel_rows(source: Shape, target: Shape, units: int, first: bool) -> tuple[int, int]:
    """(start, count) of the rows of a kernel of (inputs + units, columns): the inputs' if `first`, else the state's.

    Raises ValueError unless these are the rows of `target`.
    """
    inputs = source[0] - units
    rows = (0, inputs) if first else (inputs, units)
    if inputs < 0 or rows[1] != target[0]:
        raise ValueError(f"{source[0]} rows are not {target[0]} for this kernel and {units} units")
    return rows


def gate_pieces(source: Shape, target: Shape, first: bool) -> list[Piece]:
    """The two gates of (inputs + units, 2 units) in a kernel of (rows, 3 units)."""
    if len(source) != 2 or len(target) != 2 or 3 * source[1] != 2 * target[1]:
        raise ValueError("the columns are not 2 and 3 times the units")
    units = source[1] // 2
    rows = kernel_rows(source, target, units, first)
    return [
        Piece((rows, (0, units)), ((0, rows[1]), (units, units))),
        Piece((rows, (units, units)), ((0, rows[1]), (0, units))),
    ]


def _candidate(source: Shape, target: Shape, first: bool) -> list[Piece]:
    if len(source) != 2 or len(target) != 2 or 3 * source[1] != target[1]:
        raise ValueError("the columns are not 1 and 3 times the units")
    units = source[1]
    rows = kernel_rows(source, target, units, first)
    return [Piece((rows, (0, units)), ((0, rows[1]), (2 * units, units)))]


def _check_bias(source: Shape, target: Shape) -> None:
    if len(target) == 2:
        raise ValueError(RESET_AFTER)
    if not len(source) == len(target) == 1:
        raise ValueError("a bias has one dimension")


@register("gru.gates.kernel")
def gates_kernel(source: Shape, target: Shape) -> list[Piece]:
    """Source (inputs + units, 2 units), its upper rows; target (inputs, 3 units)."""
    return gate_pieces(source, target, first=True)


@register("gru.gates.recurrent_kernel")
def gates_recurrent_kernel(source: Shape, target: Shape) -> list[Piece]:
    """Source (inputs + units, 2 units), its lower rows; target (units, 3 units)."""
    return gate_pieces(source, target, first=False)


@register("gru.gates.bias")
def gates_bias(source: Shape, target: Shape) -> list[Piece]:
    """Source (2 units,), target (3 units,)."""
    _check_bias(source, target)
    if 3 * source[0] != 2 * target[0]:
        raise ValueError("the lengths are not 2 and 3 times the units")
    units = source[0] // 2
    return [Piece(((0, units),), ((units, units),)), Piece(((units, units),), ((0, units),))]


@register("gru.candidate.kernel")
def candidate_kernel(source: Shape, target: Shape) -> list[Piece]:
    """Source (inputs + units, units), its upper rows; target (inputs, 3 units)."""
    return _candidate(source, target, first=True)


@register("gru.candidate.recurrent_kernel")
def candidate_recurrent_kernel(source: Shape, target: Shape) -> list[Piece]:
    """Source (inputs + units, units), its lower rows; target (units, 3 units)."""
    return _candidate(source, target, first=False)


@register("gru.candidate.bias")
def candidate_bias(source: Shape, target: Shape) -> list[Piece]:
    """Source (units,), target (3 units,)."""
    _check_bias(source, target)
    if 3 * source[0] != target[0]:
        raise ValueError("the lengths are not 1 and 3 times the units")
    return [Piece(((0, source[0]),), ((2 * source[0], source[0]),))]


def parts(gates: str, gates_bias: str, candidate: str, candidate_bias: str) -> tuple[Part, ...]:
    """The parts of a cell that stores its two kernels and two biases under these names."""
    return (
        Part(gates, "kernel", "gru.gates.kernel"),
        Part(gates, "recurrent_kernel", "gru.gates.recurrent_kernel"),
        Part(gates_bias, "bias", "gru.gates.bias"),
        Part(candidate, "kernel", "gru.candidate.kernel"),
        Part(candidate, "recurrent_kernel", "gru.candidate.recurrent_kernel"),
        Part(candidate_bias, "bias", "gru.candidate.bias"),
    )


_NOTE = "for a Keras GRU with reset_after=False"

LAYOUTS = (
    Layout(
        "gru",
        parts("gates/kernel", "gates/bias", "candidate/kernel", "candidate/bias"),
        cell("gru_cell", "gru_block_cell"),
        note=_NOTE,
    ),
    Layout(
        "gru block",
        parts("w_ru", "b_ru", "w_c", "b_c"),
        cell("gru_cell", "gru_block_cell", "GRUBlockCell") + "|" + old_cell("GRUBlockCell"),
        note=_NOTE,
    ),
    Layout(
        "gru before 1.2",
        parts("gates/weights", "gates/biases", "candidate/weights", "candidate/biases"),
        cell("gru_cell"),
        note=_NOTE,
    ),
    Layout(
        "gru before 1.0",
        parts("Gates/Linear/Matrix", "Gates/Linear/Bias", "Candidate/Linear/Matrix", "Candidate/Linear/Bias"),
        old_cell("GRUCell"),
        note=_NOTE,
    ),
)
