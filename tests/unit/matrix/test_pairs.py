"""The plan of the compatibility matrix: which cells there are, and what a selection leaves of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from matrix.environments import load_environments
from matrix.errors import BadConfiguration, NothingSelected
from matrix.oldest import oldest
from matrix.pairs import load_kinds, reading_cells, select, told_to_recorder, writing_cells
from matrix.project import Project

CHECKOUT = Path(__file__).resolve().parents[3]
ENVIRONMENTS = {
    row.id: row
    for row in load_environments(CHECKOUT / "environments.toml").values()
    if row.device == "cpu" and "tensorflow" in row.tags
}
KINDS = load_kinds(CHECKOUT / "tests/pairs/kinds.toml")


def chosen(*words):
    return select(words, ENVIRONMENTS, ENVIRONMENTS, KINDS)


def test_everything_is_every_release_both_ways():
    everything = chosen()
    assert len(everything.producers) == len(everything.consumers) == 23
    assert everything.kinds == tuple(kind.id for kind in KINDS)
    assert everything.ways == ("native", "carryover")


def test_words_select_by_axis_release_tag_and_kind():
    some = chosen("producer=1.15,2.4", "consumer=keras3", "kind=keras-h5", "way=native")
    assert some.producers == ("cpu-tf1.15", "cpu-tf2.4")
    assert "cpu-tf2.21" in some.consumers and "cpu-tf2.15" not in some.consumers
    assert (some.kinds, some.ways) == (("keras-h5",), ("native",))
    both = chosen("2.15", "weights-h5")
    assert both.producers == both.consumers == ("cpu-tf2.15",)
    assert both.kinds == ("weights-h5",)
    assert chosen("consumer=cpu-tf2.16-legacy").consumers == ("cpu-tf2.16-legacy",)


@pytest.mark.parametrize("word", ["2.21", "keras2", "keras3", "tf2", "cpu", "eager"])
def test_keras_2_in_a_release_of_keras_3_is_not_what_names_others_too(word):
    """The ledger leaves it out: what fails there is known to nobody."""
    some = chosen(word)
    assert some.producers and not [name for name in (*some.producers, *some.consumers) if "legacy" in name]


def test_keras_2_in_the_releases_of_keras_3_goes_by_a_tag_of_its_own():
    assert chosen("producer=legacy").producers == tuple(name for name in ENVIRONMENTS if name.endswith("-legacy"))


@pytest.mark.parametrize(
    "word, near", [("kind=keras-h6", "keras-h5"), ("2.51", "2.5"), ("producers=2.15", "producer="), ("natve", "native")]
)
def test_a_word_that_names_nothing_names_the_nearest(word, near):
    with pytest.raises(NothingSelected, match=re.escape(near)):
        chosen(word)


@pytest.mark.parametrize("word", ["kind=", "producer=,", "", ","])
def test_a_word_without_a_name_is_not_everything(word):
    """As a script leaves it whose variable is empty."""
    with pytest.raises(NothingSelected, match="names nothing"):
        chosen("2.4", word)


def test_cells_are_those_of_the_files_that_there_are():
    selection = chosen("producer=1.15,2.15", "consumer=2.4")
    writing = writing_cells(selection, ENVIRONMENTS, KINDS)
    assert {cell.environment for cell in writing} == {"cpu-tf1.15", "cpu-tf2.15"}
    v1 = [cell.environment for cell in writing if cell.kind == "saver-v1"]
    assert v1 == ["cpu-tf1.15"], "only TensorFlow 1 is asked for the format before 0.12"
    assert not [cell for cell in writing if cell.kind == "saver-v2-by-name"], "reads what another kind wrote"
    reading = reading_cells(selection, KINDS, {"saver-v2": {"cpu-tf1.15"}, "weights-h5": {"cpu-tf2.15"}})
    assert {cell.environment for cell in reading} == {"cpu-tf2.4"}
    assert [(cell.kind, cell.producer, cell.way) for cell in reading] == [
        ("saver-v2", "cpu-tf1.15", "native"),
        ("saver-v2", "cpu-tf1.15", "carryover"),
        ("saver-v2-by-name", "cpu-tf1.15", "native"),
        ("weights-h5", "cpu-tf2.15", "native"),
        ("weights-h5", "cpu-tf2.15", "carryover"),
    ]
    assert len({(cell.environment, cell.cell) for cell in reading}) == len(reading)


def test_only_the_ways_and_kinds_that_are_selected_are_read():
    written = {"keras-h5": {"cpu-tf2.15"}, "weights-h5": {"cpu-tf2.15"}}

    def read(*words):
        return [(cell.kind, cell.way) for cell in reading_cells(chosen("consumer=2.4", *words), KINDS, written)]

    both = ["native", "carryover"]
    assert read() == [(kind, way) for kind in ("keras-h5", "weights-h5") for way in both]
    assert read("way=native") == [("keras-h5", "native"), ("weights-h5", "native")]
    assert read("way=carryover", "kind=keras-h5") == [("keras-h5", "carryover")]


def test_the_recorder_is_told_what_the_ids_of_the_cells_say():
    selection = chosen("producer=2.15", "consumer=2.15", "kind=keras-h5")
    cells = [*writing_cells(selection, ENVIRONMENTS, KINDS)]
    cells += reading_cells(selection, KINDS, {"keras-h5": {"cpu-tf2.15"}})
    told = told_to_recorder(cells, KINDS)
    ids = [f"test_writes[{kind}]" for kind in told["kinds"]] + [f"test_loads[{pair['id']}]" for pair in told["pairs"]]
    assert ids == [cell.cell.rpartition("::")[2] for cell in cells]


def test_every_kind_can_be_written_and_read_by_somebody():
    """kinds.toml and tests/pairs/catalogue.py name the same kinds."""
    text = (CHECKOUT / "tests/pairs/catalogue.py").read_text()
    assert set(re.findall(r'^        "([a-z0-9-]+)": Kind\(', text, re.M)) == {kind.id for kind in KINDS}


def test_what_the_oldest_releases_wrote_is_whole_and_can_be_selected():
    old = oldest(Project(CHECKOUT))
    assert list(old) == ["cpu-tf1.4", "cpu-tf1.12"]
    selection = select(["producer=1.4", "consumer=2.21"], {**old, **ENVIRONMENTS}, ENVIRONMENTS, KINDS)
    assert selection.producers == ("cpu-tf1.4",)
    assert not writing_cells(selection, ENVIRONMENTS, KINDS), "they run nowhere"


def test_a_key_that_is_none_is_named(tmp_path):
    (tmp_path / "kinds.toml").write_text('[[kinds]]\nid = "a"\ntitle = "A"\nfile = "f"\ncolour = "red"\n')
    with pytest.raises(BadConfiguration, match="colour"):
        load_kinds(tmp_path / "kinds.toml")
