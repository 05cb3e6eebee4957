"""Training that goes on in Keras from the state of an optimizer in data/, against what its writer went on to."""

from __future__ import annotations

import numpy as np

from checkpoints import Ignore, load, load_optimizer, make_plan, model_variables, open_checkpoint
from checkpoints.keras_models import value_of
from checkpoints.optimizers.keras_slots import Held

from .support import data

MULTI_BACKEND = ("adam", "rmsprop", "sgd")
# Measured: 2.4e-7 on every backend; RMSprop of Keras 2.2.4 adds its epsilon outside of the root.
CLOSE = {"rtol": 0, "atol": 1e-6}
NEAR = {"rtol": 0, "atol": 5e-6}


def _golden(name):
    with np.load(data(name + ".npz")) as stored:
        return dict(stored)


def _train(model, optimizer, golden):
    model.compile(optimizer=optimizer, loss="mse")
    for _ in range(10):
        model.train_on_batch(golden["x"], golden["y"])


def _dense(keras, inputs, *layers):
    x = entry = keras.Input((inputs,))
    for units, name in layers:
        x = keras.layers.Dense(units, name=name)(x)
    return keras.Model(entry, x)


def check_unequal(keras, module, path):
    """Loads the three optimizers of data/unequal from `path`, and trains each on as TF 1.15 did."""
    golden = _golden("unequal")
    for name, steps in (("a", 3), ("b", 40), ("c", 50)):
        adam = name in "ab"
        optimizer = module.Adam(1e-2, epsilon=1e-8) if adam else module.SGD(1e-2, momentum=0.9)
        model = _dense(keras, 4, (3, name))
        variables = model_variables({"": model})
        with open_checkpoint(path) as checkpoint:
            others = Ignore(f"(?!{name}/).*", "another model's")
            plan = make_plan(checkpoint, variables, [others], infer=True)
            load(plan, checkpoint, variables)
            carried = load_optimizer(plan, checkpoint, optimizer, variables)
        assert carried.steps == int(np.asarray(value_of(optimizer.iterations))) == steps
        # The graph says that Momentum shares the counter, and so how many steps were its own is not known.
        assert carried.notes == () if adam else "global_step counts 50 steps" in "".join(carried.notes)
        _train(model, optimizer, golden)
        for leaf in ("kernel", "bias"):
            np.testing.assert_allclose(value_of(variables[f"{name}/{leaf}"]), golden[f"{name}.{leaf}"], **CLOSE)


def check_partitioned(keras, module):
    """Loads data/partitioned, whose slots are in parts with names cut short, and trains on as TF 1.15 did."""
    golden = _golden("partitioned")
    model = _dense(keras, 5, (3, "fc"))
    variables, optimizer = model_variables({"": model}), module.Adam(1e-2, epsilon=1e-8)
    with open_checkpoint(data("partitioned")) as checkpoint:
        plan = make_plan(checkpoint, variables, infer=True)
        load(plan, checkpoint, variables)
        assert load_optimizer(plan, checkpoint, optimizer, variables) == (4, 20, ())
    _train(model, optimizer, golden)
    for value, leaf in zip(model.get_weights(), ("kernel", "bias")):
        np.testing.assert_allclose(value, golden[leaf], **CLOSE)


def check_multi_backend(keras, module, name):
    """Loads data/multi_backend_<name>, whose slots have no names, and trains on as Keras 2.2.4 did."""
    # As the notes advise where RMSprop has its epsilon inside the root.
    inside = not hasattr(module.RMSprop(), "get_slot")
    makers = {
        "adam": lambda: module.Adam(1e-2, epsilon=1e-7),
        "sgd": lambda: module.SGD(1e-2, momentum=0.9),
        "rmsprop": lambda: module.RMSprop(1e-2, rho=0.9, epsilon=1e-14 if inside else 1e-7),
    }
    inputs = keras.Input((4,))
    model = keras.Model(inputs, [keras.layers.Dense(3, name=layer)(inputs) for layer in ("b_first", "a_last")])
    variables, optimizer = model_variables({"": model}), makers[name]()
    with open_checkpoint(data(f"multi_backend_{name}.h5")) as checkpoint:
        plan = make_plan(checkpoint, variables, infer=True)
        load(plan, checkpoint, variables)
        carried = load_optimizer(plan, checkpoint, optimizer, variables)
        written = [checkpoint.read(tensor) for tensor in checkpoint.state_order]
    assert any("outside the root" in note for note in carried.notes) == (name == "rmsprop" and inside)
    # RMSprop of that Keras counts nothing.
    assert carried[:2] == ({"adam": 8}.get(name, 4), {"rmsprop": None}.get(name, 7))
    if name == "adam":
        held = {slot: value_of(variable) for slot, variable in _slots(optimizer, variables).items()}
        order = [(variable, slot) for slot in "mv" for variable in variables]
        assert all(np.array_equal(held[place], value) for place, value in zip(order, written[1:]))
        return
    golden = _golden("multi_backend_" + name)
    model.compile(optimizer=optimizer, loss="mse")
    for _ in range(10):
        model.train_on_batch(golden["x"], [golden["y"], -golden["y"]])
    for number, value in enumerate(model.get_weights()):
        np.testing.assert_allclose(value, golden[f"weight_{number}"], **(NEAR if name == "rmsprop" else CLOSE))


def _slots(optimizer, variables):
    return {(slot.name, slot.slot): slot.variable for slot in Held(optimizer).slots(variables)}
