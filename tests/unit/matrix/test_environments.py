"""environments.toml: what is accepted, what is refused and how that reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from matrix.environments import find_environment, load_environments, nearest
from matrix.errors import BadConfiguration, UnknownEnvironment

CHECKOUT = Path(__file__).resolve().parents[3]
ROW = 'tensorflow = "2.21.0"\npackage = "tensorflow-cpu"\npython = "3.13"\nkeras = 3\n'


def load(folder, tables, head='cutoff = "2026-01-01T00:00:00Z"\ncommon = ["pytest"]\n'):
    file = folder / "environments.toml"
    file.write_text(head + tables)
    return load_environments(file)


def test_a_row_becomes_an_environment(tmp_path):
    rows = load(tmp_path, f'[environments."cpu-tf2.21"]\n{ROW}with = ["numpy<2"]\ntags = ["short"]\n')
    row = rows["cpu-tf2.21"]
    assert row.requirements == ("tensorflow-cpu==2.21.0", "numpy<2", "pytest")
    assert (row.session, row.release, row.tags) == ("cpu-tf2", "2.21", ("tf2", "cpu", "keras3", "short"))


@pytest.mark.parametrize(
    "name", ["tf2.21", "cpu-2.21", "tpu-tf2.21", "cpu-tf2", "cpu-tf2.21.0", "CPU-tf2.21", "cpu-tf2.20", "cpu-tf2.2", ""]
)
def test_an_id_that_does_not_say_device_and_release_is_refused(tmp_path, name):
    with pytest.raises(BadConfiguration, match="must be DEVICE-tfRELEASE"):
        load(tmp_path, f'[environments."{name}"]\n{ROW}')


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        (f'[environments."cpu-tf2.21"]\n{ROW}kears = 3\n', "kears"),
        ('[environments."cpu-tf2.21"]\ntensorflow = "2.21.0"\n', "package"),
        (f'[environments."cpu-tf2.21"]\n{ROW.replace("3.13", "3.13x").replace("= 3", "= three")}', "environments.toml"),
        (f'[environments."cpu-tf2.21"]\n{ROW.replace("keras = 3", "keras = true")}', "keras"),
        (f'[environments."cpu-tf2.21"]\n{ROW}[environments."cpu-tf2.21"]\n{ROW}', "environments.toml"),
        ("[surprise]\n", "surprise"),
    ],
)
def test_what_is_wrong_in_the_file_is_named(tmp_path, tables, words):
    with pytest.raises(BadConfiguration, match=words):
        load(tmp_path, tables)


@pytest.mark.parametrize("python", ["3", "3.13.1", "three", "313", "2.7 "])
def test_a_python_that_is_no_release_is_refused(tmp_path, python):
    with pytest.raises(BadConfiguration, match="python"):
        load(tmp_path, f'[environments."cpu-tf2.21"]\n{ROW.replace("3.13", python)}')


def test_a_file_that_is_not_there_or_not_text_is_named(tmp_path):
    with pytest.raises(BadConfiguration, match=r"environments\.toml"):
        load_environments(tmp_path / "environments.toml")
    (tmp_path / "environments.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(BadConfiguration, match=r"environments\.toml"):
        load_environments(tmp_path / "environments.toml")


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("cpu-tf2.25", "cpu-tf2.2"),
        ("cpu-tf115", "cpu-tf1.15"),
        ("gpu_tf2.4", "gpu-tf2.4"),
        ("cpu-tf3.1", "cpu-tf2.1"),
    ],
)
def test_an_unknown_name_comes_with_those_near_it(asked, meant):
    with pytest.raises(UnknownEnvironment) as error:
        find_environment(load_environments(CHECKOUT / "environments.toml"), asked)
    assert meant in str(error.value).partition("did you mean")[2]


def test_a_name_that_is_near_none_comes_with_all():
    assert nearest("everything", ["cpu-tf1.15", "gpu-tf1.15"]) == "there are cpu-tf1.15, gpu-tf1.15"
