"""Random Keras models made of layers that could change places, from a seed, in whatever Keras is handed in.

A model is drawn as plain data (`draw`), so that any two releases of Keras can build the same one (`build`): with names
in another style, and with its layers made in another order. Every layer keeps the shape of what it gets, so layers of a
kind have variables of equal shapes; `scramble` gives each of them other values, and a swap shows in what is computed.
Imports no Keras, and runs with every release from Keras 2.0 on.
"""

import numpy as np

LENGTH, WIDTH, WORDS = 5, 4, 9
INPUTS = {"sequence": (LENGTH, WIDTH), "image": (6, 6, WIDTH), "ids": (LENGTH,)}
# The class, its arguments, and those that do not show in the shape of any variable: the first value is the usual one.
KINDS = {
    "dense": ("Dense", {"units": WIDTH}, {"activation": ["tanh", "relu", "sigmoid", "linear"]}),
    "conv1d": (
        "Conv1D",
        {"filters": WIDTH, "kernel_size": 3},
        {"padding": ["same", "causal"], "activation": ["tanh", "relu"], "dilation_rate": [1, 2]},
    ),
    "conv2d": (
        "Conv2D",
        {"filters": WIDTH, "kernel_size": 3, "padding": "same"},
        {"activation": ["tanh", "relu"], "dilation_rate": [1, 2]},
    ),
    "conv2d_transpose": (
        "Conv2DTranspose",
        {"filters": WIDTH, "kernel_size": 3, "padding": "same"},
        {"activation": ["tanh", "sigmoid"]},
    ),
    "separable_conv2d": (
        "SeparableConv2D",
        {"filters": WIDTH, "kernel_size": 3, "padding": "same"},
        {"activation": ["tanh", "relu"]},
    ),
    "lstm": (
        "LSTM",
        {"units": WIDTH, "return_sequences": True, "unroll": True},
        {
            "recurrent_activation": ["sigmoid", "hard_sigmoid"],
            "activation": ["tanh", "relu"],
            "go_backwards": [False, True],
        },
    ),
    "gru": (
        "GRU",
        {"units": WIDTH, "return_sequences": True, "unroll": True, "reset_after": False},
        {"recurrent_activation": ["sigmoid", "hard_sigmoid"], "activation": ["tanh", "relu"]},
    ),
    "gru_after": (
        "GRU",
        {"units": WIDTH, "return_sequences": True, "unroll": True, "reset_after": True},
        {"recurrent_activation": ["sigmoid", "hard_sigmoid"]},
    ),
    "simple_rnn": (
        "SimpleRNN",
        {"units": WIDTH, "return_sequences": True, "unroll": True},
        {"activation": ["tanh", "relu"]},
    ),
    "batch_normalization": ("BatchNormalization", {}, {"epsilon": [1e-3, 1e-5, 0.1]}),
    "layer_normalization": ("LayerNormalization", {}, {"epsilon": [1e-3, 1e-6, 0.1]}),
    "multi_head_attention": ("MultiHeadAttention", {"num_heads": 2, "key_dim": 2}, {}),
    "p_re_lu": ("PReLU", {}, {}),
    "dropout": ("Dropout", {"rate": 0.5}, {}),
    "embedding": ("Embedding", {"input_dim": WORDS, "output_dim": WIDTH}, {}),
}
SEQUENCE = [
    "dense",
    "conv1d",
    "lstm",
    "gru",
    "gru_after",
    "simple_rnn",
    "batch_normalization",
    "layer_normalization",
    "multi_head_attention",
    "p_re_lu",
    "dropout",
]
IMAGE = ["conv2d", "conv2d_transpose", "separable_conv2d", "batch_normalization", "dense", "dropout"]
RECURRENT = ["lstm", "gru", "gru_after", "simple_rnn"]
MERGES = ["concat", "sum", "mul", "ave", "none"]

