"""Reading graphs without TensorFlow: nodes, attributes, functions, and what is wrong with damaged ones."""

from __future__ import annotations

import os

import numpy as np
import pytest

from checkpoints import CheckpointError
from checkpoints.budget import Budget
from checkpoints.graphs import graph as graphs
from checkpoints.graphs.constants import constant, integers, numbers
from checkpoints.graphs.graph import parse_graph, read_graph
from checkpoints.graphs.nodes import DType, Function, Shape
from checkpoints.graphs.walk import sites
from checkpoints.wire import WireError, field

from . import graph_bytes as make
from .support import corpus, needs_corpus

SAVED = os.path.join(os.path.dirname(__file__), os.pardir, os.pardir, "fixtures", "tf1-saver", "model.ckpt.meta")

DENSE = [
    make.node("x", "Placeholder"),
    make.node("w", "VariableV2"),
    make.node("w/read", "Identity", ["w"]),
    make.node("y", "MatMul", ["x", "w/read", "^w"], transpose_a=False),
    make.node("z", "Split", ["axis", "y"], num_split=2),
    make.node("end", "Add", ["z:1", "z"]),
]


def parsed(*nodes, functions=()):
    return parse_graph(memoryview(make.graph_def(nodes, functions)), Budget())


def test_nodes_and_consumers():
    graph = parsed(*DENSE)
    assert [(node.name, node.op) for node in graph.nodes.values()][:2] == [("x", "Placeholder"), ("w", "VariableV2")]
    assert (graph.nodes["y"].inputs, graph.nodes["y"].controls) == (("x", "w/read"), ("w",))
    uses = [(use.node.name, use.place, use.output) for use in graph.consumers("z")]
    assert uses == [("end", 0, 1), ("end", 1, 0)]
    assert graph.producer("z:1") is graph.nodes["z"] and graph.producer("nothing") is None


def test_attributes_of_every_type():
    node = parsed(
        make.node(
            "n",
            "Op",
            i=-7,
            f=0.5,
            b=True,
            s="SAME",
            ints=[1, 2, -1],
            names=["a", "b"],
            tensor=np.arange(3, dtype="float32"),
            dtype=field(6, 1),
            shape=field(7, field(2, field(1, 4)) + field(2, field(1, -1))),
            rank=field(7, field(3, 1)),
            body=field(10, field(1, b"loop")),
            floats=field(1, field(4, np.float32([1, 2]).tobytes())),
            flags=field(1, field(5, b"\x01\x00")),
        )
    ).nodes["n"]
    values = [node.attribute(name) for name in ("i", "f", "b", "s", "ints", "names", "floats", "flags")]
    assert values == [-7, 0.5, True, b"SAME", [1, 2, -1], [b"a", b"b"], [1, 2], [True, False]]
    assert (node.attribute("dtype"), type(node.attribute("dtype"))) == (1, DType)
    assert node.attribute("shape") == Shape((4, -1)) and node.attribute("rank") == Shape(None)
    assert node.attribute("body") == Function("loop")
    assert (node.text("s"), node.integers("ints"), node.text("i"), node.integers("s")) == ("SAME", (1, 2, -1), "", ())
    assert node.attribute("missing") is None


def test_constants():
    graph = parsed(
        make.constant("one", np.float32(1)),
        make.constant("decay", np.float32(0.9)),
        make.node("kept", "Identity", ["decay"]),
        make.node("either", "Merge", ["kept", "one"]),
        make.node("rest", "Sub", ["one", "either"]),
        make.constant("order", np.int32([0, 2, 1])),
        make.constant("weights", np.zeros(5000, "float32")),
    )
    assert sorted(round(value, 6) for value in numbers(graph, "rest")) == [0.0, 0.1]
    assert integers(graph, "order") == [0, 2, 1] and numbers(graph, "order") == frozenset()
    assert constant(graph.nodes["weights"]) is None and constant(graph.nodes["rest"]) is None


@pytest.mark.parametrize("wrap", [lambda g: g, make.meta_graph, lambda g: make.saved_model(make.meta_graph(g))])
def test_every_wrapper(wrap, tmp_path):
    path = tmp_path / "graph.pb"
    path.write_bytes(wrap(make.graph_def(DENSE)))
    assert list(read_graph(str(path)).nodes) == ["x", "w", "w/read", "y", "z", "end"]


