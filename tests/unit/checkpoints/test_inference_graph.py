"""Graphs that were saved in training, run as they are used: what is random, what is switched off, what is an input.

Each is built in the TensorFlow that is here, saved as a Saver leaves it, and compared with what it computes when it is
built for inference, from the same values.
"""

from __future__ import annotations

import json
import os
import sys

import numpy as np
import pytest

from checkpoints import CheckpointError
from checkpoints.cli import main
from checkpoints.golden_arrays import Golden, unpack

tf = pytest.importorskip("tensorflow")
if not tf.executing_eagerly():
    tf.compat.v1.enable_eager_execution()

from checkpoints.tf_runtime import run_graph  # noqa: E402

v1 = tf.compat.v1


def variable(name, shape, seed=0, **options):
    values = np.random.RandomState(seed + len(name)).uniform(0.1, 1, shape).astype("f4")
    return v1.get_variable(name, initializer=values, **options)


def dense(x, units, name):
    with v1.variable_scope(name, reuse=v1.AUTO_REUSE):
        return tf.matmul(x, variable("kernel", (int(x.shape[-1]), units))) + variable("bias", (units,))


@pytest.fixture
def saved(tmp_path):
    """Saves the graph that `build` makes, with its variables, and returns the prefix."""

    def save(build, **options):
        with v1.Graph().as_default(), v1.Session() as session:
            build(v1.placeholder(tf.float32, (None, 8), "x"), **options)
            session.run([v1.global_variables_initializer(), v1.local_variables_initializer()])
            return v1.train.Saver().save(session, str(tmp_path / "model.ckpt"))

    return save


def inferred(golden, build, path):
    """What the network computes when it is built for inference, on the inputs and with the values of `golden`."""
    with v1.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, (None, 8))
        outputs = build(x, training=False)
        v1.train.Saver().restore(session, path)
        return session.run(outputs, {x: golden.arrays["inputs_x"]})


def in_release(h):
    return tf.nn.dropout(h, 0.4)


def with_placeholder(h):
    return v1.nn.dropout(h, keep_prob=v1.placeholder(tf.float32, name="keep_prob"))


def with_seed(h):
    return tf.nn.dropout(h, 0.4, seed=3)


def with_floor(h):
    keep = tf.constant(0.6)
    return tf.math.divide(h, keep) * tf.floor(keep + v1.random_uniform(tf.shape(h)))


def with_reciprocal(h):
    keep = tf.constant(0.6)
    return h * tf.math.reciprocal(keep) * tf.floor(keep + v1.random_uniform(tf.shape(h)))


def with_where(h):
    return v1.where(v1.random_uniform(tf.shape(h)) >= 0.25, h * tf.constant(1 / 0.75), tf.zeros_like(h))


def in_loop(h):
    return v1.while_loop(lambda step, _: step < 3, lambda step, h: (step + 1, in_release(h)), (0, h))[1]


def in_branch(h):
    return v1.cond(v1.placeholder(tf.bool, name="train"), lambda: in_release(h), lambda: tf.identity(h))


def in_function(h):
    return tf.function(lambda value: in_release(value) + 1.0)(h) - 1.0


SPELLINGS = [in_release, with_placeholder, with_seed, with_floor, with_reciprocal, with_where]
SPELLINGS += [in_loop, in_branch, in_function]


@pytest.mark.parametrize("drop", SPELLINGS, ids=lambda drop: drop.__name__)
def test_dropout_is_off(drop, saved):
    def build(x, training=True):
        h = dense(x, 16, "one")
        return tf.identity(dense(drop(h) if training else h, 3, "two"), "y")

    path = saved(build)
    golden = run_graph(path, ["y"])
    np.testing.assert_allclose(golden.arrays["outputs_y"], inferred(golden, build, path), rtol=1e-6)
    assert any(note.startswith("dropout switched off: ") for note in golden.notes) and not golden.random
    assert sorted(golden.arrays) == ["inputs_x", "outputs_y"]