STYLES = ("default", "default", "shifted", "from0", "from1", "from1", "from8", "series", "letters", "words", "mixed")
ORDERS = ("flow", "flow", "flow", "reversed", "shuffled")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def pick(random, choices):
    return choices[random.randint(len(choices))]


def draw(seed, available=tuple(KINDS), deepest=12):
    """A model as data: {"shape": "sequence", "top": "functional", "items": [{"kind": "dense"}, ...]}."""
    random = np.random.RandomState(seed)
    shape = pick(random, ["sequence", "sequence", "sequence", "sequence", "ids", "image"])
    kinds = [kind for kind in (IMAGE if shape == "image" else SEQUENCE) if kind in available]
    # Few kinds, so that many layers of a model could change places.
    palette = [pick(random, kinds) for _ in range(1 + random.randint(3))]
    if all(kind == "dropout" for kind in palette):
        palette.append("dense")
    top = pick(random, ["functional", "functional", "functional", "sequential", "subclassed"])
    depth = 2 + random.randint(deepest - 1)
    wrapped = 0.6 * random.rand() if random.rand() < 0.7 else 0.0
    single = top != "functional"
    items = [_draw_item(random, palette, shape, wrapped, single) for _ in range(depth)]
    if shape == "ids":
        items.insert(0, {"kind": "embedding"} if single else {"kind": "embeddings", "count": 1 + random.randint(3)})
    return {"shape": shape, "top": top, "items": items}


def _draw_item(random, palette, shape, wrapped, single):
    """One layer, or several in one; `single` leaves out what is no single layer."""
    plain = {"kind": pick(random, palette)}
    if random.rand() >= wrapped:
        return plain
    recurrent = [kind for kind in palette if kind in RECURRENT] or [pick(random, RECURRENT[:1] + RECURRENT[3:])]
    ways = ["block", "block"]
    if shape != "image":
        ways += ["time", "time", "bidirectional", "bidirectional", "stack"]
    if not single:
        ways += ["shared", "branches"]
    way = pick(random, ways)
    if way == "time":
        inner = {"kind": "dense"} if random.rand() < 0.7 else _draw_block(random, ["dense"])
        return {"kind": "time", "inner": inner}
    if way == "bidirectional":
        merges = MERGES[:4] if single else MERGES
        return {"kind": "bidirectional", "inner": {"kind": pick(random, recurrent)}, "merge": pick(random, merges)}
    if way == "stack":
        cells = [pick(random, recurrent) for _ in range(2 + random.randint(2))]
        return {"kind": "stack", "cells": cells if random.rand() < 0.3 else cells[:1] * len(cells)}
    if way == "block":
        return _draw_block(random, palette)
    if way == "shared":
        return {"kind": "shared", "inner": plain}
    count = 2 + random.randint(2)
    depth = 1 + random.randint(3)
    chains = [[{"kind": pick(random, palette)} for _ in range(depth)] for _ in range(count)]
    return {"kind": "branches", "chains": chains if random.rand() < 0.3 else chains[:1] * count}


def _draw_block(random, palette):
    items = [{"kind": pick(random, palette)} for _ in range(2 + random.randint(2))]
    return {"kind": "block", "top": pick(random, ["sequential", "functional", "subclassed", "cell"]), "items": items}


def available(keras):
    """The kinds of layers that this Keras has."""
    kinds = [kind for kind, (name, _, _) in KINDS.items() if hasattr(keras.layers, name)]
    return tuple(kind for kind in kinds if kind != "gru_after" or _has_reset_after(keras))


def _has_reset_after(keras):
    """Whether the GRU of this Keras has the argument: from 2.1 on."""
    return "reset_after" in keras.layers.GRU.__init__.__code__.co_varnames


def kinds_of(item):
    """The kinds of layers in a model, an item, or a list of them."""
    if isinstance(item, dict):
        own = [item["kind"]] if "kind" in item else []
        return set(own + item.get("cells", [])).union(*[kinds_of(value) for value in item.values()])
    return set().union(*map(kinds_of, item)) if isinstance(item, list) else set()


