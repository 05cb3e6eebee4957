"""What graphs say of layers in the many ways in which people write them, with whatever TensorFlow is installed."""

from __future__ import annotations

import math

import pytest

from checkpoints.budget import Budget
from checkpoints.graphs import layers, recurrent
from checkpoints.graphs.graph import parse_graph
from checkpoints.graphs.layers import Padding
from checkpoints.graphs.walk import sites

tf = pytest.importorskip("tensorflow")
v1 = tf.compat.v1


def said(build, recognise, name="w", shape=(2, 6)):
    """What `recognise` finds in the graph that `build` makes of a placeholder."""
    with tf.Graph().as_default() as graph:
        outputs = build(v1.placeholder(tf.float32, shape, "x"))
        definition = graph.as_graph_def()
    parsed = parse_graph(memoryview(definition.SerializeToString()), Budget())
    parsed.outputs = set(outputs) if isinstance(outputs, (set, frozenset)) else set()
    return recognise(sites(parsed, name))


def variable(name="w", shape=(6, 4)):
    return v1.get_variable(name, shape, tf.float32)


def dense(x):
    return tf.matmul(x, variable()) + variable("b", (4,))


def next_layer(x):
    return tf.matmul(x, variable("v", (4, 3)), name="next")


def gelu(x):
    return x * 0.5 * (1.0 + tf.math.erf(x / tf.sqrt(2.0)))


def gelu_tanh(x):
    return 0.5 * x * (1 + tf.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * tf.pow(x, 3))))


def prelu(x):
    return tf.nn.relu(x) + variable("a", (4,)) * (x - abs(x)) * 0.5


def dropout(x):
    keep = v1.placeholder_with_default(1.0, (), "keep_prob")
    return v1.nn.dropout(x, rate=1 - keep)


# Each function of a tensor, and what it applies: one or more alternatives, or None for what nobody has to know.
APPLIED = [
    (next_layer, {"linear"}),
    (tf.identity, {"linear"}),
    (lambda x: next_layer(tf.nn.relu(x)), {"relu"}),
    (lambda x: next_layer(tf.nn.relu(dropout(x))), {"relu"}),
    (lambda x: next_layer(dropout(tf.nn.elu(x))), {"elu"}),
    (lambda x: tf.nn.relu(tf.reshape(x, (-1, 2, 2))), {"relu"}),
    (lambda x: tf.nn.relu(tf.concat([x, x], 1)), {"relu"}),
    (lambda x: (tf.nn.softmax(x), tf.argmax(x, 1)), {"softmax", "linear"}),
    (lambda x: (tf.argmax(x, 1), x * v1.placeholder(tf.float32, (2, 4))), {"linear", "?"}),
    (
        lambda x: (tf.nn.softmax(x), v1.nn.softmax_cross_entropy_with_logits(labels=x * 0 + 1, logits=x)),
        {"linear", "softmax", "?"},
    ),
    (lambda x: v1.nn.sigmoid_cross_entropy_with_logits(labels=tf.ones((2, 4)), logits=x), {"linear"}),
    (
        lambda x: (tf.sigmoid(x), v1.nn.sigmoid_cross_entropy_with_logits(labels=tf.ones((2, 4)), logits=x)),
        {"sigmoid", "linear"},
    ),
    (lambda x: tf.nn.leaky_relu(x, 0.3), {"leaky_relu(0.3)"}),
    (lambda x: tf.maximum(0.3 * x, x), {"leaky_relu(0.3)"}),
    (lambda x: tf.maximum(x, 0.0), {"relu"}),
    (lambda x: tf.minimum(tf.nn.relu(x), 6.0), {"relu6"}),
    (lambda x: tf.minimum(tf.nn.relu(x), 1.0), None),
    (lambda x: tf.nn.relu(x) - 0.1 * tf.nn.relu(-x), {"relu", "?"}),
    (lambda x: x * tf.sigmoid(x), {"silu"}),
    (gelu, {"gelu"}),
    (gelu_tanh, {"gelu(tanh)"}),
    (lambda x: tf.clip_by_value(0.2 * x + 0.5, 0.0, 1.0), {"hard_sigmoid"}),
    (lambda x: tf.nn.relu6(x + 3.0) / 6.0, {"hard_sigmoid(x/6)"}),
    (prelu, {"relu", "?"}),
    (tf.square, None),
    (lambda x: 2.0 * x, None),
    (lambda x: tf.nn.relu(x + variable("other", (2, 4))), {"linear"}),
    (lambda x: tf.nn.relu(x * v1.placeholder(tf.float32, ())), None),
    (lambda x: tf.nn.relu(x) * tf.tanh(x), {"relu", "tanh", "?"}),
    (lambda x: tf.nn.relu(x + 1.0), None),
    (lambda x: tf.nn.relu(tf.matmul(x, variable("u", (4, 4))) + x), {"linear"}),
    (lambda x: v1.summary.histogram("h", tf.tanh(x)), {"tanh"}),
]