@pytest.mark.parametrize("kind", ["output", "variational", "bidirectional"])
def test_dropout_wrapper_is_off(kind, saved):
    cells = getattr(v1.nn, "rnn_cell", None)
    if not hasattr(cells, "GRUCell"):
        pytest.skip("this TensorFlow has no cells")

    def cell(training):
        made = cells.GRUCell(3)
        variational = {"variational_recurrent": True, "dtype": tf.float32, "input_size": 2} if kind[0] == "v" else {}
        return cells.DropoutWrapper(made, 0.7, 0.6, 0.5, **variational) if training else made

    def build(x, training=True):
        sequence = tf.reshape(x, [-1, 4, 2])
        if kind == "bidirectional":
            both = [cell(training), cell(training)]
            return tf.concat(v1.nn.bidirectional_dynamic_rnn(*both, sequence, dtype=tf.float32)[0], 2, name="y")
        return tf.identity(v1.nn.dynamic_rnn(cell(training), sequence, dtype=tf.float32)[0], "y")

    path = saved(build)
    golden = run_graph(path, ["y"])
    np.testing.assert_allclose(golden.arrays["outputs_y"], inferred(golden, build, path), rtol=1e-6)


def encoder(x):
    """The encoder and decoder of a variational autoencoder: `mean` is computed, `decoded` is drawn."""
    mean, spread = dense(x, 2, "mean"), dense(x, 2, "spread")
    tf.identity(mean, "mean_out")
    latent = mean + spread * v1.random_normal(tf.shape(mean), seed=7, name="noise")
    tf.identity(dense(latent, 8, "decoder"), "decoded")


def test_random_output_is_an_error(saved):
    path = saved(encoder)
    with pytest.raises(CheckpointError) as raised:
        run_graph(path, ["decoded"])
    assert "decoded is random: it draws random numbers in noise/RandomStandardNormal;" in str(raised.value)
    feed = str(raised.value).partition("--feed ")[2].partition("=")[0]
    golden = run_graph(path, ["decoded"], feeds={feed: 0.0})
    assert sorted(golden.arrays) == ["inputs_x", "outputs_decoded"]


def test_random_output_is_left_out(saved):
    golden = run_graph(saved(encoder), ["mean_out", "decoded"])
    assert sorted(golden.arrays) == ["inputs_x", "outputs_mean_out"]
    assert list(golden.random) == ["outputs_decoded"]


def test_wrong_scale_is_no_dropout(saved):
    def build(x):
        h = dense(x, 16, "one")
        tf.identity(tf.math.divide(h, 0.5) * tf.floor(0.7 + v1.random_uniform(tf.shape(h))), "y")

    with pytest.raises(CheckpointError, match="y is random: it draws random numbers in random_uniform/RandomUniform"):
        run_graph(saved(build), ["y"])


def test_unsaved_weights_are_random(saved):
    def build(x):
        first = v1.random_normal_initializer(seed=1)
        local = [v1.GraphKeys.LOCAL_VARIABLES]
        weights = v1.get_variable("local", (8, 8), initializer=first, trainable=False, collections=local)
        tf.identity(dense(tf.matmul(x, weights), 2, "one"), "y")
        variable("saved", (1,))

    with pytest.raises(CheckpointError, match="not in the file, and starts with random numbers: local"):
        run_graph(saved(build), ["y"])


MODELS = """
import tensorflow as tf
layers = tf.keras.layers

def encoder():
    x = tf.keras.Input((8,))
    return tf.keras.Model(x, [layers.Dense(8, name="decoder")(layers.Dense(2, name="spread")(x)),
                              layers.Dense(2, name="mean")(x)])
"""


def test_verdict_excludes_random(saved, tmp_path, monkeypatch, capsys):
    (tmp_path / "random_models.py").write_text(MODELS)
    monkeypatch.chdir(tmp_path)
    path = saved(encoder)
    assert main(["golden", path, "--output", "decoded", "--output", "mean_out", "--to", "golden.npz"]) == 0
    assert "left out: outputs_decoded is random" in capsys.readouterr().out
    for golden in (["--golden", "golden.npz"], ["--output", "decoded", "--output", "mean_out"]):
        assert main(["verify", path, "--model", "random_models:encoder", *golden, "--json"]) == 0
        said = json.loads(capsys.readouterr().out)
        assert [output["name"] for output in said["outputs"]] == ["outputs_mean_out"]
        assert list(said["random"]) == ["outputs_decoded"]
    arrays = unpack(dict(np.load("golden.npz")), "golden.npz")
    only = arrays._replace(
        arrays={"inputs_x": arrays.arrays["inputs_x"]}, random=dict.fromkeys(["outputs_a", "outputs_b"], "x")
    )
    np.savez("random.npz", **only.packed())
    assert main(["verify", path, "--model", "random_models:encoder", "--golden", "random.npz"]) == 4
    assert "nothing to compare" in capsys.readouterr().err
    sys.modules.pop("random_models", None)


