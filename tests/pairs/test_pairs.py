"""Cells of the compatibility matrix: this release writes every kind it can, and reads what every other wrote."""

import os

import pytest

from gan import study
from tests.pairs.catalogue import catalogue
from tests.pairs.graph_formats import Unsupported

if study.v1.VERSION.startswith("1.15"):
    study.v1.enable_eager_execution()  # Keras models are trained and restored eagerly everywhere; graphs have their own


def end_unsupported(error):
    pytest.skip("unsupported: {}".format(error))


@pytest.mark.kinds
def test_writes(kind, new_artifact):
    written = catalogue().get(kind)
    if written is None or written.write is None:
        end_unsupported("TensorFlow {} has no such format".format(study.v1.VERSION))
    folder = new_artifact("matrix-" + kind)
    try:
        written.write(folder)
    except Unsupported as error:
        end_unsupported(error)
    assert os.path.exists(os.path.join(folder, "golden.npz"))


@pytest.mark.pairs
def test_loads(pair, record_property):
    from tests.pairs.compare import problem, read_golden
    from tests.pairs.through_checkpoints import load_through_checkpoints

    for name in ("producer", "kind", "way"):
        record_property(name, pair[name])
    record_property("how", "raises")  # until something is there to look at
    golden = read_golden(pair["folder"])
    try:
        if pair["way"] == "native":
            loaded = catalogue()[pair["kind"]].native(pair["folder"])
        else:
            loaded = load_through_checkpoints(pair, bool(golden["continued"]))
    except Unsupported as error:
        end_unsupported(error)
    wrong = problem(loaded, golden, record_property)
    if wrong:
        record_property("how", "silently wrong")
        pytest.fail("silently wrong: " + wrong, pytrace=False)