@pytest.mark.parametrize("applied, expected", APPLIED)
def test_activations(applied, expected):
    found = said(lambda x: applied(dense(x)), layers.each(layers.dense)).get("activation")
    assert (None if found is None else set(found)) == expected


def test_gradients_say_nothing():
    def trained(x):
        y = tf.nn.relu(dense(x))
        return v1.gradients(tf.reduce_mean(next_layer(y) ** 2), v1.global_variables())

    assert said(trained, layers.each(layers.dense))["activation"] == ("relu",)


def test_a_signature_returns_logits():
    def served(x):
        tf.nn.softmax(tf.identity(dense(x), "logits"))
        return {"logits"}

    assert said(served, layers.each(layers.dense))["activation"] == ("linear", "softmax")


def test_conditions_and_resources():
    def conditional(x):
        with v1.variable_scope("", use_resource=True):
            kernel = variable()
        training = v1.placeholder_with_default(False, (), "training")
        return tf.cond(training, lambda: tf.tanh(tf.matmul(x, kernel)), lambda: tf.tanh(tf.matmul(x, kernel)))

    assert said(conditional, layers.each(layers.dense))["activation"] == ("tanh",)


def test_results_of_functions_are_not_followed():
    def applied(x):
        kernel = variable()
        return tf.nn.relu(tf.cond(v1.placeholder(tf.bool, ()), lambda: tf.matmul(x, kernel), lambda: x[:, :4]))

    assert said(applied, layers.each(layers.dense)).get("activation", ("relu",)) == ("relu",)


def convolved(x, **options):
    return tf.nn.conv2d(x, variable(shape=(3, 3, 2, 3)), **options)


def padded(x, before, after):
    return tf.pad(x, [[0, 0], [before, after], [before, after], [0, 0]])


GEOMETRY = [
    (lambda x: convolved(x, strides=[1, 2, 1, 1], padding="SAME"), (2, 1), (1, 1), Padding("same")),
    (lambda x: convolved(x, strides=[1, 1, 1, 1], padding="VALID"), (1, 1), (1, 1), Padding("valid")),
    (
        lambda x: convolved(padded(x, 1, 2), strides=[1, 1, 1, 1], padding="VALID"),
        (1, 1),
        (1, 1),
        Padding("valid", ((1, 2), (1, 2))),
    ),
    (
        lambda x: tf.nn.convolution(x, variable(shape=(3, 3, 2, 3)), padding="SAME", dilations=[2, 2]),
        (1, 1),
        (2, 2),
        Padding("same"),
    ),
    (
        lambda x: tf.nn.convolution(x, variable(shape=(3, 3, 2, 3)), padding="VALID", dilations=[2, 2]),
        (1, 1),
        (2, 2),
        Padding("valid"),
    ),
]


@pytest.mark.parametrize("build, strides, dilation, padding", GEOMETRY)
def test_convolutions(build, strides, dilation, padding):
    if tf.__version__.startswith("1.") and dilation != (1, 1):
        single = build
        build = lambda x: tf.nn.atrous_conv2d(  # noqa: E731
            x, variable(shape=(3, 3, 2, 3)), 2, padding.kind.upper()
        )
        assert single is not build
    found = said(build, layers.each(layers.convolution), shape=(2, 8, 8, 2))
    assert (found["strides"], found["dilation_rate"], found["padding"]) == ((strides,), (dilation,), (padding,))
    assert found["convolution"] == ("Conv",) and found["data_format"] == ("channels_last",)


def test_a_transposed_convolution_is_another_kind():
    def transposed(x):
        return tf.nn.conv2d_transpose(x, variable(shape=(3, 3, 2, 2)), [2, 8, 8, 2], [1, 2, 2, 1], "SAME")

    found = said(transposed, layers.each(layers.convolution), shape=(2, 4, 4, 2))
    assert found["convolution"] == ("ConvTranspose",) and found["strides"] == ((2, 2),)


