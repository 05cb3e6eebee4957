"""TF 1's own optimizers in eager mode, in every TensorFlow that is installed, against what TF 1.15 trained on to."""

from __future__ import annotations

import numpy as np
import pytest

from checkpoints import (
    CheckpointError,
    MappingError,
    load,
    load_optimizer,
    make_plan,
    model_variables,
    open_checkpoint,
    write_saver,
)

from .support import data

tf = pytest.importorskip("tensorflow")
if not tf.executing_eagerly():
    tf.compat.v1.enable_eager_execution()
keras = tf.keras
train = tf.compat.v1.train
KERAS_3 = hasattr(keras, "version")

# As data/make_optimizers.py makes them.
OPTIMIZERS = {
    "adam": lambda: train.AdamOptimizer(1e-2),
    "momentum": lambda: train.MomentumOptimizer(1e-2, 0.9),
    "rmsprop": lambda: train.RMSPropOptimizer(1e-2, decay=0.9, momentum=0.5, epsilon=1e-7),
    "centered": lambda: train.RMSPropOptimizer(1e-2, decay=0.9, momentum=0.5, epsilon=1e-7, centered=True),
    "adagrad": lambda: train.AdagradOptimizer(1e-2),
    "ftrl": lambda: train.FtrlOptimizer(1e-2),
    "sgd": lambda: train.GradientDescentOptimizer(1e-2),
}


@pytest.fixture
def model():
    inputs = keras.Input((4,))
    return keras.Model(inputs, keras.layers.Dense(3, name="fc")(inputs))


def powers(optimizer):
    """The values of Adam's running powers."""
    return [power.numpy() for power in optimizer._get_beta_accumulators()]


@pytest.mark.parametrize("used", [False, True])
@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_training_goes_on_as_in_tf1(name, used, model):
    with np.load(data("optimizers.npz")) as stored:
        golden = dict(stored)
    variables = model_variables({"net": model})
    watched = [weight.value if KERAS_3 else weight for weight in model.trainable_weights]
    optimizer = OPTIMIZERS[name]()

    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(golden["x"]) - golden["y"]))
        optimizer.apply_gradients(list(zip(tape.gradient(loss, watched), watched)))

    if used:  # slots that are there already are assigned, not made anew
        step()
    with open_checkpoint(data("optimizer_" + name)) as checkpoint:
        plan = make_plan(checkpoint, variables)
        load(plan, checkpoint, variables)
        carried = load_optimizer(plan, checkpoint, optimizer, variables)
    assert carried.steps == 20
    assert len(carried.notes) == (1 if name in ("rmsprop", "centered") else 0)  # their epsilon is not TF 1's default
    for _ in range(10):
        step()
    for weight, leaf in zip(model.get_weights(), ("kernel", "bias")):
        # Measured: at most 3.0e-8, with 1.15, 2.15 and 2.21.
        np.testing.assert_allclose(weight, golden[f"{name}_{leaf}"], rtol=0, atol=1e-7)


@pytest.mark.parametrize("legacy", [False, True])
def test_momentum_becomes_the_velocity_of_a_schedules_rate_at_that_step(legacy, model):
    optimizers = getattr(keras.optimizers, "legacy", None) if legacy else keras.optimizers
    if optimizers is None or (legacy and KERAS_3):
        pytest.skip("unsupported: this Keras has no legacy optimizers")
    optimizer = optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5), momentum=0.9)
    variables = model_variables({"net": model})
    with open_checkpoint(data("optimizer_momentum")) as checkpoint:
        plan = make_plan(checkpoint, variables)
        carried = load_optimizer(plan, checkpoint, optimizer, variables)
        accumulator = checkpoint.read("net/fc/kernel/Momentum")
    assert (carried.slots, carried.steps, len(carried.notes)) == (2, 20, 2)
    held = optimizer.variables() if callable(optimizer.variables) else optimizer.variables
    (velocity,) = [variable.numpy() for variable in held if tuple(variable.shape) == (4, 3)]
    np.testing.assert_allclose(velocity, accumulator * -0.025, rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", ["keras2_sgd", "keras3_sgd", "legacy_sgd"])
def test_training_goes_on_as_in_keras(name, model):
    with np.load(data(f"trained_{name}.npz")) as stored:
        golden = dict(stored)
    variables = model_variables({"": model})
    watched = [weight.value if KERAS_3 else weight for weight in model.trainable_weights]
    optimizer = OPTIMIZERS["momentum"]()
    with open_checkpoint(data("trained_" + name)) as checkpoint:
        plan = make_plan(checkpoint, variables, infer=True)
        load(plan, checkpoint, variables)
        assert load_optimizer(plan, checkpoint, optimizer, variables) == (2, 5, ())
    for _ in range(5):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(golden["x"]) - golden["y"]))
        optimizer.apply_gradients(list(zip(tape.gradient(loss, watched), watched)))
    for weight, leaf in zip(model.get_weights(), ("kernel", "bias")):
        np.testing.assert_allclose(weight, golden[leaf], rtol=0, atol=5e-7)


