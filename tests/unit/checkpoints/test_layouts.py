"""The catalogue against layers that TensorFlow 1.15 saved: carried over by inference, they compute what it computed.

The Keras side is computed here, from the equations of Keras's cells, so that no TensorFlow is needed.
"""

from __future__ import annotations

import numpy as np
import pytest

from checkpoints import (
    Checkpoint,
    Ignore,
    Layer,
    MappingError,
    Rule,
    export,
    load,
    make_plan,
    max_ulps,
    open_checkpoint,
    write_saver,
)

from .support import Variable, corpus, data, needs_corpus


@pytest.fixture(scope="module")
def golden():
    with np.load(data("layouts.npz")) as stored:
        return dict(stored)


class Part(Checkpoint):
    """The tensors of a checkpoint below some scopes, as a checkpoint of their own."""

    def __init__(self, checkpoint, *scopes):
        super().__init__(checkpoint.path)
        self.tensors = {name: info for name, info in checkpoint.tensors.items() if name.split("/")[0] in scopes}
        self.read = checkpoint.read


@pytest.fixture(scope="module")
def layouts():
    with open_checkpoint(data("layouts")) as checkpoint:
        yield lambda *scopes: Part(checkpoint, *scopes)


def carry(part, variables, rules=(), **options):
    """Loads by inference, exports back and compares, and returns the values by name."""
    plan = make_plan(part, variables, rules, infer=True, **options)
    load(plan, part, variables)
    for name, value in export(plan, variables).items():
        assert max_ulps(value, part.read(name)) <= 2, name
    return {name: variable.numpy() for name, variable in variables.items()}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm(x, kernel, recurrent_kernel, bias):
    """keras.layers.LSTM with tanh and sigmoid, all outputs; x is (batch, time, features)."""
    units = recurrent_kernel.shape[0]
    h = c = np.zeros((x.shape[0], units), "f4")
    outputs = []
    for step in range(x.shape[1]):
        z = x[:, step] @ kernel + h @ recurrent_kernel + bias
        i, f, j, o = (z[:, k * units : (k + 1) * units] for k in range(4))
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(j)
        h = sigmoid(o) * np.tanh(c)
        outputs.append(h)
    return np.stack(outputs, 1)


def gru(x, kernel, recurrent_kernel, bias):
    """keras.layers.GRU, `reset_after` where the bias has two rows."""
    units = recurrent_kernel.shape[0]
    b_in, b_hid = bias if bias.ndim == 2 else (bias, np.zeros_like(bias))
    h = np.zeros((x.shape[0], units), "f4")
    outputs = []
    for step in range(x.shape[1]):
        a = x[:, step] @ kernel + b_in
        z = sigmoid(a[:, :units] + h @ recurrent_kernel[:, :units] + b_hid[:units])
        r = sigmoid(a[:, units : 2 * units] + h @ recurrent_kernel[:, units : 2 * units] + b_hid[units : 2 * units])
        if bias.ndim == 2:
            inner = r * (h @ recurrent_kernel[:, 2 * units :] + b_hid[2 * units :])
        else:
            inner = (r * h) @ recurrent_kernel[:, 2 * units :]
        h = z * h + (1 - z) * np.tanh(a[:, 2 * units :] + inner)
        outputs.append(h)
    return np.stack(outputs, 1)


def rnn(path, gates, inputs=3, units=2, bias=None):
    return {
        f"{path}/kernel": Variable((inputs, gates * units)),
        f"{path}/recurrent_kernel": Variable((units, gates * units)),
        f"{path}/bias": Variable(bias or (gates * units,)),
    }


def weights(values, path):
    return [values[f"{path}/{leaf}"] for leaf in ("kernel", "recurrent_kernel", "bias")]


CLOSE = {"rtol": 0, "atol": 4e-7}


@pytest.mark.parametrize("scope", ["basic", "block", "cudnn_lstm"])
def test_lstm_cells(scope, layouts, golden):
    values = carry(layouts(scope), rnn("m/decoder", 4))
    np.testing.assert_allclose(lstm(golden["inputs"], *weights(values, "m/decoder")), golden[scope], **CLOSE)


def test_a_forget_bias_that_is_not_the_default_is_an_option(layouts, golden):
    rules = [Layer(r"plain/rnn/lstm_cell", "x", layout="lstm:forget_bias=0.0")]
    values = carry(layouts("plain"), rnn("x", 4), rules)
    np.testing.assert_allclose(lstm(golden["inputs"], *weights(values, "x")), golden["plain"], **CLOSE)
    assumed = make_plan(layouts("plain"), rnn("x", 4), infer=True)
    assert [note for note in assumed.notes if "1.0 is taken" in note] == list(assumed.notes)


