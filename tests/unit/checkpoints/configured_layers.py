"""Layers of Keras for the scopes of data/configured: as TF 1 computed them, and what is wrong with each otherwise."""

from __future__ import annotations

import warnings


def leaky(slope):
    """A function that is in no Keras under a name."""
    import numpy as np

    def activation(x):
        return x * np.float32(slope) + (1 - slope) * _relu(x)

    return activation


def _relu(x):
    return (x + abs(x)) / 2


def hard_sigmoid(x):
    """What Keras 2 calls hard_sigmoid, in any Keras."""
    return (abs(0.2 * x + 0.5) - abs(0.2 * x - 0.5) + 1) / 2


class Case:
    """One scope: its input, the class of the layer and its arguments, and by argument values that are wrong.

    `before` and `behind` make layers around it.
    """

    def __init__(self, given, kind, arguments, wrong, before=(), behind=(), wraps=None):
        self.given, self.kind, self.arguments, self.wrong = given, kind, arguments, wrong
        self.before, self.behind, self.wraps = before, behind, wraps

    def model(self, keras, shape, **changes):
        """A model of that layer, with `changes` to its arguments."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            layers = keras.layers
            x = inputs = keras.Input(shape)
            for make in self.before:
                x = make(layers)(x)
            layer = getattr(layers, self.kind)(**{**self.arguments, **changes})
            x = (getattr(layers, self.wraps)(layer) if self.wraps else layer)(x)
            for make in self.behind:
                x = make(layers)(x)
            return keras.Model(inputs, x)


SEQUENCES = {"units": 2, "return_sequences": True}
TF1_CELL = {**SEQUENCES, "recurrent_activation": "sigmoid"}
TF1_GRU = {**TF1_CELL, "reset_after": False}

CASES = {
    "dense": Case("flat", "Dense", {"units": 3, "activation": "elu"}, {"activation": "linear"}),
    "dense3": Case("sequence", "Dense", {"units": 3, "activation": leaky(0.2)}, {"activation": leaky(0.1)}),
    "logits": Case("flat", "Dense", {"units": 3, "activation": "softmax"}, {"activation": "sigmoid"}),
    "conv1": Case(
        "sequence",
        "Conv1D",
        {"filters": 3, "kernel_size": 2, "strides": 2, "padding": "same", "activation": "tanh"},
        {"strides": 1, "padding": "valid", "activation": "sigmoid"},
    ),
    "conv2": Case(
        "image",
        "Conv2D",
        {"filters": 3, "kernel_size": 3, "strides": (2, 1), "padding": "same", "activation": "relu"},
        {"strides": (1, 2), "padding": "valid", "activation": "linear"},
    ),
    "dilated": Case(
        "image",
        "Conv2D",
        {"filters": 3, "kernel_size": 3, "dilation_rate": 2, "padding": "same"},
        {"dilation_rate": 1, "padding": "valid", "activation": "relu"},
    ),
    "conv3": Case(
        "volume",
        "Conv3D",
        {"filters": 2, "kernel_size": 2, "strides": (2, 2, 2), "activation": "sigmoid"},
        {"strides": (1, 2, 2), "activation": "hard_sigmoid", "padding": "same"},
    ),
    "transposed": Case(
        "image",
        "Conv2DTranspose",
        {"filters": 3, "kernel_size": 3, "strides": 2, "padding": "same"},
        {"strides": 1, "padding": "valid", "activation": "relu"},
    ),
    "separable": Case(
        "image",
        "SeparableConv2D",
        {"filters": 3, "kernel_size": 2, "strides": 2, "activation": lambda x: _relu(x) - _relu(x - 6)},
        {"strides": 1, "padding": "same", "activation": "relu"},
    ),
    "raw": Case(
        "image",
        "Conv2D",
        {"filters": 3, "kernel_size": 3, "strides": 2, "activation": leaky(0.1)},
        {"strides": 1, "padding": "same", "activation": "relu"},
        before=[lambda layers: layers.ZeroPadding2D(1)],
    ),
    "pooled": Case(
        "image",
        "Conv2D",
        {"filters": 3, "kernel_size": 3, "padding": "same"},
        {"strides": 2, "padding": "valid", "dilation_rate": 2},
        behind=[lambda layers: layers.MaxPooling2D(2), lambda layers: layers.ReLU()],
    ),
    "depthwise": Case(
        "image",
        "DepthwiseConv2D",
        {"kernel_size": 2, "strides": 2, "padding": "same", "depth_multiplier": 2, "use_bias": False},
        {"strides": 1, "padding": "valid", "activation": "tanh"},
    ),
    "slim": Case(
        "image",
        "Conv2D",
        {"filters": 3, "kernel_size": 3, "strides": 2, "padding": "same", "activation": "selu"},
        {"strides": 1, "padding": "valid", "activation": "elu"},
    ),
    "fused": Case(
        "image",
        "BatchNormalization",
        {"epsilon": 1e-4, "momentum": 0.9},
        {"epsilon": 1e-3, "momentum": 0.99},
    ),
    "written": Case("flat", "BatchNormalization", {"epsilon": 0.02}, {"epsilon": 1e-3}),
    "slim_norm": Case(
        "image", "BatchNormalization", {"epsilon": 0.01, "momentum": 0.95}, {"epsilon": 1e-3, "momentum": 0.99}
    ),
    "layer": Case("flat", "LayerNormalization", {"epsilon": 1e-12}, {"epsilon": 1e-3}),
    "basic": Case(
        "sequence",
        "LSTM",
        {**TF1_CELL, "activation": "softsign"},
        {"activation": "tanh", "recurrent_activation": hard_sigmoid},
    ),
    "full": Case("sequence", "LSTM", TF1_CELL, {"activation": "relu", "recurrent_activation": "tanh"}),
    "gru": Case(
        "sequence",
        "GRU",
        {**TF1_GRU, "activation": "relu"},
        {"activation": "tanh", "recurrent_activation": hard_sigmoid},
    ),
    "plain": Case("sequence", "SimpleRNN", {**SEQUENCES, "activation": "relu"}, {"activation": "tanh"}),
    "block": Case("sequence", "LSTM", TF1_CELL, {"activation": "relu", "recurrent_activation": hard_sigmoid}),
    "unrolled": Case("sequence", "LSTM", TF1_CELL, {"activation": "relu", "recurrent_activation": hard_sigmoid}),
    "both": Case(
        "sequence", "GRU", TF1_GRU, {"activation": "relu", "recurrent_activation": "tanh"}, wraps="Bidirectional"
    ),
    "keras_lstm": Case(
        "sequence",
        "LSTM",
        {**SEQUENCES, "recurrent_activation": hard_sigmoid},
        {"activation": "relu", "recurrent_activation": "sigmoid"},
    ),
    "keras_gru": Case(
        "sequence",
        "GRU",
        {**SEQUENCES, "recurrent_activation": hard_sigmoid, "reset_after": False},
        {"activation": "relu", "recurrent_activation": "sigmoid"},
    ),
    "keras_gru_after": Case(
        "sequence",
        "GRU",
        {**SEQUENCES, "recurrent_activation": hard_sigmoid, "reset_after": True},
        {"activation": "relu", "recurrent_activation": "sigmoid"},
    ),
    "keras_rnn": Case("sequence", "SimpleRNN", {**SEQUENCES, "activation": "sigmoid"}, {"activation": "tanh"}),
    "keras_depthwise": Case(
        "image",
        "DepthwiseConv2D",
        {"kernel_size": 2, "strides": 2, "activation": "softplus"},
        {"strides": 1, "padding": "same", "activation": "relu"},
    ),
    "keras_layer_norm": Case("image", "LayerNormalization", {"epsilon": 0.01}, {"epsilon": 0.1}),
}