class Names:
    """Names for layers in one style: `None` where Keras is to choose."""

    def __init__(self, style, random):
        self.style = style
        self._random = random
        self._count = {}
        self._shift = [random.randint(4) for _ in range(7)]
        # No word says anything of order, and none comes twice.
        self._words = ["".join(_LETTERS[letter] for letter in random.randint(0, 26, 6)) for _ in range(200)]

    def shift(self, keras):
        """Has Keras count some layers of every kind that are in no model."""
        if self.style != "shifted":
            return
        layers = keras.layers
        for _ in range(1 + self._shift[0]):
            layers.Dense(1), layers.LSTM(1), layers.BatchNormalization(), layers.Conv1D(1, 1)
        for _ in range(self._shift[1]):
            layers.TimeDistributed(layers.Dense(1)), layers.Bidirectional(layers.LSTM(1)), layers.GRU(1)
        for _ in range(self._shift[2]):
            keras.models.Sequential(), layers.SimpleRNN(1), layers.Conv2D(1, 1), layers.Embedding(2, 1)

    def take(self, kind):
        """The arguments that name the next layer of a kind."""
        style = self.style
        if style == "mixed":
            style = pick(self._random, ["default", "words"])
        if style in ("default", "shifted"):
            return {}
        stem = "layer" if style == "series" else kind
        number = self._count.get(stem, 0)
        self._count[stem] = number + 1
        if style == "words":
            return {"name": self._words.pop()}
        if style == "letters":
            return {"name": stem + "_" + _LETTERS[number]}
        number += {"from0": 0, "series": 0, "from1": 1, "from8": 8}[style]
        return {"name": f"{stem}_{number}" if number or style == "series" else stem}


def build(keras, model, names, order="flow", random=None):
    """The model that `model` describes.

    `order` says in which order the layers at the top are made: that of the data's "flow", "reversed" or "shuffled".
    """
    names.shift(keras)
    maker = _Maker(keras, names, INPUTS["image" if model["shape"] == "image" else "sequence"])
    items = model["items"]
    places = list(range(len(items)))
    if order == "reversed":
        places.reverse()
    elif order == "shuffled":
        random.shuffle(places)
    made = {place: maker.make(items[place]) for place in places}
    parts = [made[place] for place in range(len(items))]
    shape, dtype = INPUTS[model["shape"]], "int32" if model["shape"] == "ids" else "float32"
    return maker.join(model["top"], parts, shape, dtype, {})


