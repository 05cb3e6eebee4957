"""Activation functions by what they compute, whatever they are called.

A name says too little: `hard_sigmoid` is clip(0.2 x + 0.5) in Keras 2 and relu6(x + 3) / 6 in Keras 3, and a model may
have a function of its own. So the functions of a model are asked for some values, and known by them.

Source: `keras/activations.py` of Keras 2.15 and `keras/src/activations/activations.py` of Keras 3; `tf.nn` of TF 1.15.
"""

from __future__ import annotations

import math
import sys
from typing import Any, Callable, Mapping

import numpy as np

_Array = Any
LINEAR = "linear"
_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


def _softmax(x: _Array) -> _Array:
    exponents = np.exp(x - x.max(-1, keepdims=True))
    return exponents / exponents.sum(-1, keepdims=True)


def _sigmoid(x: _Array) -> _Array:
    return 1 / (1 + np.exp(-x))


def _elu(x: _Array) -> _Array:
    return np.where(x > 0, x, np.expm1(x))


def _softplus(x: _Array) -> _Array:
    return np.log1p(np.exp(x))


_FUNCTIONS: dict[str, Callable[[_Array], _Array]] = {
    LINEAR: lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "elu": _elu,
    "selu": lambda x: _SELU_SCALE * np.where(x > 0, x, _SELU_ALPHA * np.expm1(x)),
    "sigmoid": _sigmoid,
    "hard_sigmoid": lambda x: np.clip(0.2 * x + 0.5, 0, 1),
    "hard_sigmoid(x/6)": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "tanh": np.tanh,
    "softplus": _softplus,
    "softsign": lambda x: x / (1 + np.abs(x)),
    "softmax": _softmax,
    "log_softmax": lambda x: np.log(_softmax(x)),
    "exponential": np.exp,
    "silu": lambda x: x * _sigmoid(x),
    "hard_silu": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "gelu": lambda x: x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2))),
    "gelu(tanh)": lambda x: x * 0.5 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "mish": lambda x: x * np.tanh(_softplus(x)),
    "leaky_relu(0.2)": lambda x: np.where(x > 0, x, 0.2 * x),
}
_ALIASES = {"swish": "silu", "hard_swish": "hard_silu", "leaky_relu": "leaky_relu(0.2)", None: LINEAR}
# Both sides of 0, what is cut off at 1, 2.5, 3 and 6, and what tells the two kinds of gelu apart.
_PROBE = np.array([[-8, -3.4, -2.7, -1.9, -0.8, -0.1, 0], [0.3, 0.7, 1.2, 2.3, 2.9, 5.1, 7.5]], "float32")
_WORDS = {
    "hard_sigmoid": "hard_sigmoid (0.2 x + 0.5, as in Keras 2)",
    "hard_sigmoid(x/6)": "hard_sigmoid (x / 6 + 0.5, as in Keras 3)",
    "gelu": "gelu (erf)",
    "gelu(tanh)": "gelu (tanh)",
}


def spelled(activation: str) -> str:
    """`activation` for a person, who has to tell those apart that share a name."""
    return _WORDS.get(activation, activation)


def argument(activation: str, generation: int) -> str:
    """The Python expression that gives a layer of that generation of Keras (2 or 3) the activation."""
    if activation == ("hard_sigmoid" if generation == 2 else "hard_sigmoid(x/6)"):
        return '"hard_sigmoid"'
    if activation == "hard_sigmoid":
        return "lambda x: keras.ops.clip(0.2 * x + 0.5, 0.0, 1.0)"
    if activation == "hard_sigmoid(x/6)":
        return "lambda x: tf.nn.relu6(x + 3.0) / 6.0"
    if activation == "gelu(tanh)":
        return "lambda x: keras.activations.gelu(x, approximate=True)"
    if activation == "relu6":
        return "tf.nn.relu6" if generation == 2 else '"relu6"'
    if activation == "log_softmax" and generation == 2:
        return "tf.nn.log_softmax"
    if activation == "silu" and generation == 2:
        return '"swish"'
    if activation.startswith("leaky_relu("):
        slope = activation[len("leaky_relu(") : -1]
        key = "alpha" if generation == 2 else "negative_slope"
        return f"keras.layers.LeakyReLU({key}={slope})"
    return f'"{activation}"'