def normalized(h, training, form, gather=None):
    """Batch normalization as the layers of TF 1 write it; `gather` takes the operations that keep the averages."""
    names = ("moving_mean", "moving_variance")
    mean, variance = (variable(name, (4,), number, trainable=False) for number, name in enumerate(names))
    scale, offset = variable("gamma", (4,), 2), variable("beta", (4,), 3)
    if form == "fused":
        statistics = () if training else (mean, variance)
        fused = v1.nn.fused_batch_norm(h, scale, offset, *statistics, epsilon=1e-3, is_training=training)
        y, batch = fused[0], fused[1:]
    else:
        batch = tf.nn.moments(h, [0, 1, 2]) if training else (mean, variance)
        y = tf.nn.batch_normalization(h, *batch, offset, scale, 1e-3)
    if training:
        updates = [v1.assign_sub(old, (old - new) * 0.1) for old, new in zip((mean, variance), batch)]
        if form == "in_place":
            with tf.control_dependencies(updates):
                y = tf.identity(y)
    return y


@pytest.mark.parametrize("resource", [False, True])
@pytest.mark.parametrize("form", ["fused", "moments", "in_place"])
def test_moving_averages_are_used(form, resource, saved):
    def build(x, training=True):
        with v1.variable_scope("norm", use_resource=resource):
            y = normalized(tf.reshape(x, [-1, 2, 1, 4]), training, form)
        return tf.identity(y, "y")

    path = saved(build)
    golden = run_graph(path, ["y"])
    np.testing.assert_allclose(golden.arrays["outputs_y"], inferred(golden, build, path), rtol=1e-5)
    assert any(note.startswith("moving averages instead of the statistics of the batch: norm") for note in golden.notes)


def test_batch_statistics_are_noted(saved):
    def build(x):
        mean, variance = tf.nn.moments(dense(x, 4, "one"), [0], name="norm/moments")
        tf.identity((dense(x, 4, "one") - mean) / tf.sqrt(variance + 1e-3), "y")

    golden = run_graph(saved(build), ["y"])
    assert golden.notes == ("normalized with the statistics of the batch, which nothing averages: norm",)


def noisy(h, off):
    return v1.cond(off, lambda: tf.identity(h), lambda: h + v1.random_normal(tf.shape(h)))


SWITCHES = {
    "is_training": (lambda: v1.placeholder(tf.bool, name="switch"), tf.logical_not, "false"),
    "inference": (lambda: v1.placeholder(tf.bool, (), name="switch"), tf.identity, "true"),
    "on_by_default": (lambda: v1.placeholder_with_default(True, (), "switch"), tf.logical_not, "false"),
    "phase": (lambda: v1.placeholder(tf.int32, (), "switch"), lambda phase: tf.equal(phase, 1), "1"),
    "mode": (lambda: v1.placeholder(tf.float32, (), "switch"), lambda mode: mode < 0.5, "0.0"),
}


@pytest.mark.parametrize("name", sorted(SWITCHES))
def test_switches_are_found_by_use(name, saved):
    switch, off, value = SWITCHES[name]

    def build(x, training=True):
        h = dense(x, 16, "one")
        return tf.identity(dense(noisy(h, off(switch())) if training else h, 3, "two"), "y")

    path = saved(build)
    golden = run_graph(path, ["y"])
    np.testing.assert_allclose(golden.arrays["outputs_y"], inferred(golden, build, path), rtol=1e-6)
    assert f"switch = {value}: it decides between branches" in golden.notes


@pytest.mark.parametrize("value", [True, False])
def test_name_is_no_switch(value, saved):
    """What is called like a switch, and is data, has to be given."""

    def build(x):
        flag = v1.placeholder(tf.bool, (), "is_training")
        return tf.multiply(dense(x, 3, "one"), 1 + tf.cast(flag, tf.float32), "y")

    path = saved(build)
    with pytest.raises(CheckpointError, match=r"computes with is_training; .* --feed is_training=true or"):
        run_graph(path, ["y"])
    golden, plain = (run_graph(path, [name], feeds={"is_training": value}) for name in ("y", "one/add"))
    np.testing.assert_allclose(golden.arrays["outputs_y"], plain.arrays["outputs_one.add"] * (1 + value))