class _Maker:
    def __init__(self, keras, names, shape):
        self._keras = keras
        self._layers = keras.layers
        self._names = names
        self._shape = shape

    def make(self, item):
        """What takes a tensor to a tensor: a layer, or a function that has some."""
        kind = item["kind"]
        special = getattr(self, "_" + kind, None)
        return special(item) if special else self._simple(item)

    def _simple(self, item, **more):
        kind = item["kind"]
        name, fixed, usual = KINDS[kind]
        options = dict(fixed, **{key: values[0] for key, values in usual.items()})
        options.update(item.get("options", {}), **more)
        if kind == "gru" and not _has_reset_after(self._keras):
            del options["reset_after"]
        if "name" not in options:
            options.update(self._names.take(kind if kind != "gru_after" else "gru"))
        layer = getattr(self._layers, name)(**options)
        return _Attend(layer) if kind == "multi_head_attention" else layer

    def _time(self, item):
        inner = self.make(item["inner"]) if item["inner"]["kind"] != "block" else self._block(item["inner"], (WIDTH,))
        return self._layers.TimeDistributed(inner, **self._names.take("time_distributed"))

    def _bidirectional(self, item):
        merge = None if item["merge"] == "none" else item["merge"]
        units = WIDTH if merge in ("sum", "mul", "ave") else WIDTH // 2
        inner = self._simple(item["inner"], units=units)
        layer = self._layers.Bidirectional(inner, merge_mode=merge, **self._names.take("bidirectional"))
        return layer if merge else lambda x: self._layers.Concatenate()(layer(x))

    def _stack(self, item):
        cells = []
        for kind in item["cells"]:
            name, fixed, usual = KINDS[kind]
            options = {key: values[0] for key, values in usual.items() if key != "go_backwards"}
            options.update({key: fixed[key] for key in ("units", "reset_after") if key in fixed})
            cells.append(getattr(self._layers, name + "Cell")(**options))
        return self._layers.RNN(self._layers.StackedRNNCells(cells), return_sequences=True, **self._names.take("rnn"))

    def _block(self, item, shape=None):
        parts = [self.make(inner) for inner in item["items"]]
        return self.join(item["top"], parts, shape or self._shape, "float32", self._names.take("block"))

    def _shared(self, item):
        layer = self.make(item["inner"])
        return lambda x: layer(self._layers.Activation("sigmoid")(layer(x)))

    def _branches(self, item):
        chains = [[self.make(inner) for inner in chain] for chain in item["chains"]]
        last = self._simple({"kind": "dense"})
        return lambda x: last(self._layers.Concatenate()([_flow(chain, x) for chain in chains]))

    def _embeddings(self, item):
        layers = [self._simple({"kind": "embedding"}) for _ in range(item["count"])]
        last = self._simple({"kind": "dense"})
        if len(layers) == 1:
            return lambda x: last(layers[0](x))
        return lambda x: last(self._layers.Concatenate()([layer(x) for layer in layers]))

    def join(self, top, parts, shape, dtype, name):
        """One model, or layer of the user's own, of parts that follow each other."""
        keras = self._keras
        if top == "sequential" and not any(isinstance(part, _Attend) for part in parts):
            model = keras.models.Sequential(**name)
            model.add(self._layers.InputLayer(shape, dtype=dtype))
            for part in parts:
                model.add(part)
            return model
        if top in ("sequential", "functional"):
            inputs = self._layers.Input(shape, dtype=dtype)
            return keras.models.Model(inputs, _flow(parts, inputs), **name)
        return _subclass(keras.models.Model, parts, top == "cell", name)


def _flow(parts, x):
    for part in parts:
        x = part(x)
    return x


class _Attend:
    """Self-attention as a function of one tensor."""

    def __init__(self, layer):
        self.layer = layer

    def __call__(self, x):
        return self.layer(x, x)


def _subclass(base, parts, attributes, name):
    """A model of a class of its own, with its layers in a list or in `attributes` whose order is not the data's."""

    class Own(base):
        def __init__(self):
            super().__init__(**name)
            layers = [part.layer if isinstance(part, _Attend) else part for part in parts]
            if attributes:
                for attribute, layer in zip(["third", "cell", "first", "body", "last"], layers):
                    setattr(self, attribute, layer)
            else:
                self.parts = layers

        def call(self, x):
            return _flow(parts, x)

        def compute_output_shape(self, shape):
            return shape

    return Own()


def scramble(keras, model, seed):
    """Gives every weight of `model` values of its own, of a size that keeps what is computed apart."""
    random = np.random.RandomState(seed)
    pairs = []
    for weight in model.weights:
        shape, name = tuple(int(extent) for extent in weight.shape), str(weight.name)
        value = random.standard_normal(shape)
        if "variance" in name:
            value = 0.5 + np.abs(value)
        elif len(shape) > 1:
            value = value / np.sqrt(np.prod(shape[:-1]))
        elif "gamma" in name:
            value = 1 + 0.3 * value
        pairs.append((weight, value.astype("f4")))
    if hasattr(keras, "ops"):
        for weight, value in pairs:
            weight.assign(value)
    else:
        keras.backend.batch_set_value(pairs)
