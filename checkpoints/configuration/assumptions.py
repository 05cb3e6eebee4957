"""What is assumed of a kind of layer where neither the file nor its graph says it: one note for each kind."""

from __future__ import annotations

from typing import Any, Iterable, Mapping, Sequence

from ..plan import Row
from .defaults import assumed_by_layout
from .differences import close
from .networks import LayerData
from .settings import arguments_of, settings_of
from .wording import listed

# What these are decides shapes, or how layers are joined, and is no property of the weights.
_ELSEWHERE = {
    *("use_bias", "center", "scale", "reset_after", "groups", "depth_multiplier", "num_heads", "key_dim", "value_dim"),
    *(
        "equation",
        "implementation",
        "output_padding",
        "return_sequences",
        "time_major",
        "mask_zero",
        "use_scale",
        "shared_axes",
    ),
}
# What a layer does unless it is told otherwise, so that it goes without saying.
_PLAIN = {"go_backwards": False, "data_format": "channels_last", "causal": False, "invert": False}


def assumption(kind: str, layers: Sequence[LayerData], known: Mapping[int, Iterable[str]], rows: Sequence[Row]) -> str:
    """A note on what layers of one class have that was compared with nothing; empty if there is nothing.

    `known` gives for each layer, by `id`, the arguments that were compared; `rows` are those that lead to the layers.
    """
    usual = assumed_by_layout(rows)
    parts = []
    for argument in arguments_of(kind):
        unknown = [layer for layer in layers if argument not in known.get(id(layer), ())]
        if argument in _ELSEWHERE or not unknown:
            continue
        held: set[Any] = set()
        for layer in unknown:
            setting = settings_of(layer).get(argument)
            held |= setting.values if setting else set()
        if argument in _PLAIN:
            held.discard(_PLAIN[argument])
        if held and not _goes_without_saying(argument, held):
            parts.append(f"{argument} {listed(argument, held)}{_otherwise(argument, held, usual)}")
    if not parts:
        return ""
    count = f"{len(layers)} layers" if len(layers) > 1 else "1 layer"
    return f"{kind}, {count}: the file does not say, and the model's is taken: {', '.join(parts)}"


def _goes_without_saying(argument: str, held: set[Any]) -> bool:
    ones = all(isinstance(value, tuple) and set(value) <= {1} for value in held)
    return argument == "axis" or (argument == "dilation_rate" and ones)


def _otherwise(argument: str, held: Iterable[Any], usual: Mapping[str, Any]) -> str:
    """What TF 1 has by default, where the model has something else."""
    default = usual.get(argument)
    if default is None or any(value == default or close(argument, value, default) for value in held):
        return ""
    return f" (by default {listed(argument, [default])} in what wrote it)"