def named(name: Any, generation: int) -> str | None:
    """The activation that a configuration of Keras 2 or 3 calls `name`; None if that is none of its own.

    `name` is text, None for no activation, or the dictionary that stands for a layer or a function.
    """
    if isinstance(name, Mapping):
        return _from_dictionary(name, generation)
    if name is not None and not isinstance(name, str):
        return None
    if name == "hard_sigmoid" and generation >= 3:
        return "hard_sigmoid(x/6)"
    found = _ALIASES.get(name, name)
    return found if found in _FUNCTIONS else None


def _from_dictionary(value: Mapping[Any, Any], generation: int) -> str | None:
    kind, config = value.get("class_name"), value.get("config")
    if kind == "function" and isinstance(config, str):
        return named(config.rpartition(">")[2], generation)
    return of_layer(kind, config if isinstance(config, Mapping) else {}, generation) if isinstance(kind, str) else None


def of_layer(kind: str, config: Mapping[Any, Any], generation: int) -> str | None:
    """The activation that a layer of class `kind` is; None if it is none, or has a parameter that is not known here."""
    if kind == "Activation":
        return named(config.get("activation"), generation)
    if kind == "ReLU":
        most = config.get("max_value")
        leak = _number(config.get("negative_slope")) or 0.0
        if config.get("threshold"):
            return None
        if most is None:
            return f"leaky_relu({leak:.4g})" if leak else "relu"
        return "relu6" if _number(most) == 6.0 and not leak else None
    if kind == "LeakyReLU":
        slope = _number(config.get("negative_slope", config.get("alpha", 0.3)))
        return None if slope is None else f"leaky_relu({slope:.4g})"
    if kind == "ELU":
        return "elu" if _number(config.get("alpha", 1.0)) == 1.0 else None
    if kind == "Softmax":
        return "softmax" if config.get("axis", -1) in (-1, [-1]) else None
    return None


def _number(value: Any) -> float | None:
    """A number of a configuration, which Keras 2 may have written as a NumPy array of its own."""
    if isinstance(value, Mapping):
        value = value.get("value")
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def of_function(function: Any, generation: int) -> str | None:
    """The activation that a function computes; None if it computes none that is known here, or cannot be asked."""
    if function is None:
        return LINEAR
    name = getattr(function, "__name__", "")
    if hasattr(function, "get_config") and hasattr(function, "call"):
        return of_layer(type(function).__name__, function.get_config(), generation)
    # To ask a function in a static graph would add operations to the user's graph.
    values = None if _in_static_graph() else _values(function, generation)
    if values is not None:
        return _known_by(values, name, generation)
    own = str(getattr(function, "__module__", "")).partition(".")[0] in ("keras", "tensorflow", "tf_keras")
    return named(name, generation) if own else None


def _in_static_graph() -> bool:
    tensorflow = sys.modules.get("tensorflow")
    return tensorflow is not None and hasattr(tensorflow, "executing_eagerly") and not tensorflow.executing_eagerly()


def _values(function: Any, generation: int) -> _Array:
    """What the function makes of the probe, as an array; None if it does not take one."""
    try:
        tensorflow = sys.modules.get("tensorflow")
        result = function(tensorflow.constant(_PROBE) if tensorflow and generation == 2 else _PROBE)
        result = result.detach().cpu() if hasattr(result, "detach") else result
        values = np.asarray(result, "float64")
    except Exception:
        return None
    return values if values.shape == _PROBE.shape else None


def _known_by(values: _Array, name: str, generation: int) -> str | None:
    probe = _PROBE.astype("float64")
    names = [named(name, generation), *_FUNCTIONS]
    for known in names:
        if known is not None and np.allclose(values, _FUNCTIONS[known](probe), rtol=1e-5, atol=1e-6):
            return known
    slope = values[0, 0] / probe[0, 0]
    if 0 < slope < 1 and np.allclose(values, np.where(probe > 0, probe, slope * probe), rtol=1e-5, atol=1e-6):
        return f"leaky_relu({slope:.4g})"
    return None