def test_switch_with_other_uses(saved):
    def build(x):
        flag = v1.placeholder(tf.bool, (), "late")
        return tf.identity(dense(noisy(x, tf.logical_not(flag)), 3, "one") + 0 * tf.cast(flag, tf.float32), "y")

    assert "late = false: it decides between branches" in run_graph(saved(build), ["y"]).notes


def test_batch_size_is_found_by_use(saved):
    def build(x, training=True):
        size = v1.placeholder(tf.int32, (), "size") if training else tf.shape(x)[0]
        return tf.concat([dense(x, 2, "one"), tf.zeros([size, 3])], 1, name="y")

    path = saved(build)
    golden = run_graph(path, ["y"])
    assert golden.arrays["outputs_y"].shape == (2, 5)
    assert golden.notes == ("size = 2: taken for the size of the batch",)


def test_lengths_are_found_by_use(saved):
    def build(x, training=True):
        sequence = tf.reshape(dense(x, 6, "one"), [-1, 3, 2])
        if not training:
            return tf.reverse(sequence, [1])
        return tf.identity(v1.reverse_sequence(sequence, v1.placeholder(tf.int32, (None,), "lengths"), 1), "y")

    path = saved(build)
    golden = run_graph(path, ["y"])
    np.testing.assert_array_equal(golden.arrays["outputs_y"], inferred(golden, build, path))
    assert sorted(golden.arrays) == ["inputs_x", "outputs_y"]


def from_iterator(x):
    features, _ = v1.data.make_one_shot_iterator(
        tf.data.Dataset.from_tensors((np.zeros((4, 8), "f4"), np.zeros(4, "i4"))).repeat()
    ).get_next()
    tf.identity(dense(features, 3, "one"), "y")


def from_queue(x):
    queue = v1.FIFOQueue(8, [tf.float32, tf.int32], shapes=[(8,), ()])
    features, _ = queue.dequeue_many(4)
    tf.identity(dense(features, 3, "one"), "y")


def from_examples(x):
    features = {"pixels": v1.FixedLenFeature((8,), tf.float32), "label": v1.FixedLenFeature((), tf.int64)}
    parsed = v1.parse_example(v1.placeholder(tf.string, (None,), "examples"), features)
    tf.identity(dense(parsed["pixels"], 3, "one"), "y")


@pytest.mark.parametrize("build", [from_iterator, from_queue, from_examples])
def test_fed_without_placeholders(build, saved):
    golden = run_graph(saved(build), ["y"])
    (name,) = [name for name in golden.arrays if name.startswith("inputs_")]
    with v1.Graph().as_default(), v1.Session() as session:
        wanted = dense(tf.constant(golden.arrays[name]), 3, "one")
        session.run(v1.global_variables_initializer())
        np.testing.assert_allclose(golden.arrays["outputs_y"], session.run(wanted), rtol=1e-6)
    assert name.endswith("pixels" if build is from_examples else ".0")


def train(loss, name="Adam"):
    v1.train.AdamOptimizer(name=name).minimize(loss)
    v1.summary.scalar("loss", loss)


def classifier(x):
    labels = v1.placeholder(tf.float32, (None, 3), "labels")
    logits = dense(tf.nn.relu(dense(x, 4, "one")), 3, "two")
    tf.nn.softmax(logits, name="probabilities")
    train(tf.reduce_mean(v1.nn.softmax_cross_entropy_with_logits_v2(labels=labels, logits=logits)))
    right = tf.equal(tf.argmax(logits, 1), tf.argmax(labels, 1))
    tf.reduce_mean(tf.cast(right, tf.float32), name="accuracy")


def autoencoder(x):
    decoded = tf.sigmoid(dense(tf.nn.relu(dense(x, 4, "one")), 8, "two"), name="decoded")
    train(tf.reduce_mean(tf.square(decoded - x)))


def adversarial(x):
    def discriminator(x):
        with v1.variable_scope("discriminator", reuse=v1.AUTO_REUSE):
            return dense(tf.nn.relu(dense(x, 4, "one")), 1, "two")

    with v1.variable_scope("generator"):
        noise = v1.placeholder(tf.float32, (None, 5), "noise")
        made = tf.tanh(dense(tf.nn.relu(dense(noise, 4, "one")), 8, "two"), name="made")
    real = tf.identity(discriminator(x), "real")
    train(tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(logits=real, labels=tf.ones_like(real))))
    train(tf.reduce_mean(tf.nn.softplus(discriminator(made))), "AdamG")