def normalized(x, moving=True):
    mean, variance = (variable(name, (6,)) for name in ("mean", "w"))
    batch_mean, batch_variance = tf.nn.moments(x, [0])
    training = v1.placeholder_with_default(False, (), "training")
    mean = tf.cond(training, lambda: batch_mean, lambda: tf.identity(mean))
    variance = tf.cond(training, lambda: batch_variance, lambda: tf.identity(variance))
    return tf.nn.batch_normalization(x, mean, variance, None, None, 0.01)


def test_epsilon_behind_a_condition():
    assert said(normalized, layers.each(layers.batch_normalization))["epsilon"] == pytest.approx((0.01,))


@pytest.mark.parametrize("momentum", [0.5, 0.999])
def test_momentum(momentum):
    def updated(x):
        moving = variable(shape=(6,))
        return v1.assign_sub(moving, (moving - tf.reduce_mean(x, 0)) * (1 - momentum))

    found = said(updated, layers.each(layers.batch_normalization))
    assert found["momentum"] == pytest.approx((momentum,))


def lstm(x, forget=1.0, activation=tf.tanh, order=(0, 1, 2, 3), clip=None):
    """One step of a cell whose gates i, j, f and o stand where `order` says."""
    state, hidden = variable("c", (2, 3)), variable("h", (2, 3))
    gates = tf.split(tf.matmul(tf.concat([x, hidden], 1), variable(shape=(9, 12))) + variable("b", (12,)), 4, 1)
    i, j, f, o = (gates[place] for place in order)
    state = state * tf.sigmoid(f + forget) + tf.sigmoid(i) * activation(j)
    state = tf.clip_by_value(state, -clip, clip) if clip else state
    return next_state(activation(state) * tf.sigmoid(o))


def next_state(x):
    return tf.matmul(x, variable("n", (3, 3)))


@pytest.mark.parametrize("forget", [0.0, 1.0, 2.5])
@pytest.mark.parametrize("activation", ["tanh", "relu", "elu"])
def test_lstm(forget, activation):
    functions = {"tanh": tf.tanh, "relu": tf.nn.relu, "elu": tf.nn.elu}
    found = said(lambda x: lstm(x, forget, functions[activation], clip=3.0), recurrent.lstm)
    assert found["forget_bias"] == pytest.approx((forget,)) and found["order"] == ("ijfo",)
    assert (found["activation"], found["recurrent_activation"]) == ((activation,), ("sigmoid",))
    assert found["cell_clip"] == (3.0,)


def test_gates_in_the_order_of_keras():
    assert said(lambda x: lstm(x, 0.0, order=(0, 2, 1, 3)), recurrent.lstm)["order"] == ("ifjo",)


def gru(x, swapped=False):
    hidden = variable("h", (2, 3))
    gates = tf.sigmoid(tf.matmul(tf.concat([x, hidden], 1), variable(shape=(9, 6))) + variable("b", (6,)))
    r, u = tf.split(gates, 2, 1)
    r, u = (u, r) if swapped else (r, u)
    candidate = tf.nn.relu(tf.matmul(tf.concat([x, r * hidden], 1), variable("k", (9, 3))) + variable("d", (3,)))
    return next_state(u * hidden + (1 - u) * candidate)


@pytest.mark.parametrize("swapped", [False, True])
def test_gru(swapped):
    assert said(lambda x: gru(x, swapped), recurrent.gru) == {
        "recurrent_activation": ("sigmoid",),
        "order": ("ur" if swapped else "ru",),
    }
    assert said(lambda x: gru(x, swapped), recurrent.gru, "k") == {"activation": ("relu",)}


def keras_gru(x, squash):
    """One step of Keras's GRU with `reset_after`, which adds the product with the state to each gate."""
    hidden = variable("h", (2, 3))
    xz, xr, xh = tf.split(tf.matmul(x, variable(shape=(6, 9))) + variable("b", (9,)), 3, axis=1)
    hz, hr, hh = tf.split(tf.matmul(hidden, variable("u", (3, 9))) + variable("d", (9,)), 3, axis=1)
    z, r = squash(xz + hz), squash(xr + hr)
    return next_state(z * hidden + (1 - z) * tf.tanh(xh + r * hh))


def test_gates_summed_one_by_one():
    expected = {"activation": ("tanh",), "recurrent_activation": ("sigmoid",)}
    assert said(lambda x: keras_gru(x, tf.sigmoid), recurrent.gru) == expected


def test_squashing_of_unknown_spelling():
    assert said(lambda x: keras_gru(x, lambda gate: gate / (1 + abs(gate) ** 3)), recurrent.gru) == {}
    assert said(lambda x: keras_gru(x, lambda gate: gate), recurrent.gru) == {}
