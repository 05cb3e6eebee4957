"""With a real Keras, where one is installed: layers, optimizers and object-based checkpoints, against what TF computed.

Runs in every environment from TF 1.15 on, and is skipped where there is none.
"""

from __future__ import annotations

import numpy as np
import pytest

from checkpoints import CheckpointError, load, load_optimizer, make_plan, model_variables, open_checkpoint, write_saver

from . import goes_on, networks
from .support import corpus, data, needs_corpus

tf = pytest.importorskip("tensorflow")
if not tf.executing_eagerly():
    tf.compat.v1.enable_eager_execution()
keras = tf.keras
layers = keras.layers
KERAS_3 = hasattr(keras, "version")


def recurrent(name):
    """LSTM or GRU with the arithmetic of TF 2, which 1.15 has under another name."""
    if tf.__version__.startswith("1."):
        return getattr(pytest.importorskip("tensorflow.python.keras.layers.recurrent_v2"), name)
    return getattr(layers, name)


@pytest.fixture(scope="module")
def golden():
    with np.load(data("layouts.npz")) as stored:
        return dict(stored)


@pytest.mark.parametrize("case", networks.CASES)
def test_a_layer_computes_what_it_computed_in_tf1(case, golden):
    networks.check_layer(keras, case, golden, recurrent)


def ten_steps_lead_to(model, optimizer, data, wanted):
    """Trains ten steps more on `data`, and compares the weights with what TensorFlow 1 came to."""
    weights = model.trainable_weights
    watched = [weight.value for weight in weights] if KERAS_3 else weights
    for _ in range(10):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(data["x"]) - data["y"]))
        optimizer.apply_gradients(zip(tape.gradient(loss, watched), weights))
    for weight, values in zip(model.get_weights(), wanted):
        # Measured: at most 2.4e-7.
        np.testing.assert_allclose(weight, values, rtol=0, atol=5e-7)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("name", networks.OPTIMIZERS)
def test_training_goes_on_as_in_tf1(name, legacy):
    if legacy and (KERAS_3 or not hasattr(keras.optimizers, "legacy")):
        pytest.skip("this Keras has no legacy optimizers")
    with np.load(data("optimizers.npz")) as stored:
        golden = dict(stored)
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(3, name="fc")(inputs))
    variables = model_variables({"net": model})
    with open_checkpoint(data("optimizer_" + name)) as checkpoint:
        plan = make_plan(checkpoint, variables)
        done = []
        load(plan, checkpoint, variables, done.append)
        assert sorted(done) == sorted(variables)
        optimizer = networks.optimizers(keras.optimizers.legacy if legacy else keras.optimizers)[name]()
        assert load_optimizer(plan, checkpoint, optimizer, variables).steps == 20
    ten_steps_lead_to(model, optimizer, golden, [golden[f"{name}_{leaf}"] for leaf in ("kernel", "bias")])


# What the Keras optimizers of the file had by default, which no file stores.
NAMED = {
    "keras_adam": ("Adam", {"learning_rate": 0.01, "epsilon": 1e-7}, None),
    "keras_sgd": ("SGD", {"learning_rate": 0.01, "momentum": 0.9}, None),
    "keras_rmsprop": ("RMSprop", {"learning_rate": 0.01, "epsilon": 1e-7}, None),
    "keras_ftrl": ("Ftrl", {"learning_rate": 0.1}, None),
    "named_adam": ("Adam", {"learning_rate": 0.01, "epsilon": 1e-8}, "dis_opt"),
    "named_momentum": ("SGD", {"learning_rate": 0.01, "momentum": 0.9}, "opt"),
}


@pytest.mark.parametrize("case", sorted(NAMED))
def test_training_goes_on_where_slots_have_other_names_than_those_of_tf1(case):
    kind, settings, name = NAMED[case]
    with np.load(data(f"slots_{case}.npz")) as stored:
        golden = dict(stored)
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(3, name="fc")(inputs))
    variables = model_variables(model)
    optimizer = getattr(keras.optimizers, kind)(**settings)
    newer = not hasattr(optimizer, "get_slot")
    if kind == "RMSprop" and newer:
        # Added inside the root from 2.11 on, outside before.
        optimizer.epsilon = 1e-14
    with open_checkpoint(data("slots_" + case)) as checkpoint:
        plan = make_plan(checkpoint, variables)
        load(plan, checkpoint, variables)
        steps = None if case.startswith("keras") else 20
        carried = load_optimizer(plan, checkpoint, optimizer, variables, steps=steps, name=name)
    assert (carried.slots, carried.steps) == (2 if kind in ("SGD", "RMSprop") else 4, 20)
    assert any("outside the root" in note for note in carried.notes) == (kind == "RMSprop" and newer)
    ten_steps_lead_to(model, optimizer, golden, [golden["kernel"], golden["bias"]])


def generations():
    """Keras's optimizers, and the legacy ones beside them where there are both."""
    legacy = getattr(keras.optimizers, "legacy", None)
    return [keras.optimizers] + ([legacy] if legacy is not None and not KERAS_3 else [])


