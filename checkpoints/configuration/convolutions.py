"""Where a convolution looks: kernel, strides, dilation and padding, whichever layer or operation it is that pads."""

from __future__ import annotations

import re
from typing import Any, NamedTuple, Sequence, Tuple

from ..graphs.layers import Padding
from .networks import LayerData


class Geometry(NamedTuple):
    """What, with its padding, decides where a convolution looks: sizes of one entry for each spatial axis."""

    kernel: Tuple[int, ...]
    strides: Tuple[int, ...]
    dilation: Tuple[int, ...]


def plain_value(value: Any) -> Any:
    """A value of a configuration with tuples for lists, as they compare alike."""
    if isinstance(value, (list, tuple)):
        return tuple(plain_value(item) for item in value)
    if isinstance(value, dict) and value.get("class_name") in ("__tuple__", "TensorShape"):
        return plain_value(value.get("items"))
    return value


def spatial_axes(kind: str) -> int:
    """How many axes a layer of this class moves along: 2 for Conv2D."""
    match = re.search(r"([123])D", kind)
    return int(match.group(1)) if match else 1


def geometry_of(layer: LayerData) -> Geometry | None:
    """Kernel size, strides and dilation of a convolution; None if its configuration does not say them."""
    axes = spatial_axes(layer.kind)
    sizes = []
    for argument in ("kernel_size", "strides", "dilation_rate"):
        value = plain_value((layer.config or {}).get(argument, 1 if argument == "dilation_rate" else None))
        value = (value,) * axes if isinstance(value, int) else value
        if not isinstance(value, tuple) or len(value) != axes or not all(isinstance(size, int) for size in value):
            return None
        sizes.append(value)
    return Geometry(*sizes)


def padding_before(layer: LayerData) -> tuple[tuple[int, int], ...] | None:
    """What a ZeroPadding layer in front of a convolution adds to each axis: nothing without one, None if not known."""
    before = layer.outer().before
    if before is None:
        return None
    padding = [each for each in before if each.kind.startswith("ZeroPadding")]
    if not padding:
        return () if all(each.is_known() for each in before) else None
    axes = spatial_axes(padding[0].kind)
    value = plain_value((padding[0].config or {}).get("padding"))
    pairs = value if axes > 1 and isinstance(value, tuple) else (value,)
    found = []
    for pair in pairs:
        pair = (pair, pair) if isinstance(pair, int) else pair
        if not isinstance(pair, tuple) or len(pair) != 2 or not all(isinstance(size, int) for size in pair):
            return None
        found.append(pair)
    return tuple(found) if len(found) == axes and len(before) == 1 else None


def added_by(padding: Padding, geometry: Geometry, size: int, axis: int) -> tuple[int, int]:
    """Zeros before and after an axis of `size` elements, those of a pad operation in front of the layer included."""
    before = padding.before or ()
    first, last = before[axis] if len(before) > axis else (0, 0)
    size += first + last
    reach = (geometry.kernel[axis] - 1) * geometry.dilation[axis]
    if padding.kind == "causal":
        return first + reach, last
    if padding.kind != "same":
        return first, last
    stride = geometry.strides[axis]
    total = max((-(-size // stride) - 1) * stride + reach + 1 - size, 0)
    return first + total // 2, last + total - total // 2


def pads_alike(
    one: Padding, other: Padding, geometry: Geometry, sizes: Sequence[int | None] | None, transposed: bool
) -> bool:
    """Whether two paddings of the same convolution add the same zeros.

    `sizes` are those of the axes before any of it, where they are known; where not, it is enough that there are sizes
    for which the two agree, as nothing then shows that they differ. Nor does anything where a valid convolution comes
    behind what is not known, which may pad.
    """
    if one == other or any(each.before is None and each.kind == "valid" for each in (one, other)):
        return True
    if transposed:
        return all(size == 1 for size in geometry.kernel)
    for axis in range(len(geometry.kernel)):
        size = sizes[axis] if sizes is not None and len(sizes) > axis else None
        stride = geometry.strides[axis]
        tried = [size] if size is not None else [1000 * stride + rest for rest in range(min(stride, 64))]
        if not any(added_by(one, geometry, each, axis) == added_by(other, geometry, each, axis) for each in tried):
            return False
    return True


def unpadded_sizes(layer: LayerData) -> list[int | None] | None:
    """The sizes of the spatial axes in front of a convolution and of the layer that pads for it; None if not known."""
    if layer.input_sizes is None:
        return None
    first = (layer.config or {}).get("data_format") == "channels_first"
    sizes = layer.input_sizes[2:] if first else layer.input_sizes[1:-1]
    pads = padding_before(layer) or ()
    return [
        size if size is None or axis >= len(pads) else size - sum(pads[axis])
        for axis, size in enumerate(sizes[-spatial_axes(layer.kind) :])
    ]
