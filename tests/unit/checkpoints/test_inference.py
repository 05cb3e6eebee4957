"""What structure tells, what it leaves open, and suggestions that settle what is open when all are pasted together."""

from __future__ import annotations

import re

import numpy as np
import pytest

from checkpoints import Ignore, Layer, MappingError, Rule, make_plan, open_checkpoint, write_saver

from .support import Variable


@pytest.fixture
def made(tmp_path):
    """A checkpoint with tensors of the given shapes, opened."""
    opened = []

    def make(shapes):
        prefix = tmp_path / f"made{len(opened)}"
        write_saver(prefix, {name: np.zeros(shape, "f4") for name, shape in shapes.items()})
        opened.append(open_checkpoint(prefix))
        return opened[-1]

    yield make
    for checkpoint in opened:
        checkpoint.close()


def dense(scope, inputs=4, units=4):
    return {f"{scope}/kernel": (inputs, units), f"{scope}/bias": (units,)}


def model(*layers):
    return {name: Variable(shape) for layer in layers for name, shape in layer.items()}


def heads(layer):
    """MultiHeadAttention of two heads of two over four features."""
    found = {f"{layer}/attention_output/kernel": (2, 2, 4), f"{layer}/attention_output/bias": (4,)}
    for part in ("query", "key", "value"):
        found.update({f"{layer}/{part}/kernel": (4, 2, 2), f"{layer}/{part}/bias": (2, 2)})
    return found


def attention(scope):
    """The same as BERT stored it."""
    parts = [dense(f"{scope}/self/{part}") for part in ("query", "key", "value")] + [dense(f"{scope}/output/dense")]
    return {name: shape for part in parts for name, shape in part.items()}


def targets(plan):
    return {row.source: row.target for row in plan.loads()}


def paste(error):
    """The first rule of every problem, as a user pastes them into a rule file."""
    found = []
    for problem in error.problems:
        rules = re.findall(r"^(?:Rule|Layer|Ignore)\(.*\)$", problem, re.MULTILINE)
        if rules and rules[0] not in found:
            found.append(rules[0])
    return [eval(rule, {"Rule": Rule, "Layer": Layer, "Ignore": Ignore}) for rule in found]


def test_scopes_are_found_again_where_underscores_stand_for_slashes(made):
    scopes = [f"net/encoder/layer_{number}/output/dense" for number in range(3)]
    checkpoint = made({name: shape for scope in scopes for name, shape in dense(scope).items()})
    layers = [f"layer_{number}_output_dense" for number in (2, 0, 1)]
    found = targets(make_plan(checkpoint, model(*map(dense, layers)), infer=True))
    assert {found[f"{scope}/kernel"] for scope in scopes} == {f"{layer}/kernel" for layer in layers}
    assert found[scopes[2] + "/bias"] == "layer_2_output_dense/bias"


def test_an_underscore_alone_is_no_boundary_that_says_anything(made):
    checkpoint = made({**dense("a/my_dense"), **dense("b/other")})
    with pytest.raises(MappingError, match="ambiguous"):
        make_plan(checkpoint, model(dense("dense"), dense("dense_1")), infer=True)


def test_the_parts_of_attention_stay_together(made):
    scopes = [f"bert/layer_{number}/attention" for number in range(2)]
    checkpoint = made({**attention(scopes[0]), **attention(scopes[1])})
    layers = [f"layer_{number}_attention_self" for number in range(2)]
    found = targets(make_plan(checkpoint, model(*map(heads, layers)), infer=True))
    for scope, layer in zip(scopes, layers):
        assert found[scope + "/self/key/kernel"] == layer + "/key/kernel"
        assert found[scope + "/output/dense/kernel"] == layer + "/attention_output/kernel"


def test_layers_in_numbered_scopes_are_taken_in_their_order(made):
    scopes = [f"net/layer_{number}/out/dense" for number in (0, 1, 2, 10)]
    checkpoint = made({name: shape for scope in scopes for name, shape in dense(scope).items()})
    layers = ["dense", "dense_1", "dense_2", "dense_3"]
    found = targets(make_plan(checkpoint, model(*map(dense, layers)), infer=True))
    assert [found[scope + "/kernel"] for scope in scopes] == [layer + "/kernel" for layer in layers]


def test_a_variable_of_the_name_of_a_layer_is_that_layer(made):
    checkpoint = made({"bert/words": (5, 4), "bert/kinds": (5, 4)})
    found = targets(
        make_plan(checkpoint, model({"kinds/embeddings": (5, 4)}, {"words/embeddings": (5, 4)}), infer=True)
    )
    assert found == {"bert/words": "words/embeddings", "bert/kinds": "kinds/embeddings"}