def test_peepholes_and_projections_are_refused_with_the_reason(layouts):
    with pytest.raises(MappingError) as raised:
        make_plan(layouts("peephole"), rnn("x", 4), infer=True)
    assert "peephole" in str(raised.value) or "projection" in str(raised.value)


def test_gru_cells(layouts, golden):
    values = carry(layouts("gru"), rnn("encoder", 3))
    np.testing.assert_allclose(gru(golden["inputs"], *weights(values, "encoder")), golden["gru"], **CLOSE)


def test_a_gru_is_refused_where_keras_resets_after(layouts):
    with pytest.raises(MappingError) as raised:
        make_plan(layouts("gru"), rnn("x", 3, bias=(2, 6)), [Layer(r"gru/rnn/gru_cell", "x", layout="gru")])
    assert "reset_after=False" in str(raised.value)
    with pytest.raises(MappingError, match=r"gru/rnn/gru_cell fits no layer of the model:\n.*reset_after=False"):
        make_plan(layouts("gru"), rnn("x", 3, bias=(2, 6)), infer=True)


def test_a_cell_of_another_kind_is_refused_with_the_reason(layouts):
    with pytest.raises(
        MappingError, match=r"basic/rnn/basic_lstm_cell fits no layer .*\n.*lstm to x: .*columns differ"
    ):
        make_plan(layouts("basic"), rnn("x", 3), infer=True)


def test_cudnn_gru_needs_reset_after(layouts, golden):
    values = carry(layouts("cudnn_gru"), rnn("x", 3, bias=(2, 6)))
    np.testing.assert_allclose(gru(golden["inputs"], *weights(values, "x")), golden["cudnn_gru"], **CLOSE)
    with pytest.raises(MappingError):
        make_plan(layouts("cudnn_gru"), rnn("x", 3), infer=True)


def test_a_stack_keeps_its_order(layouts, golden):
    variables = dict(rnn("m/lstm", 4), **rnn("m/lstm_1", 4, inputs=2))
    values = carry(layouts("stack"), variables)
    first = lstm(golden["inputs"], *weights(values, "m/lstm"))
    np.testing.assert_allclose(lstm(first, *weights(values, "m/lstm_1")), golden["stack"], **CLOSE)


def test_bidirectional_layers_know_forward_from_backward(layouts, golden):
    variables = dict(rnn("m/both/forward_lstm", 4), **rnn("m/both/backward_lstm", 4))
    values = carry(layouts("both"), variables)
    forward = lstm(golden["inputs"], *weights(values, "m/both/forward_lstm"))
    backward = lstm(golden["inputs"][:, ::-1], *weights(values, "m/both/backward_lstm"))[:, ::-1]
    np.testing.assert_allclose(np.concatenate([forward, backward], -1), golden["both"], **CLOSE)


def conv(image, kernel, bias):
    """A valid or same-padded 2x2 convolution of stride 1."""
    out = np.zeros((1, image.shape[1] - 1, image.shape[2] - 1, kernel.shape[3]), "f4")
    for row in range(2):
        for column in range(2):
            part = image[:, row : row + out.shape[1], column : column + out.shape[2]]
            out += part @ kernel[row, column]
    return out + bias


def same(image):
    return np.pad(image, ((0, 0), (0, 1), (0, 1), (0, 0)), "constant")


def test_layers_of_tf_layers(layouts, golden):
    variables = {
        "net/conv/kernel": Variable((2, 2, 2, 3)),
        "net/conv/bias": Variable((3,)),
        "net/transposed/kernel": Variable((2, 2, 3, 2)),
        "net/transposed/bias": Variable((3,)),
        "net/separable/depthwise_kernel": Variable((2, 2, 2, 1)),
        "net/separable/pointwise_kernel": Variable((1, 1, 2, 3)),
        "net/separable/bias": Variable((3,)),
        "net/dense/kernel": Variable((32, 3)),
        "net/dense/bias": Variable((3,)),
        "net/norm/gamma": Variable((2,)),
        "net/norm/beta": Variable((2,)),
        "net/norm/moving_mean": Variable((2,)),
        "net/norm/moving_variance": Variable((2,)),
    }
    values = carry(layouts("layers"), variables, averages="raw")
    image = golden["image"]
    np.testing.assert_allclose(
        conv(image, values["net/conv/kernel"], values["net/conv/bias"]), golden["conv"], rtol=0, atol=1e-5
    )
    dense = image.reshape(1, -1) @ values["net/dense/kernel"] + values["net/dense/bias"]
    np.testing.assert_allclose(dense, golden["dense"], rtol=0, atol=1e-5)
    # A convolution of stride 1 with the kernel turned round and its axes exchanged is the transposed one.
    kernel = values["net/transposed/kernel"][::-1, ::-1].transpose(0, 1, 3, 2)
    padded = np.pad(image, ((0, 0), (1, 1), (1, 1), (0, 0)), "constant")
    np.testing.assert_allclose(
        conv(padded, kernel, values["net/transposed/bias"]), golden["transposed"], rtol=0, atol=1e-5
    )