def averaged(x):
    """Moving averages that are updated at every step, and in a branch that only training takes."""
    v1.disable_control_flow_v2()
    training = v1.placeholder(tf.bool, (), "training")
    h = dense(x, 4, "one")
    mean = tf.reduce_mean(h, 0)
    averages = [variable(name, (4,), trainable=False, use_resource=False) for name in ("every", "some")]
    v1.assign_sub(averages[0], (averages[0] - mean) * 0.1, name="update")
    tf.cond(training, lambda: v1.assign_sub(averages[1], (averages[1] - mean) * 0.1), lambda: averages[1])
    dense(h - averages[0], 3, "two")


def measured(x):
    """Metrics, which accumulate in variables and assert what they are given, and a loss with weights."""
    logits = dense(x, 3, "two")
    labels = v1.placeholder(tf.int64, (2,), "labels")
    v1.metrics.accuracy(labels, tf.argmax(logits, 1), name="accuracy")
    v1.metrics.auc(tf.one_hot(labels, 3), tf.sigmoid(logits, "right"), name="auc")
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    tf.multiply(losses, tf.constant([0.5, 2.0]), name="loss")


def translator(x):
    """What enters is data of the decoder and its labels; lengths decide where a loop stops."""
    v1.disable_control_flow_v2()
    lengths = v1.placeholder(tf.int32, (None,), "lengths")
    target = v1.placeholder(tf.int32, (None, None), "target")
    _, state = tf.while_loop(
        lambda i, h: i < tf.reduce_max(lengths), lambda i, h: (i + 1, tf.tanh(dense(h, 8, "one"))), (0, x)
    )
    h = state[:, None] + tf.nn.embedding_lookup(variable("embedding", (5, 8)), target)
    rows = tf.matmul(tf.reshape(h, (-1, 8)), tf.reshape(variable("two/kernel", (8, 5)), (8, 5)))
    rows = tf.reshape(rows, tf.concat([tf.shape(target), [5]], 0))
    logits = tf.nn.bias_add(rows, variable("two/bias", (5,)), name="logits")
    train(tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=target, logits=logits)))


@pytest.mark.parametrize(
    "build, wanted",
    [(classifier, ["probabilities"]), (autoencoder, ["decoded"]), (adversarial, ["real", "generator/made"])]
    + [(averaged, ["two/add"]), (measured, ["right"]), (translator, ["logits"])],
)
def test_candidates_are_outputs(build, wanted, saved):
    with pytest.raises(CheckpointError, match="candidates: ") as raised:
        run_graph(saved(build))
    found = str(raised.value).partition("candidates: ")[2].split(", ")
    assert set(wanted) <= set(found)
    assert found[0] == wanted[0] or build is adversarial
    never = ("loss", "gradients", "Adam", "save", "init", "accuracy", "labels", "Mean", "softmax_cross", "logistic")
    never += ("update", "cond", "Assert", "auc", "embedding")
    assert not [name for name in found if any(word in name for word in never)]


def test_layer_within_fusion(saved):
    """TensorFlow fuses a convolution, its bias and LeakyRelu, of which a layer is the first two."""

    def build(x):
        with v1.variable_scope("conv"):
            image = tf.reshape(x, (-1, 4, 2, 1))
            made = tf.nn.conv2d(image, variable("kernel", (2, 2, 1, 3)), 1, "SAME")
            made = tf.nn.bias_add(made, variable("bias", (3,)), name="sum")
        tf.identity(tf.nn.leaky_relu(made), "y")

    layer = {"variables": ["conv/kernel", "conv/bias"], "shape": [None, 4, 2, 3], "activation": ""}
    arrays = run_graph(saved(build), ["y"], {"conv": layer}).arrays
    np.testing.assert_allclose(tf.nn.leaky_relu(arrays["layers_conv"]).numpy(), arrays["outputs_y"], rtol=1e-6)


PATHS = ["model.ckpt", "model.ckpt.meta", "model.ckpt.index", "model.ckpt.data-00000-of-00001", "checkpoint", ""]