def test_suggestions_pasted_together_settle_everything_as_the_names_say(made):
    scopes = [f"bert/layer_{number}/attention" for number in range(2)]
    file = {"cls/bias": (9,), **attention(scopes[0]), **attention(scopes[1]), **dense("cls/transform/dense")}
    checkpoint = made(file)
    variables = model(heads("multi_head_attention"), heads("multi_head_attention_1"))
    with pytest.raises(MappingError) as raised:
        make_plan(checkpoint, variables, infer=True)
    plan = make_plan(checkpoint, variables, paste(raised.value), infer=True)
    found = targets(plan)
    assert len(set(found.values())) == len(variables) == len(found)
    for scope, layer in zip(scopes, ("multi_head_attention", "multi_head_attention_1")):
        assert found[scope + "/self/value/bias"] == layer + "/value/bias"
        assert found[scope + "/output/dense/kernel"] == layer + "/attention_output/kernel"
    assert all(row.source.startswith("cls/") for row in plan.rows if row.action == "ignore")


def test_names_that_say_nothing_leave_the_choice(made):
    scopes = ["first", "second", *(f"other{number}" for number in (2, 10))]
    checkpoint = made({name: shape for scope in scopes for name, shape in dense(scope).items()})
    variables = model(*map(dense, ("a", "b", "c", "d")))
    with pytest.raises(MappingError) as raised:
        make_plan(checkpoint, variables)
    rules = paste(raised.value)
    assert {rule.pattern: rule.target for rule in rules} == dict.fromkeys(scopes, "a | b | c | d")
    assert raised.value.suggestions == rules
    with pytest.raises(MappingError, match="leaves open where it leads") as raised:
        make_plan(checkpoint, variables, rules)
    assert len(raised.value.problems) == len(scopes)
    chosen = [rule._replace(target=target) for rule, target in zip(rules, "cabd")]
    found = targets(make_plan(checkpoint, variables, chosen))
    assert [found[f"{rule.pattern}/kernel"] for rule in rules] == ["c/kernel", "a/kernel", "b/kernel", "d/kernel"]


def test_another_shape_of_the_same_elements_is_suggested_with_its_transform(made):
    checkpoint = made({"W": (), "b": (), "out/matrix": (3, 7)})
    variables = model({"dense/kernel": (1, 1), "dense/bias": (1,)}, {"last/kernel": (7, 3)})
    with pytest.raises(MappingError) as raised:
        make_plan(checkpoint, variables, infer=True)
    plan = make_plan(checkpoint, variables, paste(raised.value), infer=True)
    assert targets(plan) == {"W": "dense/kernel", "b": "dense/bias", "out/matrix": "last/kernel"}
    assert {row.transform for row in plan.loads()} == {"reshape", "transpose"}


def test_the_table_counts_the_constants_of_a_graph():
    from checkpoints.plan import Plan, Row

    rows = (Row("a/axis", None, "ignore", reason="constant"), Row("w", "x", "load", reason="the same name"))
    lines = Plan(rows).table().splitlines()
    assert len(lines) == 3 and lines[-1] == "1 loaded, 1 left, 1 of them constants of the graph"


def every_rule(error):
    """All rules that an error suggests for series, as a user pastes them."""
    text = "\n".join(problem for problem in error.problems if "by their order" in problem)
    found = re.findall(r"^(?:Rule|Layer)\(.*\)$", text, re.MULTILINE)
    return [eval(rule, {"Rule": Rule, "Layer": Layer}) for rule in found]


def norm(scope):
    return {f"{scope}/{leaf}": (4,) for leaf in ("beta", "gamma", "moving_mean", "moving_variance")}


def bare_norm(scope):
    """As slim makes it by default, without gamma."""
    return {name: shape for name, shape in norm(scope).items() if not name.endswith("gamma")}


SHIFTED = {
    "Keras": (dense, "dense{}", ["_1", "_2", "_3"], "dense{}", ["", "_1", "_2"]),
    "Keras, by two": (dense, "dense{}", ["_2", "_3", "_4", "_10"], "dense{}", ["", "_1", "_2", "_3"]),
    "from 1 and from 0": (dense, "net/fc{}", "1234", "net/fc{}", "0123"),
    "from 0 and from 1": (dense, "net/conv{}", "0123", "m/conv{}", "1234"),
    "another scope": (dense, "net/h{}", "1234", "model/h{}", "0123"),
    "the scope is numbered": (dense, "bert/encoder/layer_{}/dense", "1234", "encoder/layer_{}/dense", "0123"),
    "underscores": (dense, "bert/layer_{}/out/dense", "1234", "layer_{}_out_dense", "0123"),
    "normalization": (norm, "enc/layer_{}/LayerNorm", "123", "enc/layer_{}/LayerNorm", "012"),
    "cells of scopes": (norm, "enc/conv{}/BatchNorm", "123", "enc/conv{}/BatchNorm", "012"),
    "variables alone": (lambda name: {name: (3, 3)}, "net/w{}", "123", "net/w{}", "012"),
    "tables": (lambda name: {name + "/embeddings": (3, 3)}, "net/e{}", "123", "net/e{}", "012"),
}