def test_unequal_steps():
    for module in generations():
        goes_on.check_unequal(keras, module, data("unequal"))


def test_partitioned_slots():
    for module in generations():
        goes_on.check_partitioned(keras, module)


@pytest.mark.parametrize("name", goes_on.MULTI_BACKEND)
def test_multi_backend_state(name):
    pytest.importorskip("h5py")
    for module in generations():
        goes_on.check_multi_backend(keras, module, name)


def test_one_model_needs_no_key_and_what_is_no_model_is_said():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(3, name="fc")(inputs))
    assert list(model_variables(model)) == list(model_variables({"": model})) == ["fc/kernel", "fc/bias"]
    with pytest.raises(CheckpointError, match="no Keras model but of type str"):
        model_variables({"net": "model.h5"})


def test_names_of_stacked_cells():
    inputs = keras.Input((4, 3))
    cells = [layers.LSTMCell(2, name=name) for name in ("one", "two", "three")]
    variables = model_variables(keras.Model(inputs, layers.RNN(cells, name="rnn")(inputs)))
    leaves = ("kernel", "recurrent_kernel", "bias")
    assert sorted(variables) == sorted(f"rnn/{cell}/{leaf}" for cell in ("one", "two", "three") for leaf in leaves)


class WithCell(layers.Layer):
    """A layer of the user's own with a layer in an attribute that recurrent layers have for their one cell."""

    def __init__(self):
        super().__init__(name="mine")
        self.cell = layers.Dense(2, name="first")
        self.other = layers.Dense(2, name="second")

    def call(self, inputs):
        return self.other(self.cell(inputs))


class Later(keras.Model):
    """A model of the user's own, whose layers are built when it is called."""

    def __init__(self):
        super().__init__(name="later")
        self.inner = layers.Dense(2, name="inner")

    def call(self, inputs):
        return self.inner(inputs)

    def compute_output_shape(self, input_shape):
        return input_shape


def test_inner_layers_that_are_not_built():
    inputs = keras.Input((3, 2))
    model = keras.Model(inputs, layers.TimeDistributed(Later(), name="wrapper")(inputs))
    if not model.weights:
        with pytest.raises(CheckpointError, match="wrapper: layer inner inside has no variables yet; call the model"):
            model_variables(model)
        model(np.zeros((1, 3, 2), "f4"))
    assert sorted(model_variables(model)) == ["wrapper/later/inner/bias", "wrapper/later/inner/kernel"]


def test_layer_in_attribute_cell_keeps_its_name():
    inputs = keras.Input((2,))
    variables = model_variables(keras.Model(inputs, WithCell()(inputs)))
    leaves = ("kernel", "bias")
    assert sorted(variables) == sorted(f"mine/{name}/{leaf}" for name in ("first", "second") for leaf in leaves)


@pytest.mark.parametrize("generation", [2, 3])
def test_object_based_checkpoints_of_either_keras_load(generation):
    model = networks.object_model(keras)
    variables = model_variables({"": model})
    path = data(f"objects_keras{generation}")
    with open_checkpoint(path) as checkpoint:
        load(make_plan(checkpoint, variables, infer=True), checkpoint, variables)
    with np.load(path + ".npz") as stored:
        for number, weight in enumerate(model.get_weights()):
            assert np.array_equal(weight, stored[f"arr_{number}"])


def preprocessing(name):
    """The layer of that name, which moved about between releases; skips where there is none."""
    before = getattr(getattr(layers, "experimental", None), "preprocessing", None)
    found = getattr(layers, name, None) or getattr(before, name, None)
    return found or pytest.skip(f"this Keras has no {name}")


def lookup_layer(name):
    """A layer that was adapted to data, and its input."""
    if name == "TextVectorization" or name == "frequencies":
        modes = {"frequencies": ("tf_idf", "tf-idf")}.get(name, ("int",))
        for mode in modes:
            try:
                layer = preprocessing("TextVectorization")(max_tokens=8, output_mode=mode, name="lookup")
                break
            except ValueError:
                continue
        layer.adapt(np.array(["one two", "two three"]))
        return layer, keras.Input((1,), dtype="string")
    words = name == "StringLookup"
    layer = preprocessing(name)(name="lookup")
    layer.adapt(np.array([["one"], ["two"]]) if words else np.array([[1], [2]]))
    return layer, keras.Input((1,), dtype="string" if words else "int64")


@pytest.mark.parametrize("name", ["TextVectorization", "frequencies", "StringLookup", "IntegerLookup"])
def test_lookup_tables_keep_their_words(name, tmp_path):
    layer, inputs = lookup_layer(name)
    words = layer.get_vocabulary()
    own = layers.Dense(2, use_bias=False, name="own") if name == "frequencies" else layers.Embedding(8, 2, name="own")
    model = keras.Model(inputs, own(layer(inputs)))
    variables = model_variables({"net": model})
    ((variable, weight),) = variables.items()
    assert variable.startswith("net/own/") and list(variables.excluded) == ["net/lookup"]
    write_saver(str(tmp_path / "m"), {variable: np.full(tuple(weight.shape), 0.5, "f4")})
    with open_checkpoint(tmp_path / "m") as checkpoint:
        load(make_plan(checkpoint, variables, infer=True), checkpoint, variables)
    assert np.all(own.get_weights()[0] == 0.5)
    assert layer.get_vocabulary() == words


