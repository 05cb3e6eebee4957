"""Layers of equal shapes: what the order of the layers in file and model says, and what contradicts it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from checkpoints import Layer, MappingError, make_plan, open_checkpoint, write_saver
from checkpoints.budget import Budget
from checkpoints.graphs.flow import variable_flow
from checkpoints.graphs.graph import parse_graph
from checkpoints.layer_order import LayerOrder, Place, Step
from checkpoints.weight_files import Variables

from . import graph_bytes
from .support import Variable

LEAVES = {"kernel": (4, 4), "bias": (4,)}


def chain(names, data="x"):
    """The nodes of a graph in which data goes through dense layers of these names in turn."""
    nodes = [graph_bytes.node(data, "Placeholder")]
    for name in names:
        for leaf in LEAVES:
            nodes.append(graph_bytes.node(f"{name}/{leaf}", "VariableV2"))
            nodes.append(graph_bytes.node(f"{name}/{leaf}/Assign", "Assign", [f"{name}/{leaf}", "initial"]))
            nodes.append(graph_bytes.node(f"{name}/{leaf}/read", "Identity", [f"{name}/{leaf}"]))
        nodes.append(graph_bytes.node(f"{name}/L2Loss", "L2Loss", [f"{name}/kernel/read"]))
        nodes.append(graph_bytes.node(f"{name}/MatMul", "MatMul", [data, f"{name}/kernel/read"]))
        data = f"{name}/BiasAdd"
        nodes.append(graph_bytes.node(data, "BiasAdd", [f"{name}/MatMul", f"{name}/bias/read"]))
    # The gradient of the first layer has gone through all the others.
    nodes.append(graph_bytes.node("gradients/MatMul", "MatMul", [data, f"{names[0]}/kernel/read"]))
    return nodes


@pytest.fixture
def saved(tmp_path):
    """A checkpoint with dense layers, opened; `graph` says in which order data goes through them."""
    opened = []

    def make(names, graph=None):
        prefix = tmp_path / f"made{len(opened)}"
        write_saver(
            prefix, {f"{name}/{leaf}": np.zeros(shape, "f4") for name in names for leaf, shape in LEAVES.items()}
        )
        if graph is not None:
            (tmp_path / f"{prefix.name}.meta").write_bytes(graph_bytes.meta_graph(graph_bytes.graph_def(chain(graph))))
        opened.append(open_checkpoint(prefix))
        return opened[-1]

    yield make
    for checkpoint in opened:
        checkpoint.close()


def model(names, flow=True, connected=True):
    """The variables of a model in which data goes through dense layers of these names in turn, if that is known.

    Of one that is not `connected`, it is known in which order its attributes are.
    """
    variables = Variables()
    bits, upstream, listed = {}, {}, {}
    for number, name in enumerate(names):
        for leaf, shape in LEAVES.items():
            variables[f"{name}/{leaf}"] = Variable(shape)
            bits[f"{name}/{leaf}"], upstream[f"{name}/{leaf}"] = 1 << number, (1 << number) - 1 if connected else 0
            listed[f"{name}/{leaf}"] = Place("", (Step(number, connected),))
    variables.order = LayerOrder(bits, upstream, listed) if flow else LayerOrder()
    return variables


def layers(plan):
    return {row.source.rpartition("/")[0]: row.target.rpartition("/")[0] for row in plan.loads()}


def test_flow_of_a_graph():
    graph = parse_graph(memoryview(graph_bytes.graph_def(chain(["b", "a", "c"]))), Budget())
    names = [f"{name}/{leaf}" for name in "abc" for leaf in LEAVES]
    order = LayerOrder(*variable_flow(graph, names)).of([[f"{name}/{leaf}" for leaf in LEAVES] for name in "abc"])
    assert order.steps() == [[1], [0], [2]]
    assert order.feeds(1, 2) and not order.feeds(2, 1)
    assert order.backwards([0, 1, 2]) == [(0, 1)]


def test_flow_through_a_model_built_alone():
    """Keras builds a model on an input of its own before it is called as a part of another one."""
    make = graph_bytes.node
    nodes = [*chain(["a"], data="own_input"), *chain(["c"])]
    nodes += [make("again", "MatMul", ["c/BiasAdd", "a/kernel/read"])]
    graph = parse_graph(memoryview(graph_bytes.graph_def(nodes)), Budget())
    order = LayerOrder(*variable_flow(graph, ["a/kernel", "c/kernel"])).of([["a/kernel"], ["c/kernel"]])
    assert order.steps() == [[1], [0]]


def test_flow_through_a_loop():
    """What comes out of a loop has gone through all of it; what goes into its next round has not."""
    make = graph_bytes.node
    nodes = [make("x", "Placeholder")] + [make(name, "VariableV2") for name in ("inner", "second", "after")]
    nodes += [make(f"{name}/read", "Identity", [name]) for name in ("inner", "second", "after")]
    nodes += [
        make("enter", "Enter", ["x"]),
        make("merge", "Merge", ["enter", "next"]),
        make("switch", "Switch", ["merge", "condition"]),
        make("product", "MatMul", ["switch:1", "inner/read"]),
        make("sum", "MatMul", ["product", "second/read"]),
        make("next", "NextIteration", ["sum"]),
        make("exit", "Exit", ["switch"]),
        make("end", "MatMul", ["exit", "after/read"]),
    ]
    flow = variable_flow(parse_graph(memoryview(graph_bytes.graph_def(nodes)), Budget()), ["inner", "second", "after"])
    order = LayerOrder(*flow).of([["after"], ["second"], ["inner"]])
    assert order.steps() == [[2], [1], [0]]


WORDS = ["first", "second", "third"]


@pytest.mark.parametrize("names", [["dense", "dense_1", "dense_2"], ["c", "a", "b"]])
@pytest.mark.parametrize("file", [["dense_1", "dense_2", "dense_3"], WORDS, ["h_3", "h_1", "h_2"]])
def test_order_of_data_settles_what_names_leave_open(saved, file, names):
    found = layers(make_plan(saved(sorted(file), graph=file), model(names)))
    assert found == dict(zip(file, names))


def test_numbers_against_the_data_are_asked_about(saved):
    names, called = ["gru", "gru_1", "gru_2"], ["gru", "gru_2", "gru_1"]
    # Neither does the file say how data goes through them, nor does the model agree with its own numbers.
    for file in (names, ["cell_0", "cell_1", "cell_2"]):
        with pytest.raises(MappingError, match="the order of the layers says otherwise") as raised:
            make_plan(saved(file), model(called))
        assert raised.value.suggestions == [Layer(name, "gru | gru_1 | gru_2") for name in file]
    # The same names on both sides, and data that goes through them otherwise: the suggestion follows the data.
    checkpoint = saved(names, graph=names)
    with pytest.raises(MappingError, match="in the order in which data goes through them") as raised:
        make_plan(checkpoint, model(called))
    found = layers(make_plan(checkpoint, model(called), raised.value.suggestions))
    assert found == dict(zip(names, called))
    # Both go the same way.
    assert layers(make_plan(saved(names, graph=called), model(called))) == {name: name for name in names}
    # A model of which nothing is known, such as a file that stands for it.
    assert layers(make_plan(saved(names), model(called, flow=False))) == {name: name for name in names}


def test_words_against_the_data_leave_the_choice(saved):
    checkpoint = saved(["encoder", "decoder"], graph=["encoder", "decoder"])
    with pytest.raises(MappingError) as raised:
        make_plan(checkpoint, model(["the_decoder", "the_encoder"]))
    assert raised.value.suggestions == [
        Layer("decoder", "the_decoder | the_encoder"),
        Layer("encoder", "the_encoder | the_decoder"),
    ]


@pytest.mark.parametrize("graph", [True, False])
def test_every_permutation_is_right_or_an_error(saved, graph):
    """Numbered layers in any order on either side: right, or an error; and what it suggests is right, or an error."""
    names = ["dense", "dense_1", "dense_2"]
    others = ["dense_1", "dense_2", "dense_3"]
    outcomes = []
    for file, called in itertools.product(itertools.permutations(names), itertools.permutations(others)):
        checkpoint = saved(names, graph=file if graph else None)
        rules = []
        for _ in range(3):
            try:
                found = layers(make_plan(checkpoint, model(called), rules))
            except MappingError as error:
                fresh = [rule for rule in error.suggestions if rule not in rules]
                if not fresh:
                    outcomes.append("error")
                    break
                rules += fresh
            else:
                right = found == dict(zip(file, called))
                # A file without a graph says nothing against its numbers.
                assert right or (not graph and file != tuple(names))
                outcomes.append("right" if right else "nothing said so")
                break
    assert outcomes.count("right") == (36 if graph else 1)
    assert outcomes.count("error") == (0 if graph else 30)


def test_leftovers_of_contradicted_names_are_void(saved):
    """`odd` was the only place left, once names had taken the others; the data says where all of them go."""
    file, called = ["p_4", "p_3", "p_2", "p_1"], ["p", "p_1", "odd", "p_2"]
    assert layers(make_plan(saved(sorted(file), graph=file), model(called))) == dict(zip(file, called))


def test_attributes_against_the_data(saved):
    """Only by their numbers would `d` and `d_1` go to layers whose attributes come in another order than the data."""
    file, called = ["odd", "d", "d_1"], ["d", "d_1", "d_2"]
    with pytest.raises(MappingError, match="the order of the layers says otherwise") as raised:
        make_plan(saved(file, graph=file), model(called, connected=False))
    assert raised.value.suggestions == [Layer(name, "d | d_1 | d_2") for name in ["d", "d_1", "odd"]]


def test_layers_called_against_their_attributes(saved):
    """A class may call its layers in another order than that of its attributes: the same names settle it."""
    names, called = ["d_1", "d", "d_2"], ["d", "d_1", "d_2"]
    plan = make_plan(saved(called, graph=names), model(called, connected=False))
    assert layers(plan) == {name: name for name in names}


def test_attributes_against_numbers_alone(saved):
    """A file with nothing but numbers, and a class whose layers are numbered otherwise than they are listed."""
    with pytest.raises(MappingError, match="the order of the layers says otherwise"):
        make_plan(saved(["d", "d_1", "d_2"]), model(["d_8", "d_10", "d_9"], connected=False))
    assert len(make_plan(saved(["d", "d_1", "d_2"]), model(["d_8", "d_9", "d_10"], connected=False)).loads()) == 6
    same = ["d", "d_2", "d_1"]
    assert layers(make_plan(saved(same), model(same, connected=False))) == {name: name for name in same}


SHIFTED = [
    # A place that a layer of `top` had by its name is that of a series which counts from 2 there.
    (
        ["both/backward_d", "both/forward_d", "d_1", "d_2", "d_3", "d_4", "top/d_5", "top/d_6"],
        ["both_1/backward_d_1", "both_1/forward_d_1", "d_2", "d_3", "d_4", "d_5", "block/d_6", "block/d_7"],
    ),
    # One of a series is left over, and only another series has a place for it.
    (
        ["block_1/d_1", "block_1/d_2", "block_2/d_3", "both_1/backward_d_4", "both_1/forward_d_4"],
        ["own/d_2", "own/d_3", "top/d_5", "both/backward_d", "both/forward_d"],
    ),
]


@pytest.mark.parametrize("layers, others", SHIFTED)
def test_names_that_are_the_same_by_accident(layers, others, tmp_path):
    """Without any order but that of the numbers: right, or an error that leaves the choice open."""
    path = str(tmp_path / "m.npz")
    np.savez(path, **{f"{name}/{leaf}": np.zeros(SHAPES[leaf], "f4") for name in layers for leaf in SHAPES})
    targets = {f"{name}/{leaf}": np.zeros(SHAPES[leaf], "f4") for name in others for leaf in SHAPES}
    with open_checkpoint(path) as checkpoint:
        with pytest.raises(MappingError) as raised:
            make_plan(checkpoint, targets)
        try:
            plan = make_plan(checkpoint, targets, raised.value.suggestions)
        except MappingError as error:
            assert " | " in str(error)
        else:
            pairs = {row.source.rpartition("/")[0]: row.target.rpartition("/")[0] for row in plan.loads()}
            assert pairs == dict(zip(layers, others))


SHAPES = {"kernel": (4, 4), "bias": (4,)}
