"""GRU cells of TF 1: a kernel for the gates, r before u, and one for the candidate; reset before the product.

Keras has one kernel per side with the order u, r, candidate, and `reset_after=False` for this arithmetic. A layer with
`reset_after=True` (the default of TF 2) computes something else, so it is refused.
Source: `GRUCell.call` in TF 1's `rnn_cell_impl.py`, `GRUCell.call` in Keras.
"""

from __future__ import annotations

from ..transforms import Piece, Shape, register
from .base import Layout, Part, cell

RESET_AFTER = (
    "TF 1's GRU cell resets the state before the product; this Keras layer has reset_after=True, which computes "
    "something else: build it with reset_after=False"
)


def _rows(source: Shape, target: Shape, units: int, first: bool) -> tuple[int, int]:
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
    rows = _rows(source, target, units, first)
    return [
        Piece((rows, (0, units)), ((0, rows[1]), (units, units))),
        Piece((rows, (units, units)), ((0, rows[1]), (0, units))),
    ]


def _candidate(source: Shape, target: Shape, first: bool) -> list[Piece]:
    if len(source) != 2 or len(target) != 2 or 3 * source[1] != target[1]:
        raise ValueError("the columns are not 1 and 3 times the units")
    units = source[1]
    rows = _rows(source, target, units, first)
    return [Piece((rows, (0, units)), ((0, rows[1]), (2 * units, units)))]


def _check_bias(target: Shape) -> None:
    if len(target) == 2:
        raise ValueError(RESET_AFTER)


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
    _check_bias(target)
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
    _check_bias(target)
    if 3 * source[0] != target[0]:
        raise ValueError("the lengths are not 1 and 3 times the units")
    return [Piece(((0, source[0]),), ((2 * source[0], source[0]),))]


def parts(gates: str, candidate: str, weight: str, offset: str) -> tuple[Part, ...]:
    """The parts of a cell that stores `weight` and `offset` under the scopes `gates` and `candidate`."""
    return (
        Part(f"{gates}/{weight}", "kernel", "gru.gates.kernel"),
        Part(f"{gates}/{weight}", "recurrent_kernel", "gru.gates.recurrent_kernel"),
        Part(f"{gates}/{offset}", "bias", "gru.gates.bias"),
        Part(f"{candidate}/{weight}", "kernel", "gru.candidate.kernel"),
        Part(f"{candidate}/{weight}", "recurrent_kernel", "gru.candidate.recurrent_kernel"),
        Part(f"{candidate}/{offset}", "bias", "gru.candidate.bias"),
    )


_NOTE = "for a Keras GRU with reset_after=False"

LAYOUTS = (
    Layout("gru", parts("gates", "candidate", "kernel", "bias"), cell("gru_cell", "gru_block_cell"), note=_NOTE),
    Layout("gru before 1.2", parts("gates", "candidate", "weights", "biases"), cell("gru_cell"), note=_NOTE),
    Layout(
        "gru before 1.0",
        parts("Gates/Linear", "Candidate/Linear", "Matrix", "Bias"),
        r"(?:RNN/)?(?:MultiRNNCell/Cell\d+/)?GRUCell",
        note=_NOTE,
    ),
)