def test_the_served_graph_is_taken(tmp_path):
    path = tmp_path / "saved_model.pb"
    train = make.meta_graph(make.graph_def([make.node("a", "NoOp")]), ["train"])
    serve = make.meta_graph(make.graph_def(DENSE), ["serve"], ["y:0", "z:1"])
    path.write_bytes(make.saved_model(train, serve))
    graph = read_graph(str(path))
    assert "end" in graph.nodes and graph.outputs == {"y", "z:1"}


def test_functions_are_walked_into():
    body = make.function(
        "layer",
        ["input", "kernel"],
        [make.node("product", "MatMul", ["input", "kernel"])],
        {"out": "product:product:0"},
    )
    graph = parsed(
        make.node("w", "VarHandleOp"),
        make.node("x", "Placeholder"),
        make.node("read", "ReadVariableOp", ["w"]),
        make.node("call", "PartitionedCall", ["x", "read"], f=field(10, field(1, b"layer"))),
        functions=[body],
    )
    assert graph.library["layer"].arguments == ("input", "kernel")
    assert graph.library["layer"].returns == ("product:product:0",)
    (site,) = sites(graph, "w")
    assert (site.node.name, site.place) == ("product", 1)


def test_a_function_that_calls_itself_ends():
    body = make.function(
        "again",
        ["w"],
        [make.node("call", "PartitionedCall", ["w"], f=field(10, field(1, b"again")))],
        {"out": "call:0"},
    )
    graph = parsed(
        make.node("w", "VarHandleOp"),
        make.node("call", "PartitionedCall", ["w"], f=field(10, field(1, b"again"))),
        functions=[body],
    )
    assert sites(graph, "w") == []


def test_cycles_end():
    graph = parsed(
        make.node("a", "Identity", ["b"]), make.node("b", "Identity", ["a"]), make.node("c", "Add", ["a", "b"])
    )
    assert [site.node.name for site in sites(graph, "a")] == ["c", "c"]
    assert numbers(graph, "a") == frozenset()


def test_gradients_are_no_use_of_a_variable():
    graph = parsed(
        make.node("w", "VariableV2"),
        make.node("y", "MatMul", ["x", "w"]),
        make.node("gradients/y_grad/MatMul", "MatMul", ["g", "w"]),
        make.node("save/SaveV2", "SaveV2", ["prefix", "names", "slices", "w"]),
    )
    assert [site.node.name for site in sites(graph, "w")] == ["y"]


def test_truncation_anywhere_is_an_error_or_fewer_nodes():
    data = make.meta_graph(make.graph_def(DENSE))
    for end in range(len(data)):
        try:
            for each in graphs.meta_graphs(memoryview(data[:end])):
                graph = parse_graph(each.graph, Budget())
                assert len(graph.nodes) <= len(DENSE)
        except WireError:
            pass


def test_damage_is_one_line(tmp_path):
    path = tmp_path / "model.ckpt.meta"
    path.write_bytes(make.meta_graph(make.graph_def(DENSE))[:-9])
    with pytest.raises(CheckpointError, match=r"model.ckpt.meta: no TensorFlow graph, or a damaged one: ") as raised:
        read_graph(str(path))
    assert "\n" not in str(raised.value)
    path.write_bytes(b"")
    with pytest.raises(CheckpointError, match="cannot mmap an empty file"):
        read_graph(str(path))


def test_too_many_nodes_are_refused(tmp_path):
    path = tmp_path / "graph.pb"
    path.write_bytes(make.graph_def([make.node("a", "b")] + 300_000 * [b""]))
    with pytest.raises(CheckpointError, match="its names and tensors take more than 128 MiB"):
        read_graph(str(path))
    assert len(read_graph(str(path), Budget(10)).nodes) == 2


def test_the_graph_of_a_saver():
    graph = read_graph(SAVED)
    (product,) = [site.node for site in sites(graph, "generator/fc1/kernel")]
    assert (product.op, product.attribute("transpose_b")) == ("MatMul", False)


@needs_corpus
def test_graphs_of_other_people():
    paths = [*corpus("**/*.meta"), *corpus("**/*.pb")]
    counts = {}
    for path in paths:
        if not path.endswith("fingerprint.pb"):
            counts[path] = len(read_graph(path).nodes)
    assert len(counts) > 10 and min(counts.values()) >= 3
