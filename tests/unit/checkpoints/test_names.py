"""Words and numbers of layer names, and the order that numbers give."""

from __future__ import annotations

import pytest

from checkpoints.names import by_names, by_number, endings, numbered_parts, opposed, series, words


def split(*names):
    return [tuple(name.split("/")) for name in names]


def test_slashes_and_underscores_are_alike():
    assert words(("layer_1", "dense")) == words(("layer_1_dense",)) == (("layer", (1,)), ("dense", ()))
    assert words(("conv1_2",)) == (("conv", (1, 2)),)
    assert words(("dense_0",)) == words(("dense",))


def test_endings_begin_at_components():
    assert [ending.text for ending in endings(("a", "my_dense"))] == ["a_my_dense", "my_dense"]


@pytest.mark.parametrize(
    "names, order",
    [
        (["dense_2", "dense", "dense_10"], (1, 0, 2)),
        (["time_distributed_1/dense_5", "time_distributed/dense_3"], (1, 0)),
        (["block_2/conv_1", "block_1/conv_2", "block_1/conv_1"], (2, 1, 0)),
        (["both/backward_lstm", "both/forward_lstm"], (1, 0)),
        # Counted through the whole series, but not as the wrappers are.
        (["time_distributed_1/dense_3", "time_distributed/dense_5"], None),
        (["dense", "dense_0"], None),
        (["dense", "conv"], None),
    ],
)
def test_order_of_series(names, order):
    found = series(split(*names))
    assert (found and found.order) == order


@pytest.mark.parametrize(
    "names, others, pairs",
    [
        (["cell_1", "cell_0"], ["lstm", "lstm_1"], [(1, 0), (0, 1)]),
        (["a_1", "a_2"], ["time_distributed/dense_4", "time_distributed_1/dense_5"], [(0, 0), (1, 1)]),
        (
            ["b_1/fw", "b_1/bw", "b_2/fw", "b_2/bw"],
            ["x/forward_l", "x/backward_l", "x_1/forward_l_1", "x_1/backward_l_1"],
            [(0, 0), (1, 1), (2, 2), (3, 3)],
        ),
        # Nested the other way round, or not at all.
        (
            ["tower_0/fc_1", "tower_0/fc_2", "tower_1/fc_1", "tower_1/fc_2"],
            ["fc_1_tower_0", "fc_1_tower_1", "fc_2_tower_0", "fc_2_tower_1"],
            None,
        ),
        (["tower_0/fc_1", "tower_0/fc_2", "tower_1/fc_1", "tower_1/fc_2"], ["d", "d_1", "d_2", "d_3"], None),
        (["b_1/c_1", "b_1/c_2", "b_2/c_1"], ["b_1/c_1", "b_2/c_1", "b_2/c_2"], None),
        (["a_1", "a_2"], ["a"], None),
    ],
)
def test_pairs_of_series(names, others, pairs):
    assert by_number(split(*names), split(*others)) == pairs


def test_words_before_numbers():
    names = split("gen/h1", "gen/h2", "dis/h1", "dis/h2")
    others = split("dense_dis_1", "dense_gen_1", "dense_dis_2", "dense_gen_2")
    assert sorted(by_names(names, others)) == [(0, 1), (1, 3), (2, 0), (3, 2)]


def test_words_that_all_have_say_nothing():
    names = split("embeddings/norm", "layer_0/norm", "layer_1/norm")
    assert by_names(names, split("layer_normalization", "layer_normalization_1")) == []


def test_forward_is_not_backward():
    assert opposed(("both", "fw"), ("x", "backward_lstm")) and not opposed(("both", "fw"), ("x", "forward_lstm"))
    assert not opposed(("both", "fw"), ("lstm",))


def test_layers_that_number_their_variables():
    names = ["both/kernel", "both/bias", "both/kernel_1", "both/bias_1", "dense/kernel", "odd/w", "odd/w_1", "odd/b"]
    assert numbered_parts(names) == {
        "both/kernel": "both/part_1/kernel",
        "both/bias": "both/part_1/bias",
        "both/kernel_1": "both/part_2/kernel",
        "both/bias_1": "both/part_2/bias",
    }
    assert numbered_parts(["w", "b", "w_1", "b_1"])["b_1"] == "part_2/b"
