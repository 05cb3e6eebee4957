"""The layers of a Keras model as data, and how they follow each other: of a model, or of a model's configuration.

Source: `get_config` of the layers, and what `model.to_json` makes of them, in Keras 2.0 to 3.
"""

from __future__ import annotations

import re
from typing import Any, Iterator, Mapping

from . import activations

# Layers that hand their elements on, or the largest of them, when a model is used: an activation in front of one and
# an activation behind it are the same.
_TRANSPARENT = re.compile(
    r"Dropout|(?:Spatial|Gaussian|Alpha)Dropout\w*|GaussianNoise|ActivityRegularization|Reshape|Flatten|Permute|Identity"
    r"|(?:Global)?MaxPool(?:ing)?\dD|RepeatVector|Cropping\dD|Concatenate"
)
# Layers that compute with what they get as it is.
_NEXT = re.compile(
    r"Dense|EinsumDense|(?:Depthwise|Separable)?Conv(?:olution)?\dD(?:Transpose)?|LocallyConnected\dD|ConvLSTM\dD"
    r"|(?:Sync)?BatchNormalization|LayerNormalization|GroupNormalization|UnitNormalization|Add|Subtract|Average|Maximum"
    r"|Minimum|Dot|(?:Global)?Average(?:Pool(?:ing)?)\dD|GlobalAveragePooling\dD|(?:CuDNN)?(?:LSTM|GRU)"
    r"|SimpleRNN|RNN|Bidirectional|MultiHeadAttention|Attention|AdditiveAttention|UpSampling\dD"
)
_OF_ITS_OWN = re.compile(r"Activation|ReLU|LeakyReLU|ELU|Softmax|PReLU|ThresholdedReLU")
# Operations that stand among the layers: Keras 3's by class, those of TF 2 by function.
_OPERATIONS = {
    "Relu": "relu",
    "Relu6": "relu6",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "Softplus": "softplus",
    "Softsign": "softsign",
    "Silu": "silu",
    "Elu": "elu",
    "Selu": "selu",
    "LogSoftmax": "log_softmax",
    "nn.relu": "relu",
    "nn.relu6": "relu6",
    "nn.elu": "elu",
    "nn.selu": "selu",
    "math.sigmoid": "sigmoid",
    "math.tanh": "tanh",
    "math.softplus": "softplus",
    "nn.softsign": "softsign",
    "nn.silu": "silu",
    "nn.softmax": "softmax",
    "nn.log_softmax": "log_softmax",
}
_DEEPEST = 32


class LayerData:
    """A layer: its class, configuration, and the layers inside it by the attribute or name that they are under.

    `followers` are the layers that take its output and `before` those that it takes, None where that is not known;
    `ends` says that its output is one of the model's. `generation` says which Keras's words its configuration uses
    (2 or 3); `functions` are its activations, of a model's own layer. `rank` and `input_sizes` are those of its input.
    `settings` keeps what `settings_of` made of all this.
    """

    def __init__(self, kind: str, name: str, config: Mapping[str, Any] | None, generation: int) -> None:
        self.kind, self.name, self.config, self.generation = kind, name, config, generation
        self.inner: dict[str, LayerData] = {}
        self.followers: list[LayerData] | None = None
        self.before: list[LayerData] | None = None
        self.ends = False
        self.parent: LayerData | None = None
        self.functions: dict[str, Any] = {}
        self.rank: int | None = None
        self.input_sizes: tuple[int | None, ...] | None = None
        self.settings: Any = None

    def activation(self, argument: str = "activation") -> str | None:
        """What the argument `activation` or `recurrent_activation` of the layer computes; None if not known."""
        if argument in self.functions:
            return activations.of_function(self.functions[argument], self.generation)
        if self.config is None or argument not in self.config:
            return None
        return activations.named(self.config[argument], self.generation)

    def effective(self) -> frozenset[str] | None:
        """The activations that the layer's output goes through, here or in layers behind it; None if not known."""
        own = self.activation()
        if own != activations.LINEAR:
            return None if own is None else frozenset((own,))
        found: set[str] = set()
        pending = [self.outer()]
        seen = {id(pending[0])}
        while pending:
            layer = pending.pop()
            followers = layer.behind()
            if followers is None:
                return None
            if not followers or layer.is_output():
                found.add(activations.LINEAR)
            for follower in followers:
                if id(follower) in seen:
                    continue
                seen.add(id(follower))
                inside = follower.unwrapped()
                if _TRANSPARENT.fullmatch(inside.kind):
                    pending.append(follower)
                    continue
                applied = inside.applies()
                if applied is None:
                    return None
                found.add(applied)
        return frozenset(found)

    def applies(self) -> str | None:
        """The activation that the layer applies to what it gets, "linear" if it computes otherwise; None if unknown."""
        if _OF_ITS_OWN.fullmatch(self.kind):
            if "activation" in self.functions:
                return self.activation()
            return activations.of_layer(self.kind, self.config or {}, self.generation)
        called = (self.config or {}).get("function") if self.kind == "TFOpLambda" else self.kind
        if isinstance(called, str) and called in _OPERATIONS:
            return _OPERATIONS[called]
        return activations.LINEAR if _NEXT.fullmatch(self.kind) else None

    def is_known(self) -> bool:
        """Whether this is one of Keras's own layers, of which it is known that they do not pad."""
        kind = self.unwrapped().kind
        known = (_TRANSPARENT, _OF_ITS_OWN, _NEXT, re.compile("InputLayer|Embedding|Masking|Rescaling|Normalization"))
        return any(kinds.fullmatch(kind) for kinds in known)

    def outer(self) -> LayerData:
        """The wrapper that applies the layer to every step, if it is in one; else the layer."""
        layer = self
        while layer.parent is not None and layer.parent.kind == "TimeDistributed":
            layer = layer.parent
        return layer

    def behind(self) -> list[LayerData] | None:
        """The layers that follow this one in its model, and behind the end of that in the model around it."""
        found: list[LayerData] = []
        layer = self
        for _ in range(_DEEPEST):
            if layer.followers is None:
                return None
            found += layer.followers
            if not layer.ends or layer.parent is None or layer.parent.followers is None:
                break
            layer = layer.parent
        return found

    def is_output(self) -> bool:
        """Whether the layer's output is one of the outermost model's."""
        layer = self
        for _ in range(_DEEPEST):
            if not layer.ends:
                return False
            if layer.parent is None or layer.parent.followers is None:
                break
            layer = layer.parent
        return True

    def unwrapped(self) -> LayerData:
        """The layer inside of wrappers that apply it to every step."""
        layer = self
        for _ in range(_DEEPEST):
            if layer.kind != "TimeDistributed" or "layer" not in layer.inner:
                break
            layer = layer.inner["layer"]
        return layer

    def add(self, key: str, inner: LayerData) -> None:
        """Puts `inner` into this layer."""
        inner.parent = self
        self.inner[key] = inner

    def walk(self) -> Iterator[LayerData]:
        """This layer and all inside it."""
        pending = [self]
        while pending:
            layer = pending.pop()
            yield layer
            pending += layer.inner.values()


