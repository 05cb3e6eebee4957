"""environments.toml: what is accepted, what is refused and how that reads."""

from __future__ import annotations

import re
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
    assert (row.session, row.release, row.tags) == (
        "cpu-tf2",
        "2.21",
        ("tf2", "cpu", "keras3", "tensorflow", "eager", "short"),
    )


@pytest.mark.parametrize(
    "name", ["tf2.21", "cpu-2.21", "tpu-tf2.21", "cpu-tf2", "cpu-tf2.21.0", "CPU-tf2.21", "cpu-tf2.20", "cpu-tf2.2", ""]
)
def test_an_id_that_does_not_say_device_and_release_is_refused(tmp_path, name):
    with pytest.raises(BadConfiguration, match="must be DEVICE-tfRELEASE"):
        load(tmp_path, f'[environments."{name}"]\n{ROW}')


FIRST = '[environments."cpu-tf2.21"]\n'


@pytest.mark.parametrize(
    ("tables", "line", "words"),
    [
        (f"{FIRST}{ROW}kears = 3\n", 8, "unknown field `kears`"),
        (f'{FIRST}tensorflow = "2.21.0"\n', 3, "missing required field `python`"),
        (f"{FIRST}{ROW.replace('keras = 3', 'keras = three')}", 7, "Invalid value"),
        (f"{FIRST}{ROW.replace('keras = 3', 'keras = true')}", 7, "keras"),
        (f"{FIRST}{ROW.replace('3.13', '3.13x')}", 6, "3.13x"),
        (
            f"{FIRST}{ROW.replace('3.13', '3.77')}",
            6,
            "'3.77' of cpu-tf2.21 must be a release such as 3.13 (3.7 to 3.15)",
        ),
        (f"{FIRST}{ROW.replace('3.13', '3.6')}", 6, "'3.6'"),
        (f"{FIRST}{ROW.replace('2.21.0', '2.21.x')}", 4, "tensorflow = '2.21.x' of cpu-tf2.21"),
        (f"{FIRST}{ROW}[environments.'cpu-tf2.20']\n{ROW}", 8, "DEVICE-tfRELEASE"),
        (f"{FIRST}{ROW}{FIRST}{ROW}", 8, "twice"),
        (f"{FIRST}{ROW}{ROW}", 8, "overwrite"),
        (f'{FIRST}{ROW}cuda = "9"\n', 8, "cuda = '9'"),
        (f"{FIRST}{ROW.replace('package', '# package')}", 3, "needs a package"),
        ("[surprise]\n", 3, "surprise"),
    ],
)
def test_what_is_wrong_in_the_file_is_named_with_its_line(tmp_path, tables, line, words):
    with pytest.raises(BadConfiguration) as error:
        load(tmp_path, tables)
    assert str(error.value).startswith(f"environments.toml:{line}: ") and words in str(error.value)


def test_a_wrong_word_in_the_head_is_named_with_its_line(tmp_path):
    with pytest.raises(BadConfiguration, match=r"^environments\.toml:2: .*comon"):
        load(tmp_path, "", head='cutoff = "2026-01-01T00:00:00Z"\ncomon = ["pytest"]\n')


@pytest.mark.parametrize("cutoff", ["yesterday", "2026-13-01", "", "15 November 2026"])
def test_a_cutoff_that_is_no_time_is_named_with_its_line(tmp_path, cutoff):
    with pytest.raises(BadConfiguration, match=rf"^environments\.toml:1: cutoff = '{cutoff}'"):
        load(tmp_path, "", head=f'cutoff = "{cutoff}"\ncommon = ["pytest"]\n')


@pytest.mark.parametrize("cutoff", ["2026-11-15T00:00:00Z", "2026-11-15", "2026-11-15T12:30:00+01:00"])
def test_a_cutoff_is_a_day_or_a_time(tmp_path, cutoff):
    assert load(tmp_path, f"{FIRST}{ROW}", head=f'cutoff = "{cutoff}"\ncommon = []\n')["cpu-tf2.21"].cutoff == cutoff


def test_rows_of_other_kinds_have_sessions_and_tags_of_their_own(tmp_path):
    head = (
        'cutoff = "2026-01-01T00:00:00Z"\ncommon = []\n[cuda."10"]\nimages = ["a", "b"]\n[cuda."11"]\nwheels = ["c"]\n'
    )
    tables = f'[environments."cpu-tf2.21-legacy"]\n{ROW}env = {{ A = "1" }}\n'
    tables += f'[environments."gpu-tf2.21"]\n{ROW}cuda = "10"\n[environments."gpu-tf2.21-other"]\n{ROW}cuda = "11"\n'
    tables += '[environments."cpu-keras3-jax"]\npython = "3.13"\nkeras = 3\nwith = ["jax"]\n'
    rows = load(tmp_path, tables, head)
    assert {row.id: (row.session, row.release) for row in rows.values()} == {
        "cpu-tf2.21-legacy": ("cpu-legacy", "2.21"),
        "gpu-tf2.21": ("gpu-tf2", "2.21"),
        "gpu-tf2.21-other": ("gpu-tf2", "2.21-other"),
        "cpu-keras3-jax": ("cpu-keras", "jax"),
    }
    assert rows["cpu-tf2.21-legacy"].env == {"A": "1"}
    assert (rows["gpu-tf2.21"].cuda, rows["gpu-tf2.21"].cuda_images) == ("10", ("a", "b"))
    assert rows["gpu-tf2.21-other"].requirements[-1] == "c"
    assert rows["cpu-keras3-jax"].tags == ("keras", "cpu", "keras3", "eager")


def lock(name):
    """{distribution: version} of the committed lock of the environment `name`."""
    text = (CHECKOUT / "docker" / "locks" / f"{name}.txt").read_text()
    return dict(re.findall(r"^([\w.-]+)==([^\s\\;]+)", text, re.MULTILINE))


ROWS = load_environments(CHECKOUT / "environments.toml")


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_every_release_has_a_row_on_each_device(device):
    releases = ["1.15", *[f"2.{minor}" for minor in range(22)]]
    rows = [row.release for row in ROWS.values() if row.session in (f"{device}-tf1", f"{device}-tf2")]
    assert [release for release in rows if "-" not in release] == releases


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.device == "gpu" and not row.base])
def test_a_gpu_row_differs_from_its_cpu_row_by_tensorflow_and_cuda_only(name):
    def others(distributions):
        return {
            name: version
            for name, version in distributions.items()
            if not name.startswith("nvidia-") and name not in ("tensorflow", "tensorflow-cpu", "tensorflow-gpu")
        }

    row, cpu = ROWS[name], ROWS[name.replace("gpu", "cpu")]
    assert (row.tensorflow, row.python, row.keras) == (cpu.tensorflow, cpu.python, cpu.keras)
    assert others(lock(name)) == others(lock(cpu.id))


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


def test_the_table_of_the_reference_is_that_of_the_rows():
    text = (CHECKOUT / "docs" / "reference.md").read_text()
    table = re.findall(r"^\| ([\d.]+) \| (3\.\d+) \| (\d) \| (.*) \|$", text, re.MULTILINE)
    rows = [row for row in ROWS.values() if row.session in ("cpu-tf1", "cpu-tf2")]
    assert [line[:3] for line in table] == [(row.tensorflow, row.python, str(row.keras)) for row in rows]
    for row, line in zip(rows, table, strict=True):
        gpu = ROWS[row.id.replace("cpu", "gpu")]
        image = gpu.cuda_images[0].removeprefix("docker.io/") if gpu.cuda_images else "wheels"
        assert image in line[3]
