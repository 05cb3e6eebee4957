"""What the cells of the compatibility matrix call wrong, asked without any TensorFlow."""

from __future__ import annotations

import numpy as np
import pytest

from tests.pairs.compare import CONTINUED_BOUND, ULPS, problem
from tests.pairs.steps import CONTINUED, STEPS

GENERATOR = np.random.default_rng(1)
WEIGHTS = [GENERATOR.normal(size=shape).astype("f4") for shape in ((4, 3), (3,), (3, 1), (1,))]
OUTPUTS = np.array([[1.0], [0.5], [-0.25]], "f4")
NAN = float("nan")


def golden(continued=True):
    further = [value + np.float32(0.001) for value in WEIGHTS] if continued else []
    return {"inputs": np.zeros((3, 4), "f4"), "outputs": OUTPUTS, "weights": WEIGHTS, "continued": further}


class Model:
    """What a loader of models gives: weights, outputs, and training that leads where it is told."""

    def __init__(self, weights=WEIGHTS, outputs=OUTPUTS, further=None):
        self.held, self.outputs = list(weights), outputs
        self.further = golden()["continued"] if further is None else further

    def weights(self):
        return self.held

    def predict(self, inputs):
        return self.outputs

    def train(self, first, steps):
        assert (first, steps) == (STEPS, CONTINUED)
        self.held = list(self.further)


class Outputs:
    """What a loader of functions gives: outputs, and perhaps the variables that it lists."""

    def __init__(self, found, outputs=OUTPUTS):
        self.found, self.outputs = found, outputs

    def predict(self, inputs):
        return self.outputs


def judged(loaded, **options):
    notes = {}
    return problem(loaded, golden(**options), notes.__setitem__), notes


def changed(values, place, change):
    """`values` with those of the array at `place` changed."""
    return [change(value) if number == place else value for number, value in enumerate(values)]


def test_what_is_all_there_is_right_and_says_by_how_much():
    assert judged(Model()) == (None, {"restored": "4 of 4", "ulps": 0.0, "continued": 0.0})
    assert judged(Outputs(WEIGHTS[::-1])) == (None, {"restored": "4 of 4", "ulps": 0.0})


@pytest.mark.parametrize(
    "weights",
    [
        WEIGHTS[:-1],
        changed(WEIGHTS, 0, lambda value: np.nextafter(value, np.float32(9))),
        changed(WEIGHTS, 3, lambda value: value * np.float32(NAN)),
    ],
    ids=["missing", "next", "nan"],
)
def test_every_weight_is_there_bit_for_bit(weights):
    assert judged(Model(weights))[0] == "3 of 4 variables restored"
    assert judged(Outputs(weights))[0] == "3 of 4 variables restored"


def test_none_of_the_variables_that_are_listed_is_as_wrong_as_some():
    others = [value + np.float32(1) for value in WEIGHTS]
    assert judged(Outputs(others)) == ("0 of 4 variables restored", {"restored": "0 of 4"})


@pytest.mark.parametrize("found", [None, [], [np.zeros(7, "f4")]])
def test_what_lists_no_variable_of_the_model_is_judged_by_its_outputs_alone(found):
    assert judged(Outputs(found)) == (None, {"ulps": 0.0})
    assert "outputs off" in judged(Outputs(found, OUTPUTS * np.float32(2)))[0]


@pytest.mark.parametrize("ulps, wrong", [(ULPS, False), (ULPS + 1, True)])
def test_outputs_may_be_a_bound_of_ulps_of_the_largest_apart(ulps, wrong):
    away = OUTPUTS + np.array([[0], [0], [ulps * np.spacing(np.float32(1))]], "f4")
    said, notes = judged(Outputs(None, away))
    assert notes["ulps"] == ulps
    assert said == (f"outputs off by {ulps} ulp of the largest, bound {ULPS}" if wrong else None)


@pytest.mark.parametrize("place", range(3))
def test_an_output_that_is_not_a_number_is_wrong_wherever_it_stands(place):
    away = OUTPUTS.copy()
    away[place] = NAN
    assert "outputs off" in judged(Outputs(None, away))[0]
    assert "outputs off" in problem(Outputs(None, away), dict(golden(), outputs=away), lambda name, value: None)


@pytest.mark.parametrize("place", range(len(WEIGHTS)))
def test_a_weight_that_training_on_takes_elsewhere_is_wrong_whichever_it_is(place):
    def off(change):
        return judged(Model(further=changed(golden()["continued"], place, change)))[0]

    assert off(lambda value: value + np.float32(CONTINUED_BOUND / 2)) is None
    assert off(lambda value: value + np.float32(CONTINUED_BOUND * 2)).startswith("training goes on otherwise")
    assert "weights off by nan" in off(lambda value: value * np.float32(NAN))


def test_weights_that_all_but_the_first_become_no_number_are_wrong():
    """The largest of 0.0 and NaN is 0.0 to `max`, which compares, and NaN is larger than nothing."""
    first, *others = golden()["continued"]
    said, _ = judged(Model(further=[first, *(value * np.float32(NAN) for value in others)]))
    assert said == f"training goes on otherwise: weights off by nan after {CONTINUED} steps, bound 5e-06"


def test_what_the_writer_did_not_train_on_with_is_not_trained():
    assert judged(Model(further=[]), continued=False) == (None, {"restored": "4 of 4", "ulps": 0.0})