@pytest.mark.skipif(
    KERAS_3, reason="unsupported: tf.train.Checkpoint knows no variables of Keras 3 in these optimizers"
)
@pytest.mark.parametrize("name", ["adam", "momentum"])
def test_slots_of_these_optimizers_in_object_based_checkpoints_are_known(name, model, tmp_path):
    optimizer, again = OPTIMIZERS[name](), OPTIMIZERS[name]()
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(model(np.ones((2, 4), "f4"))))
    weights = model.trainable_weights
    optimizer.apply_gradients(list(zip(tape.gradient(loss, weights), weights)))
    path = tf.train.Checkpoint(model=model, optimizer=optimizer).save(str(tmp_path / "objects"))
    variables = model_variables({"": model})
    with open_checkpoint(path) as checkpoint:
        plan = make_plan(checkpoint, variables, infer=True)
        load_optimizer(plan, checkpoint, again, variables, steps=1)
    for slot in optimizer.get_slot_names():
        for weight in weights:
            np.testing.assert_array_equal(*(made.get_slot(weight, slot).numpy() for made in (again, optimizer)))


def test_adams_powers_are_the_files_or_computed_as_tf1_does(model):
    variables = model_variables({"net": model})
    optimizer = OPTIMIZERS["adam"]()
    with open_checkpoint(data("optimizer_adam")) as checkpoint:
        (first,) = [name for name in checkpoint.tensors if name.endswith("beta1_power")]
        wanted = [checkpoint.read(first), checkpoint.read(first.replace("beta1", "beta2"))]
        plan = make_plan(checkpoint, variables)
        load_optimizer(plan, checkpoint, optimizer, variables)
        assert powers(optimizer) == wanted
        load_optimizer(plan, checkpoint, optimizer, variables, steps=3)
        assert powers(optimizer) == pytest.approx([0.9**4, 0.999**4])
        load_optimizer(plan, checkpoint, optimizer, variables, steps=20)
        assert powers(optimizer) == wanted


def test_powers_of_several_adams_are_not_guessed(model, tmp_path):
    variables = model_variables({"net": model})
    with open_checkpoint(data("optimizer_adam")) as checkpoint:
        values = {name: checkpoint.read(name) for name in checkpoint.tensors}
    write_saver(tmp_path / "two", dict(values, beta1_power_1=np.float32(0.81), beta2_power_1=np.float32(0.998001)))
    with open_checkpoint(tmp_path / "two") as checkpoint:
        plan = make_plan(checkpoint, variables)
        with pytest.raises(MappingError, match=r"several Adams \(.*: 20 steps; .*: 1 steps\)"):
            load_optimizer(plan, checkpoint, OPTIMIZERS["adam"](), variables)
        assert load_optimizer(plan, checkpoint, OPTIMIZERS["adam"](), variables, steps=20).steps == 20


def test_an_epsilon_that_is_not_tf1s_is_said_aloud(model):
    variables = model_variables({"net": model})
    with open_checkpoint(data("optimizer_adam")) as checkpoint:
        plan = make_plan(checkpoint, variables)
        for optimizer, epsilon in ((keras.optimizers.Adam(), "1e-07"), (train.AdamOptimizer(epsilon=0.1), "0.1")):
            (note,) = load_optimizer(plan, checkpoint, optimizer, variables).notes
            assert note.startswith(f"epsilon is {epsilon} here, 1e-08 by default in TF 1")


def test_a_static_graph_and_other_optimizers_are_refused(model):
    with open_checkpoint(data("optimizer_momentum")) as checkpoint:
        eager = model_variables({"net": model})
        with pytest.raises(CheckpointError, match=r"ProximalAdagradOptimizer: only .* are known"):
            load_optimizer(make_plan(checkpoint, eager), checkpoint, train.ProximalAdagradOptimizer(1e-2), eager)
        with tf.Graph().as_default():
            shapes = {"net/fc/kernel": (4, 3), "net/fc/bias": (3,)}
            variables = {name: tf.Variable(np.zeros(shape, "f4")) for name, shape in shapes.items()}
            plan = make_plan(checkpoint, variables)
            with pytest.raises(CheckpointError, match=r"net/fc/.* belongs to a static graph: restore it with a Saver"):
                load_optimizer(plan, checkpoint, train.MomentumOptimizer(1e-2, 0.9), variables)
