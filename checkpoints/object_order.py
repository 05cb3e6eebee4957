"""Where Keras lists the variables of an object-based checkpoint, from the graph of objects that is stored in it.

Source: `tensorflow/core/protobuf/trackable_object_graph.proto`. Functional and Sequential models number their layers:
`layer-0` in Keras 2, a list `_operations` in Keras 3.
"""

from __future__ import annotations

import re
from typing import Dict, NamedTuple

from .layer_order import Place
from .wire import WireError, fields, message, text

_LAYER = re.compile(r"layer-([0-9]{1,9})")
_NUMBER = re.compile(r"[0-9]{1,9}")
# What has the layers or their variables once more, or none of them.
_LATER = re.compile(
    r"(?:_all_|trainable_|non_trainable_)?variables|keras_api|_tracked|optimizer|layer_with_weights-[0-9]+"
)


class _Object(NamedTuple):
    children: list[tuple[str, int]]
    keys: list[str]

    def layers(self, objects: list[_Object]) -> list[int]:
        """The layers of a connected model, or the cells of a stack, in their order; none of other objects."""
        own = dict(self.children)
        # A Sequential model of Keras 3 keeps its layers in a Functional one.
        inner = own.get("_functional", len(objects))
        lists = dict(objects[inner].children) if inner < len(objects) else own
        listed = lists.get("_operations", own.get("cells", len(objects)))
        numbered = [(match.group(1), own[name]) for name in own for match in [_LAYER.fullmatch(name)] if match]
        if not numbered and listed < len(objects):
            numbered = [(name, child) for name, child in objects[listed].children if _NUMBER.fullmatch(name)]
        return [child for _, child in sorted((int(number), child) for number, child in numbered)]


def object_places(graph: memoryview) -> Dict[str, Place]:
    """The place of every tensor in the object graph, by key. Raises WireError if it is none."""
    objects = [_parse(message(value)) for key, value in fields(graph) if key == 1]
    found: Dict[str, Place] = {}
    pending = [(0, Place("", ()))] if objects else []
    later: list[tuple[int, Place]] = []
    seen: set[int] = set()
    while pending or later:
        number, place = pending.pop() if pending else later.pop()
        if number in seen or number >= len(objects):
            continue
        seen.add(number)
        found.update((key, place._replace(own=len(found))) for key in objects[number].keys)
        layers = objects[number].layers(objects)
        children = [(child, place.inside(rank, connected=True)) for rank, child in enumerate(layers)]
        for rank, (name, child) in enumerate(objects[number].children if not layers else ()):
            part = (child, place.inside(rank, connected=False))
            (later if _LATER.fullmatch(name) else children).append(part)
        pending += reversed(children)
    return found


def _parse(data: memoryview) -> _Object:
    children = []
    keys = []
    for key, value in fields(data):
        parts = dict(fields(message(value))) if key in (1, 2) else {}
        if key == 1 and 2 in parts:
            number = parts.get(1, 0)
            if not isinstance(number, int):
                raise WireError("a message stands where a number should")
            children.append((text(parts[2]), number))
        elif key == 2 and 3 in parts:
            keys.append(text(parts[3]))
    return _Object(children, keys)