@pytest.mark.parametrize("infer", [True, False])
@pytest.mark.parametrize("case", sorted(SHIFTED))
def test_shifted_numbers_are_not_taken_for_names(made, case, infer):
    layer, file, numbers, ours, others = SHIFTED[case]
    scopes, layers = [file.format(n) for n in numbers], [ours.format(n) for n in others]
    checkpoint = made({name: shape for scope in scopes for name, shape in layer(scope).items()})
    variables = model(*map(layer, layers))
    if not infer and file.rpartition("/")[0] != ours.rpartition("/")[0]:
        pytest.skip("without inference no name is the same")
    with pytest.raises(MappingError, match="by their order") as raised:
        make_plan(checkpoint, variables, infer=infer)
    assert len(raised.value.problems) == 1
    found = targets(make_plan(checkpoint, variables, every_rule(raised.value), infer=infer))
    for scope, path in zip(scopes, layers):
        assert [found[name] for name in sorted(layer(scope))] == sorted(layer(path))


def test_shifted_layers_whose_values_are_filled_are_suggested_whole(made):
    scopes = [f"net/conv{number}/BatchNorm" for number in "123"]
    checkpoint = made({name: shape for scope in scopes for name, shape in bare_norm(scope).items()})
    variables = model(*(norm(f"ours/conv{number}") for number in "012"))
    with pytest.raises(MappingError) as raised:
        make_plan(checkpoint, variables, infer=True)
    found = targets(make_plan(checkpoint, variables, every_rule(raised.value), infer=True))
    assert [found[scope + "/beta"] for scope in scopes] == [f"ours/conv{number}/beta" for number in "012"]


def test_shapes_that_only_one_order_fits_are_no_reason_to_ask(made):
    checkpoint = made({**dense("dense_1", 2), **dense("dense_2", 4), **dense("dense_3", 4, 2)})
    found = targets(
        make_plan(checkpoint, model(dense("dense", 2), dense("dense_1"), dense("dense_2", 4, 2)), infer=True)
    )
    assert [found[f"dense_{n}/kernel"] for n in (1, 2, 3)] == ["dense/kernel", "dense_1/kernel", "dense_2/kernel"]
    twisted = model(dense("dense_3", 2), dense("dense_2"), dense("dense_1", 4, 2))
    found = targets(make_plan(checkpoint, twisted, infer=True))
    assert [found[f"dense_{n}/kernel"] for n in (1, 2, 3)] == ["dense_3/kernel", "dense_2/kernel", "dense_1/kernel"]


def test_some_layers_of_a_shifted_series_have_shapes_of_their_own(made):
    checkpoint = made({**dense("dense_1", 2), **dense("dense_2"), **dense("dense_3"), **dense("dense_4", 4, 2)})
    variables = model(dense("dense", 2), dense("dense_1"), dense("dense_2"), dense("dense_3", 4, 2))
    with pytest.raises(MappingError) as raised:
        make_plan(checkpoint, variables, infer=True)
    found = targets(make_plan(checkpoint, variables, every_rule(raised.value), infer=True))
    assert found["dense_2/kernel"] == "dense_1/kernel" and found["dense_3/bias"] == "dense_2/bias"


def test_a_gap_in_the_numbers_is_no_shift(made):
    scopes = ["dense", "dense_1", "dense_5"]
    checkpoint = made({name: shape for scope in scopes for name, shape in dense(scope).items()})
    found = targets(make_plan(checkpoint, model(*map(dense, ("dense", "dense_1", "dense_2"))), infer=True))
    assert [found[scope + "/bias"] for scope in scopes] == ["dense/bias", "dense_1/bias", "dense_2/bias"]


def test_two_networks_that_number_alike_are_two_series(made):
    file = [
        *(dense(f"gen/{name}") for name in ("dense", "dense_1")),
        *(dense(f"dis/{n}") for n in ("dense", "dense_1")),
    ]
    checkpoint = made({name: shape for layer in file for name, shape in layer.items()})
    ours = ["gen/dense", "gen/dense_1", "dis/dense_2", "dis/dense_3"]
    found = targets(make_plan(checkpoint, model(*map(dense, ours)), infer=True))
    assert found["dis/dense/kernel"] == "dis/dense_2/kernel" and found["dis/dense_1/kernel"] == "dis/dense_3/kernel"
    assert found["gen/dense_1/kernel"] == "gen/dense_1/kernel"
