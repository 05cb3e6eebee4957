"""The forms in which CudnnLSTM and CudnnGRU save themselves, and the CPU cells that read them.

LSTM: as other cells, but no forget bias is added at run time. GRU: reset after the product, with a bias on both sides
of the candidate, which is what a Keras GRU with `reset_after=True` does.
Source: `CudnnCompatibleLSTMCell` and `CudnnCompatibleGRUCell` in TF 1's `contrib/cudnn_rnn`.
"""

from __future__ import annotations

from ..transforms import Piece, Shape, register
from . import lstm
from .base import Layout, Part, cell


def _double(target: Shape) -> int:
    if len(target) != 2 or target[0] != 2 or target[1] % 3:
        raise ValueError("a bias of (2, 3 units) is wanted: build the Keras GRU with reset_after=True")
    return target[1] // 3


@register("cudnn_gru.gates.bias")
def gates_bias(source: Shape, target: Shape) -> list[Piece]:
    """Source (2 units,), r before u; target (2, 3 units), the first row's u and r. The second row's are zero."""
    units = _double(target)
    if source != (2 * units,):
        raise ValueError("the lengths differ")
    return [
        Piece(((0, units),), ((0, 1), (units, units))),
        Piece(((units, units),), ((0, 1), (0, units))),
        Piece(None, ((1, 1), (0, 2 * units))),
    ]


@register("cudnn_gru.candidate.kernel")
def candidate_kernel(source: Shape, target: Shape) -> list[Piece]:
    """Source (rows, units); target (rows, 3 units), its last third."""
    if len(source) != 2 or target != (source[0], 3 * source[1]):
        raise ValueError("the target is not three times as wide")
    return [Piece(((0, source[0]), (0, source[1])), ((0, source[0]), (2 * source[1], source[1])))]


def _candidate_bias(source: Shape, target: Shape, row: int) -> list[Piece]:
    units = _double(target)
    if source != (units,):
        raise ValueError("the lengths differ")
    return [Piece(((0, units),), ((row, 1), (2 * units, units)))]


@register("cudnn_gru.candidate.input_bias")
def candidate_input_bias(source: Shape, target: Shape) -> list[Piece]:
    """Source (units,); target (2, 3 units), the end of its first row."""
    return _candidate_bias(source, target, 0)


@register("cudnn_gru.candidate.hidden_bias")
def candidate_hidden_bias(source: Shape, target: Shape) -> list[Piece]:
    """Source (units,); target (2, 3 units), the end of its second row."""
    return _candidate_bias(source, target, 1)


_GRU = (
    Part("gates/kernel", "kernel", "gru.gates.kernel"),
    Part("gates/kernel", "recurrent_kernel", "gru.gates.recurrent_kernel"),
    Part("gates/bias", "bias", "cudnn_gru.gates.bias"),
    Part("candidate/input_projection/kernel", "kernel", "cudnn_gru.candidate.kernel"),
    Part("candidate/hidden_projection/kernel", "recurrent_kernel", "cudnn_gru.candidate.kernel"),
    Part("candidate/input_projection/bias", "bias", "cudnn_gru.candidate.input_bias"),
    Part("candidate/hidden_projection/bias", "bias", "cudnn_gru.candidate.hidden_bias"),
)

LAYOUTS = (
    Layout("cudnn lstm", lstm.parts("kernel", "bias", 0.0), cell("cudnn_compatible_lstm_cell")),
    Layout("cudnn gru", _GRU, cell("cudnn_compatible_gru_cell"), note="for a Keras GRU with reset_after=True"),
)