@pytest.mark.parametrize("path", PATHS)
def test_graph_by_any_path(path, saved):
    folder = os.path.dirname(saved(classifier))
    assert "outputs_probabilities" in run_graph(os.path.join(folder, path), ["probabilities"]).arrays


@pytest.mark.parametrize("path", ["", ".meta", ".index", "checkpoint"])
def test_empty_base_name(path, tmp_path, monkeypatch):
    with v1.Graph().as_default(), v1.Session() as session:
        classifier(v1.placeholder(tf.float32, (None, 8), "x"))
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(tmp_path) + os.sep)
    assert "outputs_probabilities" in run_graph(str(tmp_path / path), ["probabilities"]).arrays
    monkeypatch.chdir(tmp_path)
    assert "outputs_probabilities" in run_graph(path or ".", ["probabilities"]).arrays


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("form", ["saved_model", "frozen"])
def test_graph_alone_in_directory(form, text, tmp_path, capsys):
    with v1.Graph().as_default() as graph, v1.Session() as session:
        classifier(v1.placeholder(tf.float32, (None, 8), "x"))
        session.run(v1.global_variables_initializer())
        folder = str(tmp_path / "graph")
        if form == "frozen":
            constants = v1.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), ["probabilities"])
            v1.train.write_graph(constants, folder, "frozen.pbtxt" if text else "frozen.pb", as_text=text)
        else:
            tensors = [graph.get_tensor_by_name(name + ":0") for name in ("x", "probabilities")]
            signature = v1.saved_model.predict_signature_def({"x": tensors[0]}, {"y": tensors[1]})
            builder = v1.saved_model.Builder(folder)
            builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature})
            builder.save(as_text=text)
    outputs = ["probabilities"] if form == "frozen" else []
    assert len(run_graph(folder, outputs).arrays) == 2
    assert main(["inspect", folder]) == (4 if form == "frozen" and text else 0)


def test_unknown_op_runs_elsewhere(saved, tmp_path, monkeypatch, capsys):
    """An operation that this TensorFlow lacks: whoever CARRYOVER_TENSORFLOW_PYTHON names is asked."""
    definition = v1.GraphDef()
    definition.node.add(name="x", op="Placeholder").attr["dtype"].type = 1
    definition.node.add(name="y", op="OfContribAlone").input.append("x")
    (tmp_path / "graph.pb").write_bytes(definition.SerializeToString())
    arguments = ["golden", str(tmp_path / "graph.pb"), "--output", "y", "--to", str(tmp_path / "golden.npz")]
    monkeypatch.delenv("CARRYOVER_TENSORFLOW_PYTHON", raising=False)
    assert main(arguments) == 4
    said = capsys.readouterr().err
    assert "Op type not registered 'OfContribAlone'" in said and "--python PATH" in said
    np.savez(str(tmp_path / "made.npz"), inputs_x=np.ones(2), outputs_y=np.ones(2))
    other = tmp_path / "python"
    other.write_text(f'#!/bin/sh\nwhile [ "$1" != --to ]; do shift; done\ncp "{tmp_path}/made.npz" "$2"\n')
    other.chmod(0o755)
    monkeypatch.setenv("CARRYOVER_TENSORFLOW_PYTHON", str(other))
    assert main(arguments) == 0
    assert "cannot load the graph: it runs in CARRYOVER_TENSORFLOW_PYTHON" in capsys.readouterr().err


def test_golden_keeps_its_notes():
    golden = Golden({"outputs_y": np.ones(2)}, {"outputs_z": "draws"}, ("noted",))
    packed = golden.packed()
    again = unpack(packed, "golden.npz")
    assert again[1:] == golden[1:] and list(again.arrays) == ["outputs_y"]
    with pytest.raises(CheckpointError, match=r"^golden.npz: about is not what golden writes"):
        unpack({**packed, "about": packed["about"][:-1]}, "golden.npz")
    assert list(golden._replace(random={}, notes=()).packed()) == ["outputs_y"]


def test_ids_reach_beyond_the_first_rows(saved):
    def build(x):
        ids = v1.placeholder(tf.int32, (None, 40), "ids")
        rows = tf.reduce_sum(tf.gather(variable("table", (30, 4)), ids), 1)
        return tf.concat([dense(x, 2, "one"), rows], 1, name="y")

    arrays = run_graph(saved(build), ["y"]).arrays
    assert arrays["inputs_ids"].min() >= 0 and 20 < arrays["inputs_ids"].max() < 30