def test_moving_averages_need_a_choice(layouts):
    variables = {"d/dense/kernel": Variable((32, 3)), "d/dense/bias": Variable((3,))}
    part = layouts("layers")
    part.tensors = {name: info for name, info in part.tensors.items() if "/dense/" in name}
    with pytest.raises(MappingError, match='averages="raw"'):
        make_plan(part, variables, infer=True)
    for choice, suffix in (("raw", ""), ("shadow", "/ExponentialMovingAverage")):
        values = carry(part, variables, averages=choice)
        assert np.array_equal(values["d/dense/kernel"], part.read("layers/dense/kernel" + suffix))


def test_slim_layers_and_a_batch_norm_without_gamma(layouts, golden):
    variables = {
        "c/kernel": Variable((2, 2, 2, 3)),
        "c/bias": Variable((3,)),
        "s/depthwise_kernel": Variable((2, 2, 2, 1)),
        "s/pointwise_kernel": Variable((1, 1, 2, 3)),
        "s/bias": Variable((3,)),
        "n/gamma": Variable((2,)),
        "n/beta": Variable((2,)),
        "n/moving_mean": Variable((2,)),
        "n/moving_variance": Variable((2,)),
    }
    part = layouts("slim_conv", "slim_separable", "slim_norm")
    values = carry(part, variables)
    image = golden["image"]
    np.testing.assert_allclose(
        conv(same(image), values["c/kernel"], values["c/bias"]), golden["slim_conv"], rtol=0, atol=1e-5
    )
    assert values["n/gamma"].tolist() == [1, 1]
    scale = values["n/gamma"] / np.sqrt(values["n/moving_variance"] + 1e-3)
    norm = (image - values["n/moving_mean"]) * scale + values["n/beta"]
    np.testing.assert_allclose(norm, golden["slim_norm"], rtol=0, atol=1e-5)


def test_layers_that_only_order_could_tell_apart_are_ambiguous(layouts):
    """Two scopes and two layers of one shape, names without anything in common."""
    part = layouts("basic", "block")
    variables = dict(rnn("one", 4), **rnn("other", 4))
    with pytest.raises(MappingError) as raised:
        make_plan(part, variables, infer=True)
    text = str(raised.value)
    assert text.count("ambiguous") == 2 and "one, other equally well" in text
    rules = [Layer("basic/rnn/basic_lstm_cell", "one"), Layer("block/rnn/lstm_cell", "other")]
    assert 'Layer("basic/rnn/basic_lstm_cell", "one | other")' in text
    assert len(make_plan(part, variables, rules).rows) == 6


@needs_corpus
@pytest.mark.parametrize("folder, letters", [("tf101-charrnn-v1", 99), ("tf101-charrnn-v2", 98)])
def test_other_peoples_character_model_computes_its_golden_outputs(folder, letters):
    """Two stacked LSTM cells, an embedding and a softmax layer, under the names of TF 0.9 and of TF 1.0."""
    (path,) = corpus(folder)
    with np.load(path + "/golden.npz") as stored:
        golden = dict(stored)
    variables = {
        "letters/embeddings": Variable((letters, 128)),
        **rnn("lstm", 4, 128, 128),
        **rnn("lstm_1", 4, 128, 128),
        "softmax/kernel": Variable((128, letters)),
        "softmax/bias": Variable((letters,)),
    }
    rules = [Ignore("Variable", "the learning rate")]
    with open_checkpoint(corpus(folder + "/model.ckpt*")[0]) as checkpoint:
        plan = make_plan(checkpoint, variables, rules, infer=True)
        load(plan, checkpoint, variables)
    values = {name: variable.numpy() for name, variable in variables.items()}
    first = lstm(values["letters/embeddings"][golden["inputs_input_data"]], *weights(values, "lstm"))
    second = lstm(first, *weights(values, "lstm_1"))
    logits = second @ values["softmax/kernel"] + values["softmax/bias"]
    np.testing.assert_allclose(logits, golden["outputs_logits"], rtol=0, atol=2e-5)


