"""A TensorFlow 1 checkpoint into Keras models, its variables renamed."""

from __future__ import annotations

import collections
import os
import re

import numpy as np
import pytest

import checkpoints
from gan import subject


def open_artifact(artifact):
    return checkpoints.open_checkpoint(os.path.join(artifact, "model.ckpt"))


def load(artifact):
    """(plan, models, their variables by name) after loading `artifact`."""
    models = subject.keras_models()
    variables = checkpoints.model_variables(models)
    with open_artifact(artifact) as source:
        plan = checkpoints.make_plan(source, variables, subject.RULES)
        checkpoints.load(plan, source, variables)
    return plan, models, variables


def own_name(variable):
    """What this release's Keras calls a variable: Keras 3 has a path, Keras 2 a name that ends in :0."""
    return getattr(variable, "path", variable.name)


@pytest.mark.consumes("tf1-saver")
def test_every_variable_of_the_file_and_of_the_models_is_accounted_for(artifact, record_property):
    plan, _, variables = load(artifact)
    with open_artifact(artifact) as source:
        assert sorted(row.source for row in plan.rows) == sorted(source.tensors)
        for row in plan.rows:
            assert row.reason, "{} is left without a reason".format(row.source)
            if row.target is not None:
                np.testing.assert_array_equal(variables[row.target].numpy(), source.read(row.source))
    loaded = [row.target for row in plan.rows if row.target is not None]
    assert sorted(loaded) == sorted(variables), "each variable of the models exactly once"
    record_property("loaded", len(loaded))
    record_property("left", len(plan.rows) - len(loaded))
    print(plan.table())  # in the log, whole
    arrows = ["{} -> {}".format(row.source, own_name(variables[row.target])) for row in plan.rows if row.target]
    left = collections.Counter(row.reason.split()[0] for row in plan.rows if not row.target)
    arrows.append("left in the file: " + ", ".join("{} {}s".format(n, role) for role, n in sorted(left.items())))
    record_property("text", "\n".join(arrows))


@pytest.mark.consumes("tf1-saver")
def test_loaded_models_compute_what_tensorflow_1_computed(artifact, record_property):
    _, models, _ = load(artifact)
    with np.load(os.path.join(artifact, "golden.npz")) as golden:
        inputs = {name: golden["inputs_" + name] for name in models}
        expected = {name: golden["outputs_" + name] for name in models}
    outputs = subject.outputs_of(models, inputs)
    ulps = {name: checkpoints.ulps_of_largest(outputs[name], expected[name]) for name in models}
    record_property("ulps", max(ulps.values()))
    record_property("bound", subject.ULPS)
    assert all(distance <= subject.ULPS for distance in ulps.values()), ulps


@pytest.mark.consumes("tf1-saver")
def test_what_does_not_map_is_named_all_at_once(artifact):
    """A variable that no rule names, two for one target and one of another shape: one error with every name in it.

    Inference would find the place of the first, the only one of its shape.
    """
    variables = checkpoints.model_variables(subject.keras_models())
    with open_artifact(artifact) as source:
        plan = checkpoints.make_plan(source, variables, subject.RULES)
        loaded = [row for row in plan.rows if row.target is not None]
        unmapped, doubled, *others = loaded
        reshaped = next(row for row in others if variables[row.target].shape != variables[doubled.target].shape)
        targets = {("elsewhere" if name == unmapped.target else name): v for name, v in variables.items()}
        rules = [checkpoints.Rule(re.escape(row.source), row.target) for row in loaded if row != unmapped]
        rules = [checkpoints.Rule(re.escape(reshaped.source), doubled.target)] + rules
        with pytest.raises(checkpoints.MappingError) as error:
            checkpoints.make_plan(source, targets, rules, infer=False)
    for name in (unmapped.source, "elsewhere", doubled.source, doubled.target, reshaped.source, reshaped.target):
        assert name in str(error.value)
