"""Where Keras 3 (and Keras 2 from TF 2.12 on) puts each variable of a model in a `.weights.h5` or `.keras` file.

Names there say nothing of the model's own: `layers/dense_1/vars/0` is the first variable of the second layer that is a
Dense, whatever the layers are called. Keras finds them by walking the model in the order in which it saved it; so does
this, without importing Keras.

Source: `keras/src/saving/saving_lib.py`, `_save_state`, `_walk_saveable`, `_save_container_state`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Iterable, Iterator, Mapping

from .layer_order import LayerOrder
from .numbering import is_number

if TYPE_CHECKING:
    from .checkpoint import TensorInfo

# The two generations split words alike but for digits: ConvLSTM2D is conv_lstm2d in Keras 3, conv_lst_m2d in Keras 2.
_WORDS = (r"(.)([A-Z][a-z]+)", r"(.)([A-Z][a-z0-9]+)")
# Attributes in which Keras keeps layers for itself, under names that are not those in the file.
_OWN = re.compile(
    r"_(_|self_|layers|operations|flat|undeduplicated|functional|metrics|optimizer|loss|tracker|inbound).*"
)


_EARLY = "_layer_checkpoint_dependencies"


class Variables(dict):  # type: ignore[type-arg]
    """The variables of `models` by name, as `model_variables` gives them, with their `places` in Keras's own files.

    `places` holds a dictionary for each way of naming, from the name in the file to the variable's name here. It is
    empty for several models, as a file holds one. `excluded` says by its path what is no variable, and why. `order` is
    what the models say of the order of their layers.
    """

    places: tuple[dict[str, str], ...] = ()
    order: LayerOrder = LayerOrder()
    models: Mapping[str, Any] = {}

    def __init__(self) -> None:
        super().__init__()
        self.excluded: dict[str, str] = {}


def find_places(model: Any, names: Mapping[int, str]) -> tuple[dict[str, str], ...]:
    """The ways in which files may name the variables of `model`; `names` gives their names here, by `id`."""
    found: list[dict[str, str]] = []
    for words in _WORDS:
        places = {path: names[id(weight)] for path, weight in _walk(model, "", words, set()) if id(weight) in names}
        if places and places not in found:
            found.append(places)
    return tuple(found)


def fitting(places: tuple[dict[str, str], ...], sources: Mapping[str, TensorInfo], targets: Mapping[str, Any]) -> Any:
    """Those of `places` that account for every one of `sources` and `targets`, shapes included; {} if none does.

    All or nothing: a file of another model may happen to have some layers at the same places.
    """
    plain = {_plain(path): name for name, path in _as_layers(sources).items()}
    for ways in places:
        pairs = {plain[path]: name for path, name in ways.items() if path in plain and name in targets}
        if len(pairs) == len(sources) == len(targets) and all(
            sources[source].shape == targets[name].shape for source, name in pairs.items()
        ):
            return pairs
    return {}


def _as_layers(names: Iterable[str]) -> dict[str, str]:
    """`names` of TF 2.12 to 2.14 as later releases would have them; others as they are.

    They have the layers of a model under another name, and 2.12 counts every layer with variables twice: its third
    Dense is `dense_4`. So it is the order of the numbers that says which layer of its class one is.
    """
    numbers: dict[tuple[str, str], set[int]] = {}
    for name in names:
        for above, word, number in _early_layers(name):
            numbers.setdefault((above, word), set()).add(number)
    found = {}
    for name in names:
        parts = name.split("/")
        for above, word, number in _early_layers(name):
            rank = sorted(numbers[above, word]).index(number)
            place = above.count("/") + 1
            parts[place - 1 : place + 1] = ["layers", f"{word}_{rank}" if rank else word]
        found[name] = "/".join(parts)
    return found


def _early_layers(name: str) -> Iterator[tuple[str, str, int]]:
    """(path to the layers, class, number) of each layer on the path `name` that is named as TF 2.12 to 2.14 do."""
    parts = name.split("/")
    for place, part in enumerate(parts[:-1]):
        if part == _EARLY:
            word, _, number = parts[place + 1].rpartition("_")
            numbered = bool(word) and is_number(number)
            yield "/".join(parts[: place + 1]), word if numbered else parts[place + 1], int(number) if numbered else 0


def _plain(path: str) -> str:
    """`path` without the underscores of private attributes, which one generation stores and the other does not."""
    return "/".join(part.lstrip("_") for part in path.split("/"))


def _walk(layer: Any, path: str, words: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """(name in the file, variable) of `layer` and of all inside it, each layer where it is met first."""
    seen.add(id(layer))
    for number, weight in enumerate(_own_variables(layer)):
        yield _plain(f"{path}vars/{number}"), weight
    for attribute, value in _children(layer):
        if _is_layer(value):
            if id(value) not in seen:
                yield from _walk(value, f"{path}{attribute}/", words, seen)
        elif isinstance(value, (list, tuple, dict)):
            used: dict[str, int] = {}
            for inner in value.values() if isinstance(value, dict) else value:
                if _is_layer(inner) and id(inner) not in seen:
                    name = _snake(type(inner).__name__, words)
                    used[name] = used.get(name, -1) + 1
                    name = f"{name}_{used[name]}" if used[name] else name
                    yield from _walk(inner, f"{path}{attribute}/{name}/", words, seen)


def _own_variables(layer: Any) -> list[Any]:
    """The layer's variables without those of layers inside, trainable ones first, as it counts them itself."""
    if hasattr(layer, "_trainable_variables"):
        return [*layer._trainable_variables, *layer._non_trainable_variables]
    return [*getattr(layer, "_trainable_weights", ()), *getattr(layer, "_non_trainable_weights", ())]


def _children(layer: Any) -> Iterator[tuple[str, Any]]:
    """(attribute, value): first the layers of a Functional or Sequential model, then everything else by name."""
    kinds = {parent.__name__ for parent in type(layer).__mro__}
    if kinds & {"Functional", "Sequential", "Network"} and isinstance(getattr(layer, "layers", None), (list, tuple)):
        yield "layers", layer.layers
    for attribute in sorted(vars(layer)):
        if not _OWN.fullmatch(attribute):
            yield attribute, vars(layer)[attribute]


def _is_layer(value: Any) -> bool:
    return hasattr(value, "weights") and hasattr(value, "call") and hasattr(value, "name")


def _snake(name: str, words: str) -> str:
    """A class's name as files spell it, without the version that early releases of TF 2 append."""
    name = re.sub(words, r"\1_\2", re.sub(r"(?<=[a-z])V\d$", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