@needs_corpus
def test_attention_heads_of_bert_become_an_axis():
    (path,) = corpus("keras-bert-tiny/bert_model.ckpt.index")
    scope = "bert/encoder/layer_1/attention"
    rules = [
        Layer(scope + "/self/(query|key|value)", r"mha/\1", layout="attention heads"),
        Layer(scope + "/output/dense", "mha/attention_output", layout="attention output"),
        Ignore(".*", "another part of the model"),
    ]
    variables = {"mha/attention_output/kernel": Variable((2, 2, 4)), "mha/attention_output/bias": Variable((4,))}
    for name in ("query", "key", "value"):
        variables[f"mha/{name}/kernel"] = Variable((4, 2, 2))
        variables[f"mha/{name}/bias"] = Variable((2, 2))
    with open_checkpoint(path) as checkpoint:
        plan = make_plan(checkpoint, variables, rules)
        load(plan, checkpoint, variables)
        query = checkpoint.read(scope + "/self/query/kernel")
        back = export(plan, variables)
    x = np.ones((3, 4), "f4")
    heads = np.einsum("bf,fhs->bhs", x, variables["mha/query/kernel"].numpy())
    np.testing.assert_allclose(heads.reshape(3, 4), x @ query, rtol=0, atol=1e-6)
    assert np.array_equal(back[scope + "/self/query/kernel"], query)


@needs_corpus
@pytest.mark.parametrize("kind, gates, compute", [("gru", 3, gru), ("lstm", 4, lstm)])
def test_a_frozen_recurrent_network_computes_its_golden_outputs(kind, gates, compute):
    """An unrolled network of constants: its four to six variables are found among a hundred others."""
    (path,) = corpus(f"t2o-frozen-{kind}")
    with np.load(path + "/golden.npz") as stored:
        # Digits of 28 rows, a row a step.
        x, wanted = stored["inputs_X"].reshape(-1, 28, 28), stored["outputs_output"]
    variables = {**rnn("net/recurrent", gates, 28, 128), "net/out/kernel": Variable((128, 10))}
    variables["net/out/bias"] = Variable((10,))
    with open_checkpoint(path) as checkpoint:
        plan = make_plan(checkpoint, variables, infer=True)
        load(plan, checkpoint, variables)
    values = {name: variable.numpy() for name, variable in variables.items()}
    last = compute(x, *weights(values, "net/recurrent"))[:, -1]
    logits = last @ values["net/out/kernel"] + values["net/out/bias"]
    np.testing.assert_allclose(logits, wanted, rtol=0, atol=1e-5)


def keras_cudnn(gates, units=5, inputs=3):
    """A layer as Keras's CuDNN classes store it, under the names that GRU and LSTM have as well."""
    rows = {"rnn/kernel": inputs, "rnn/recurrent_kernel": units}
    dice = np.random.RandomState(1)
    values = {name: dice.normal(size=(size, gates * units)).astype("f4") for name, size in rows.items()}
    return dict(values, **{"rnn/bias": dice.normal(size=2 * gates * units).astype("f4")})


@pytest.mark.parametrize("inputs", [3, 5])
@pytest.mark.parametrize("rules", [[], [Layer("rnn", "rnn")]])
def test_a_cudnn_gru_of_keras_is_converted_as_keras_does(rules, inputs, tmp_path):
    stored = keras_cudnn(3, inputs=inputs)
    # Keras's own `_convert_rnn_weights`.
    gates = [np.hsplit(stored["rnn/" + name], 3) for name in ("kernel", "recurrent_kernel")]
    kernel = np.hstack([gate.T.reshape(gate.shape, order="F") for gate in gates[0]])
    wanted = [kernel, np.hstack([gate.T for gate in gates[1]]), stored["rnn/bias"].reshape(2, -1)]
    write_saver(tmp_path / "m", stored)
    variables = rnn("rnn", 3, inputs, 5, bias=(2, 15))
    with open_checkpoint(tmp_path / "m") as checkpoint:
        values = carry(checkpoint, variables, rules)
    for value, right in zip(weights(values, "rnn"), wanted):
        assert np.array_equal(value, right)


