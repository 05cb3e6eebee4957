"""The arguments of a layer that decide what it computes with its weights, in one form for files, graphs and models."""

from __future__ import annotations

import re
from typing import Any, FrozenSet, NamedTuple

from ..graphs.layers import Padding
from .convolutions import padding_before, plain_value, spatial_axes
from .networks import LayerData

_CONVOLUTION = ("strides", "padding", "data_format", "dilation_rate", "groups", "activation", "use_bias")
_SEQUENCE = ("return_sequences", "go_backwards", "time_major")
_NORMALIZATION = ("axis", "epsilon", "center", "scale")
# By class: which of its arguments decide what it computes. Those that only say how variables begin, are regularized or
# constrained, or how fast the layer runs, do not; units, filters and sizes show in the shapes.
_ARGUMENTS = {
    "Dense": ("activation", "use_bias"),
    "EinsumDense": ("activation", "equation"),
    "Embedding": ("mask_zero",),
    "BatchNormalization": (*_NORMALIZATION, "momentum"),
    "SyncBatchNormalization": (*_NORMALIZATION, "momentum"),
    "LayerNormalization": _NORMALIZATION,
    "GroupNormalization": (*_NORMALIZATION, "groups"),
    "LSTM": ("activation", "recurrent_activation", "use_bias", *_SEQUENCE),
    "GRU": ("activation", "recurrent_activation", "use_bias", "reset_after", *_SEQUENCE),
    "SimpleRNN": ("activation", "use_bias", *_SEQUENCE),
    "RNN": _SEQUENCE,
    "LSTMCell": ("activation", "recurrent_activation", "use_bias"),
    "GRUCell": ("activation", "recurrent_activation", "use_bias", "reset_after"),
    "SimpleRNNCell": ("activation", "use_bias"),
    "Bidirectional": ("merge_mode",),
    "MultiHeadAttention": ("num_heads", "key_dim", "value_dim", "use_bias", "attention_axes"),
    "Attention": ("use_scale", "score_mode", "causal"),
    "AdditiveAttention": ("use_scale", "causal"),
    "PReLU": ("shared_axes",),
    "Normalization": ("axis", "invert"),
}
_FAMILIES = (
    (re.compile(r"Conv[123]D"), _CONVOLUTION),
    (re.compile(r"Conv[123]DTranspose"), (*_CONVOLUTION, "output_padding")),
    (re.compile(r"(?:Depthwise|Separable)Conv[12]D"), (*_CONVOLUTION, "depth_multiplier")),
    (re.compile(r"LocallyConnected[12]D"), (*_CONVOLUTION, "implementation")),
    (re.compile(r"ConvLSTM[123]D"), (*_CONVOLUTION, "recurrent_activation", "return_sequences", "go_backwards")),
)
# What a layer does whose configuration does not mention it, because its Keras had nothing else.
_ABSENT = {
    "time_major": False,
    "go_backwards": False,
    "groups": 1,
    "dilation_rate": 1,
    "reset_after": False,
    "mask_zero": False,
    "invert": False,
    "score_mode": "dot",
    "causal": False,
}
CUDNN = {"activation": "tanh", "recurrent_activation": "sigmoid", "reset_after": True}
"""What cuDNN computes, and nothing else."""
_PER_AXIS = ("strides", "dilation_rate", "output_padding")
RECURRENT = re.compile(r"(?:CuDNN)?(?:LSTM|GRU)|SimpleRNN|(?:LSTM|GRU|SimpleRNN)Cell|ConvLSTM[123]D")


class Setting(NamedTuple):
    """The values that an argument may have (several where they compute the same), and the layer that has it."""

    values: FrozenSet[Any]
    layer: LayerData


def arguments_of(kind: str) -> tuple[str, ...]:
    """The arguments that decide what a layer of this class computes; none for a class that is not known."""
    kind = kind[len("CuDNN") :] if kind.startswith("CuDNN") else kind
    if kind in _ARGUMENTS:
        return _ARGUMENTS[kind]
    return next((arguments for family, arguments in _FAMILIES if family.fullmatch(kind)), ())


def settings_of(layer: LayerData) -> dict[str, Setting]:
    """The settings of a layer and of the wrappers around it, by argument; those that are not known are left out."""
    if layer.settings is None:
        layer.settings = _settings_of(layer)
    settings: dict[str, Setting] = layer.settings
    return settings


def _settings_of(layer: LayerData) -> dict[str, Setting]:
    found: dict[str, Setting] = {}
    current: LayerData | None = layer
    while current is not None and "layers" not in (current.config or {}):
        for argument in arguments_of(current.kind):
            values = _values(current, argument)
            if values and argument not in found:
                found[argument] = Setting(values, current)
        current = current.parent
        if current is not None and not _wraps(current):
            break
    return found


def _wraps(layer: LayerData) -> bool:
    return layer.kind in ("Bidirectional", "TimeDistributed", "RNN") or bool(RECURRENT.fullmatch(layer.kind))


def _values(layer: LayerData, argument: str) -> FrozenSet[Any]:
    if argument == "activation" and not RECURRENT.fullmatch(layer.kind):
        return layer.effective() or frozenset()
    if layer.kind.startswith("CuDNN") and argument in CUDNN:
        return frozenset((CUDNN[argument],))
    if argument in ("activation", "recurrent_activation"):
        own = layer.activation(argument)
        return frozenset() if own is None else frozenset((own,))
    if layer.config is None or (argument not in layer.config and argument not in _ABSENT):
        return frozenset()
    if argument == "go_backwards" and layer.parent is not None and layer.parent.kind == "Bidirectional":
        # Of a pair one goes backwards, and some files describe only the other.
        return frozenset()
    value = plain_value(layer.config.get(argument, _ABSENT.get(argument)))
    if argument in _PER_AXIS and isinstance(value, int):
        value = (value,) * spatial_axes(layer.kind)
    if argument == "axis" and isinstance(value, int):
        value = (value,)
    if argument == "padding" and isinstance(value, str):
        value = Padding(value.lower(), padding_before(layer))
    return frozenset((value,)) if _is_plain(value) else frozenset()


def _is_plain(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def family_of(kind: str) -> str:
    """Classes of one family compute the same with variables of the same shapes; empty for one that is not known."""
    kind = kind[len("CuDNN") :] if kind.startswith("CuDNN") else kind
    if re.fullmatch(r"Conv[123]DTranspose", kind):
        return "ConvTranspose"
    if re.fullmatch(r"(?:Depthwise|Separable)Conv[12]D", kind):
        return "DepthwiseConv"
    if re.fullmatch(r"Conv[123]D", kind):
        return "Conv"
    if re.fullmatch(r"(?:Sync)?(?:Batch|Layer|Group)Normalization", kind):
        return kind.replace("Sync", "")
    # A cell computes what its layer does in each step.
    return re.sub(r"Cell$", "", kind) if RECURRENT.fullmatch(kind) else ""
