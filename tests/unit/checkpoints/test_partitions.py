"""Embeddings that are stored in slices: in which order their rows come into a model."""

from __future__ import annotations

import os

import numpy as np
import pytest

from checkpoints import Layer, MappingError, Rule, export, load, make_plan, open_checkpoint
from checkpoints.cli import main
from checkpoints.transforms import apply, apply_inverse, pieces_of

from .support import Variable

LAYOUTS = os.path.join(os.path.dirname(__file__), "data", "layouts")


@pytest.mark.parametrize("ids, slices", [(6, 3), (6, 1), (11, 3), (5, 2), (2, 3), (0, 2)])
def test_mod_and_back(ids, slices):
    """Ids are dealt out one by one, and what lies in the slices is their concatenation."""
    table = np.arange(ids * 2, dtype="f4").reshape(ids, 2)
    stored = np.concatenate([table[part::slices] for part in range(slices)])
    value, back = np.empty_like(table), np.empty_like(table)
    for piece in pieces_of(f"embedding.mod:slices={slices}", table.shape, table.shape):
        apply(piece, stored, value)
        apply_inverse(piece, value, back)
    assert np.array_equal(value, table) and np.array_equal(back, stored)


@pytest.mark.parametrize("slices", ["0", "1.5"])
def test_odd_slices(slices):
    with pytest.raises(ValueError, match="no number of slices"):
        pieces_of(f"embedding.mod:slices={slices}", (4, 2), (4, 2))


RULES = [[], [Rule("words/(.*)", "m/lookup/embeddings")], [Layer("words", "m/lookup")]]


@pytest.fixture
def words():
    with open_checkpoint(LAYOUTS) as checkpoint:
        for name in [name for name in checkpoint.tensors if not name.startswith("words/")]:
            del checkpoint.tensors[name]
        yield checkpoint


@pytest.mark.parametrize("rules", RULES)
def test_strategy_is_asked_for(rules, words):
    with pytest.raises(MappingError, match=r"stored in 2 slices, .* 'mod' .* or 'div'; .* --partition-strategy"):
        make_plan(words, {"m/lookup/embeddings": Variable((5, 2))}, rules)


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("strategy, order", [("div", [0, 1, 2, 3, 4]), ("mod", [0, 3, 1, 4, 2])])
def test_strategy_given(rules, strategy, order, words):
    variables = {"m/lookup/embeddings": Variable((5, 2))}
    plan = make_plan(words, variables, rules, partition_strategy=strategy)
    load(plan, words, variables)
    stored = words.read("words/embedding_weights")
    assert np.array_equal(variables["m/lookup/embeddings"].numpy(), stored[order])
    assert np.array_equal(export(plan, variables)["words/embedding_weights"], stored)


def test_stated_transform(words):
    rules = [Rule("words/.*", "m/lookup/embeddings", transform="identity")]
    assert len(make_plan(words, {"m/lookup/embeddings": Variable((5, 2))}, rules).loads()) == 1


def test_kernel_in_slices(words):
    """Only embeddings are looked up by ids."""
    rules = [Rule("words/.*", "m/lookup/kernel")]
    (row,) = make_plan(words, {"m/lookup/kernel": Variable((5, 2))}, rules, partition_strategy="mod").loads()
    assert row.transform == "identity"


@pytest.mark.parametrize("given", [None, "mod", "div"])
@pytest.mark.parametrize("strategy", ["mod", "div"])
@pytest.mark.parametrize("ids, slices", [(11, 3), (6, 2)])
def test_graph_says_strategy(given, strategy, ids, slices, tmp_path, capsys):
    tf = pytest.importorskip("tensorflow")
    v1 = tf.compat.v1
    with v1.Graph().as_default(), v1.Session() as session:
        partitioner = v1.fixed_size_partitioner(slices)
        variable = v1.get_variable("emb", (ids, 4), partitioner=partitioner)
        looked_up = v1.nn.embedding_lookup(variable, list(range(ids)), partition_strategy=strategy)
        v1.train.GradientDescentOptimizer(0.1).minimize(tf.reduce_sum(looked_up))
        session.run(v1.global_variables_initializer())
        path = v1.train.Saver().save(session, str(tmp_path / "model.ckpt"))
        wanted = session.run(looked_up)
    variables = {"lookup/embeddings": Variable((ids, 4))}
    with open_checkpoint(path) as checkpoint:
        if given not in (None, strategy):
            with pytest.raises(MappingError, match=rf"partition_strategy='{strategy}' by the graph .* leave the"):
                make_plan(checkpoint, variables, partition_strategy=given)
            return
        load(make_plan(checkpoint, variables, partition_strategy=given), checkpoint, variables)
    assert np.array_equal(variables["lookup/embeddings"].numpy(), wanted)
    if given is None:
        os.remove(path + ".meta")
        np.savez(str(tmp_path / "model.npz"), **{"lookup/embeddings": wanted})
        arguments = ["plan", path, "--model", str(tmp_path / "model.npz")]
        assert main(arguments) == 3
        assert main([*arguments, "--partition-strategy", strategy]) == 0
        assert f"by partition_strategy={strategy!r}" in capsys.readouterr().out