@pytest.mark.parametrize("inputs", [3, 5])
@pytest.mark.parametrize("rules", [[], [Layer("rnn", "rnn")]])
def test_cudnn_lstm_of_keras(rules, inputs, tmp_path):
    """As Keras's own `_convert_rnn_weights` converts it, and back into one that computes the same."""
    stored = keras_cudnn(4, inputs=inputs)
    gates = [np.hsplit(stored["rnn/" + name], 4) for name in ("kernel", "recurrent_kernel")]
    kernel = np.hstack([gate.T.reshape(gate.shape, order="F") for gate in gates[0]])
    wanted = [kernel, np.hstack([gate.T for gate in gates[1]]), stored["rnn/bias"][:20] + stored["rnn/bias"][20:]]
    write_saver(tmp_path / "m", stored)
    variables = rnn("rnn", 4, inputs, 5)
    with open_checkpoint(tmp_path / "m") as checkpoint:
        plan = make_plan(checkpoint, variables, rules, infer=True)
        load(plan, checkpoint, variables)
    assert all(np.array_equal(value.numpy(), right) for value, right in zip(variables.values(), wanted))
    back = export(plan, variables)
    assert np.array_equal(back["rnn/bias"], np.concatenate([wanted[2], np.zeros(20, "f4")]))
    assert all(np.array_equal(back[name], stored[name]) for name in ("rnn/kernel", "rnn/recurrent_kernel"))


@pytest.mark.parametrize("path", ["rnn", "attention"])
@pytest.mark.parametrize("infer", [False, True])
@pytest.mark.parametrize(
    "gates, bias, rules",
    [(3, (2, 15), [Rule("rnn/bias", "PATH/bias", transform="reshape")]), (3, None, [])],
)
def test_kernels_in_cudnns_order_are_taken_nowhere_else(gates, bias, rules, infer, path, tmp_path):
    write_saver(tmp_path / "m", keras_cudnn(gates))
    variables = rnn(path, gates, 3, 5, bias=bias)
    rules = [rule._replace(target=rule.target.replace("PATH", path)) for rule in rules]
    with open_checkpoint(tmp_path / "m") as checkpoint:
        with pytest.raises(MappingError) as raised:
            make_plan(checkpoint, variables, rules, infer=infer)
    assert "GRU with reset_after=True" in str(raised.value)


def test_a_layer_that_is_stored_for_cudnn_too_takes_it_as_it_is(tmp_path):
    stored = keras_cudnn(4)
    write_saver(tmp_path / "m", stored)
    with open_checkpoint(tmp_path / "m") as checkpoint:
        values = carry(checkpoint, rnn("rnn", 4, 3, 5, bias=(40,)))
    assert all(np.array_equal(values[name], value) for name, value in stored.items())


@pytest.mark.parametrize(
    "targets",
    [
        {"c/kernel": (6, 3, 4)},
        {"c/kernel": (2, 3, 12)},
        {"c/kernel": (2, 3, 12), "c/bias": (12,)},
        {"c/kernel": (6, 3, 4), "c/bias": (3, 4)},
    ],
)
def test_only_what_is_called_attention_is_taken_for_it(targets, tmp_path):
    """A dense layer into a convolution fits by its shapes as well, and means nothing."""
    parts = {"kernel": (6, 12), "bias": (12,)}
    for scope in ("dense", "attention"):
        values = {f"{scope}/{name.rpartition('/')[2]}": None for name in targets}
        write_saver(tmp_path / scope, {name: np.ones(parts[name.rpartition("/")[2]], "f4") for name in values})
    variables = {name: Variable(shape) for name, shape in targets.items()}
    with open_checkpoint(tmp_path / "attention") as checkpoint:
        assert len(make_plan(checkpoint, variables, infer=True).loads()) == len(targets)
    with open_checkpoint(tmp_path / "dense") as checkpoint:
        with pytest.raises(MappingError):
            make_plan(checkpoint, variables, infer=True)
        layout = "attention heads" if targets["c/kernel"][0] == 6 else "attention output"
        assert make_plan(checkpoint, variables, [Layer("dense", "c", layout)]).loads()


def test_shapes_of_any_rank():
    """What does not fit is a ValueError, whatever the shapes are."""
    from checkpoints import layouts
    from checkpoints.transforms import REGISTRY, pieces_of

    assert layouts.CATALOGUE
    shapes = [(), (0,), (3,), (6,), (9,), (0, 0), (3, 2), (4, 12), (2, 3, 4), (1, 2, 3, 4)]
    for name in sorted(REGISTRY):
        for source in shapes:
            for target in shapes:
                try:
                    pieces_of(name, source, target)
                except ValueError:
                    pass