@pytest.mark.parametrize("file, case", networks.CELLS)
def test_recurrent_cells(file, case, tmp_path):
    back = networks.check_cell(keras, file, case, tmp_path)
    with open_checkpoint(data(file)) as checkpoint:
        variables = {n: checkpoint.read(n) for n in checkpoint.tensors if n.startswith(case + "/")}
    v1 = tf.compat.v1
    with v1.Graph().as_default(), v1.Session() as session:
        restored = {name: v1.get_variable(name, value.shape) for name, value in variables.items()}
        v1.train.Saver().restore(session, back)
        for name, value in session.run(restored).items():
            # Adding the forget bias of 1 and taking it away again rounds; nothing else is computed.
            bound = 6e-8 if file.startswith("old") and name.lower().endswith(("bias", "biases", "/b")) else 0
            np.testing.assert_allclose(value, variables[name], rtol=0, atol=bound)


@pytest.mark.parametrize("case", ["basic", "basic_both", "basic_stack", "block", "block_both", "block_stack"])
def test_cells_restore_in_tf1(case, tmp_path):
    """What was written back, restored by the Saver of TF 1 into its own cells, computes what they computed."""
    contrib = pytest.importorskip("tensorflow.contrib.rnn", reason="this TensorFlow has no contrib")
    back = networks.check_cell(keras, "rnn_1.15", case, tmp_path)
    with np.load(data("rnn_1.15.npz")) as stored:
        golden = dict(stored)
    v1 = tf.compat.v1
    cell = contrib.GRUBlockCell if case.startswith("block") else v1.nn.rnn_cell.BasicRNNCell
    with v1.Graph().as_default(), v1.Session() as session:
        x = tf.constant(golden["inputs"])
        with v1.variable_scope(case):
            if case.endswith("both"):
                outputs = tf.concat(v1.nn.bidirectional_dynamic_rnn(cell(2), cell(2), x, dtype=tf.float32)[0], 2)
            else:
                stack = case.endswith("stack")
                made = v1.nn.rnn_cell.MultiRNNCell([cell(2), cell(2)]) if stack else cell(2)
                outputs = v1.nn.dynamic_rnn(made, x, dtype=tf.float32)[0]
        v1.train.Saver().restore(session, back)
        np.testing.assert_allclose(session.run(outputs), golden[case], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", networks.TRAINED)
def test_training_of_either_keras_goes_on(name):
    networks.check_trained_on(keras, name)


def test_tensorflow_itself_restores_nothing_of_the_other_keras_and_says_nothing():
    """The reason for reading such files here; once this fails, TensorFlow has learnt it."""
    model = networks.object_model(keras)
    before = model.get_weights()
    tf.train.Checkpoint(model=model).restore(data(f"objects_keras{2 if KERAS_3 else 3}")).expect_partial()
    assert all(np.array_equal(*pair) for pair in zip(model.get_weights(), before))


def test_what_is_written_is_what_tensorflow_reads(tmp_path):
    with open_checkpoint(data("types")) as checkpoint:
        values = {name: checkpoint.read(name) for name in checkpoint.tensors}
    write_saver(tmp_path / "m", values)
    reader = tf.train.load_checkpoint(str(tmp_path / "m"))
    assert sorted(reader.get_variable_to_shape_map()) == sorted(values)
    for name in ("d/float32", "d/int64", "d/complex128", "d/bool", "scalar", "empty"):
        assert np.asarray(reader.get_tensor(name)).tobytes() == values[name].tobytes()
    assert reader.get_tensor("s/scalar") == values["s/scalar"][()]


@needs_corpus
def test_verify_runs_the_graph_that_came_with_a_checkpoint(tmp_path, monkeypatch, capsys):
    from checkpoints.cli import main

    (tmp_path / "cifar_model.py").write_text(
        "import tensorflow as tf\n"
        "def build():\n"
        "    inputs = tf.keras.Input((32, 32, 3))\n"
        "    x = tf.keras.layers.Conv2D(32, 7, strides=2, activation='relu')(inputs)\n"
        "    return tf.keras.Model(inputs, tf.keras.layers.Dense(10)(tf.keras.layers.Flatten()(x)))\n"
    )
    monkeypatch.chdir(tmp_path)
    (folder,) = corpus("mlnet-cifar-ckpt")
    arguments = ["verify", folder, "--model", "cifar_model:build", "--graph", folder + "/model.ckpt"]
    assert main([*arguments, "--output", "add_1"]) == 0
    assert main([*arguments, "--output", "Output"]) == 1
    assert "DIFFERS" in capsys.readouterr().out