def plain_kind(name: Any) -> str:
    """A class's name without the package it was registered in, and without the version of early releases of TF 2."""
    return re.sub(r"(?<=[a-z])V[12]$", "", str(name).rpartition(">")[2])


def from_configuration(data: Any, generation: int, depth: int = 0) -> LayerData | None:
    """The layer that a dictionary of `class_name` and `config` describes; None if it is none."""
    if not isinstance(data, Mapping) or depth > _DEEPEST:
        return None
    config = data.get("config")
    if isinstance(config, list):
        # Sequential models, before Keras 2.2.3.
        config = {"layers": config}
    if not isinstance(config, Mapping) or not isinstance(data.get("class_name"), str):
        return None
    name = config.get("name", data.get("name"))
    layer = LayerData(plain_kind(data["class_name"]), name if isinstance(name, str) else "", config, generation)
    for key in ("layer", "forward_layer", "backward_layer", "cell"):
        inner = from_configuration(config.get(key), generation, depth + 1)
        if inner is not None:
            layer.add(key, inner)
    if isinstance(config.get("layers"), list):
        _add_layers(layer, config["layers"], generation, depth)
    return layer


def _add_layers(model: LayerData, listed: list[Any], generation: int, depth: int) -> None:
    """Puts the layers of a model's configuration into it, and says which follows which."""
    layers = []
    for data in listed:
        inner = from_configuration(data, generation, depth + 1)
        if inner is not None:
            layers.append((inner, data.get("inbound_nodes")))
            model.add(inner.name or f"layer {len(layers)}", inner)
    if all(nodes is None for _, nodes in layers):
        connect_in_order([layer for layer, _ in layers])
        return
    for layer, _ in layers:
        layer.followers, layer.before = [], []
    for layer, nodes in layers:
        for source in _sources(nodes):
            if source in model.inner:
                connect(model.inner[source], layer)
    ends = set(_sources((model.config or {}).get("output_layers")))
    for layer, _ in layers:
        layer.ends = layer.name in ends or not layer.followers


def _sources(nodes: Any) -> list[str]:
    """The names of the layers that `inbound_nodes` or `output_layers` of any generation of Keras refer to."""
    found = []
    pending, steps = [nodes], 0
    while pending and steps < 100_000:
        item = pending.pop()
        steps += 1
        if isinstance(item, Mapping):
            pending += item.values()
        elif isinstance(item, list):
            if len(item) >= 3 and isinstance(item[0], str) and all(type(number) is int for number in item[1:3]):
                found.append(item[0])
                pending += item[3:]
            else:
                pending += item
    return found


def connect_in_order(layers: list[LayerData]) -> None:
    """Each layer takes what the one before it yields."""
    for place, layer in enumerate(layers):
        layer.followers, layer.before = layers[place + 1 : place + 2], layers[max(0, place - 1) : place]
        layer.ends = place == len(layers) - 1


def connect(source: LayerData, target: LayerData) -> None:
    """`target` takes what `source` yields."""
    if source.followers is not None and target not in source.followers:
        source.followers.append(target)
    if target.before is not None and source not in target.before:
        target.before.append(source)
