"""A small checkout that a bundle is made in and read in, and files that pretend to be one.

`HOSTILE` has a function each, that writes one; it is given the head and the files of a good bundle, to change.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import struct
import tarfile
from pathlib import Path

import msgspec

from matrix import artifacts, bundle, locks
from matrix.project import Limits, Project
from matrix.results import Outcome
from tests.page.sample import record

CHECKOUT = Path(__file__).resolve().parents[3]
ID = "cpu-tf2.21"
CELL = "tests/compatibility/test_load.py::test_loads[committed]"
MATRIX_CELL = "tests/pairs/test_pairs.py::test_loads[keras-h5-cpu-tf2.21-native]"
_AXIS = f"""\
cutoff = "2026-11-15"
common = []

[environments."{ID}"]
tensorflow = "2.21.0"
package = "tensorflow-cpu"
python = "3.13"
keras = 3
"""
SOURCES = {
    "pyproject.toml": "[tool.pytest.ini_options]\n",
    "tests/cells.toml": '[[cells]]\ntest = "tests/compatibility/test_load.py::test_loads"\nin = []\n',
    "tests/compatibility/test_load.py": "def test_loads(artifact): pass\n",
    "checkpoints/__init__.py": "",
    "gan/__init__.py": "",
    "reports/logs/run.log": "its log\n",
}
BUDGET = 4 << 20


def checkout(root: Path, budget: int = BUDGET) -> Project:
    """A project at `root` with one environment, its lock, one cell and one artifact."""
    for name, text in SOURCES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "environments.toml").write_text(_AXIS)
    (root / ".carryover").mkdir()
    project = Project(root, Limits(bundle_bytes=budget))
    lock(project)
    made = root / "made"
    made.mkdir()
    (made / "number.txt").write_text("7")
    manifest = artifacts.Manifest("numbers", ID, "c", {}, {})
    artifacts.publish(project, made, manifest, root / "tests/fixtures/numbers")
    return project


def lock(project: Project) -> None:
    """Give the environment a lock that is made for it, as it is declared now."""
    path = project.lock(project.environment(ID))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(locks._HEADER.format(id=ID, digest=locks.wanted(project.environment(ID))))


def good(project: Project, path: Path, cell: str = CELL) -> Path:
    """A bundle of a failed cell of `project`."""
    inputs = {"numbers/committed": artifacts.identity(project.committed / "numbers")}
    failed = record(ID, cell, Outcome.FAILED, "AssertionError: 7 is odd")
    failed = msgspec.structs.replace(failed, image_id="0" * 12, log="reports/logs/run.log", inputs=inputs)
    bundle.write(project, failed, bundle.Told(), path)
    return path


def contents(path: Path) -> tuple[dict, dict[str, bytes]]:
    """The head of a bundle, and its other files."""
    with tarfile.open(path) as tar:
        files = {member.name: tar.extractfile(member).read() for member in tar}
    return json.loads(files.pop("bundle.json")), files


class Forger:
    """Writes a bundle at `path` out of `head` and `files`, and what else it is told to put where."""

    def __init__(self, path: Path, head: dict, files: dict[str, bytes]) -> None:
        self.path, self.head, self.files = path, head, files
        self.first = self.between = self.last = b""
        self.listed: dict[str, bytes | dict] | None = None  # in place of `files`
        self.text: bytes | None = None  # in place of the head
        self.level = 6

    def add(self, name: str, data: bytes = b"x") -> None:
        self.files[name] = data

    def write(self) -> None:
        listed = self.files if self.listed is None else self.listed
        self.head["files"] = {name: entry(data) if isinstance(data, bytes) else data for name, data in listed.items()}
        text = json.dumps(self.head).encode() if self.text is None else self.text
        with gzip.open(self.path, "wb", self.level) as out:
            out.write(self.first + member("bundle.json", text) + self.between)
            for name, data in self.files.items():
                out.write(member(name, data))
            out.write(self.last or bytes(1024))


def entry(data: bytes) -> dict:
    return {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE, link: str = "", gnu: bool = False) -> bytes:
    info = tarfile.TarInfo(name[:100])
    info.size, info.type, info.linkname = size, kind, link
    return info.tobuf(tarfile.GNU_FORMAT if gnu else tarfile.USTAR_FORMAT, "utf-8", "surrogatepass")[:512]


def member(name: str, data: bytes, kind: bytes = tarfile.REGTYPE) -> bytes:
    if len(name.encode(errors="surrogatepass")) <= 100:
        first = header(name, len(data), kind)
    else:
        info = tarfile.TarInfo(name)
        info.size, info.type = len(data), kind
        first = info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogatepass")
    return first + data + bytes(-len(data) % 512)


def announced(kind: bytes, data: bytes) -> bytes:
    """An extension of tar's: the header of `kind`, and what it announces."""
    return header("././@LongLink", len(data), kind, gnu=True) + data + bytes(-len(data) % 512)


def pax(**fields: str) -> bytes:
    text = b""
    for name, value in fields.items():
        line = f" {name}={value}\n".encode()
        size = len(line) + len(str(len(line)))
        text += str(size + (len(str(size)) > len(str(len(line))))).encode() + line
    return announced(tarfile.XHDTYPE, text)


HOSTILE = {}


def hostile(said: str, name: str | None = None):
    """Register a forgery, by its name, with a part of the line that refuses it."""

    def register(function):
        HOSTILE[name or function.__name__.replace("_", " ")] = (function, said)
        return function

    return register


# Names.
def _named(name: str, said: str = "which is no file of a bundle", shown: str = "") -> None:
    @hostile(said, f"a file called {shown or ascii(name)[:60]}")
    def change(forger: Forger) -> None:
        forger.add(name)
        forger.write()


for _name in (
    *(".", "..", "", "/", "x", "files", "files/", "files/x", "log.txt/x", "bundle.json", "artifacts/x", "tests/a"),
    *("files/tests/", "files/tests//a", "files/tests/./a", "files/tests/../a", "files/../../../../evil", "/tmp/evil"),
    *(
        "files/environments.toml",
        "files/docker/Dockerfile",
        "files/docker/install",
        "files/matrix/cli.py",
    ),
    *("files/docker/locks/cpu-tf2.21.txt", "files/noxfile.py", "../files/tests/a", "./files/tests/a", "FILES/tests/a"),
    *("files/tests/a\nb", "files/tests/\x1b[31m", "files/tests/\u202egpj.x", "files/tests/\x00", "files/.git/x"),
    *("files\\tests\\a", "files/tests/..\\a", "C:\\x", "files/tests/\u2028", "files/tests/ /../../a"),
):
    _named(_name)
_named("files/tests/" + "n" * 300, shown="with 300 letters")
_named("files/tests/" + "d/" * 2500 + "x", shown="2500 folders deep")
_named("files/tests/\ud800", "is damaged: bundle.json")
_named("files/tests/" + "é" * 150, shown="with 300 bytes")


@hostile("is a file and a folder of it")
def a_file_and_a_folder_of_one_name(forger: Forger) -> None:
    forger.add("files/tests/a")
    forger.add("files/tests/a/b")
    forger.write()


@hostile("is a file and a folder of it")
def a_folder_before_the_file_of_its_name(forger: Forger) -> None:
    forger.add("files/tests/a/b/c")
    forger.add("files/tests/a")
    forger.write()


# Kinds of members.
def _kind(name: str, kind: bytes, link: str = "", listed: bool = True) -> None:
    @hostile("which is not what it lists" if listed else "is not what it lists", name)
    def change(forger: Forger) -> None:
        evil = "files/tests/evil"
        forger.listed = {**({evil: b""} if listed else {}), **forger.files}
        forger.between = header(evil, 0, kind, link)
        forger.write()


_kind("a symbolic link", tarfile.SYMTYPE, "/etc/passwd")
_kind("a symbolic link out of the folder", tarfile.SYMTYPE, "../../../../..")
_kind("a hard link", tarfile.LNKTYPE, "bundle.json")
_kind("a hard link to a file of the host", tarfile.LNKTYPE, "/etc/passwd")
_kind("a character device", tarfile.CHRTYPE)
_kind("a block device", tarfile.BLKTYPE)
_kind("a pipe", tarfile.FIFOTYPE)
_kind("a folder", tarfile.DIRTYPE)
_kind("a contiguous file", tarfile.CONTTYPE)
_kind("a sparse file", tarfile.GNUTYPE_SPARSE)
_kind("a volume label", b"V")
_kind("a kind that there is not", b"Z")
_kind("a link that nothing lists", tarfile.SYMTYPE, "/tmp", listed=False)


@hostile("which is not what it lists")
def a_link_in_place_of_a_folder(forger: Forger) -> None:
    forger.between = header("files", 0, tarfile.SYMTYPE, "/tmp")
    forger.write()


# Extensions of tar that announce a size, and are read before anything can be said against them.
@hostile("does not begin with a bundle.json")
def a_long_name_before_the_head(forger: Forger) -> None:
    forger.first = announced(tarfile.GNUTYPE_LONGNAME, b"bundle.json\0")
    forger.write()


@hostile("does not begin with a bundle.json")
def a_long_name_of_64_mib_before_the_head(forger: Forger) -> None:
    forger.first = announced(tarfile.GNUTYPE_LONGNAME, b"a" * (64 << 20))
    forger.level = 1
    forger.write()


@hostile("does not begin with a bundle.json")
def a_long_link_before_the_head(forger: Forger) -> None:
    forger.first = announced(tarfile.GNUTYPE_LONGLINK, b"x\0")
    forger.write()


@hostile("does not begin with a bundle.json")
def a_pax_header_of_64_mib(forger: Forger) -> None:
    forger.first = announced(tarfile.XHDTYPE, bytes(64 << 20))
    forger.level = 1
    forger.write()


@hostile("does not begin with a bundle.json")
def a_pax_header_that_renames_the_head(forger: Forger) -> None:
    forger.first = pax(path="bundle.json")
    forger.write()


@hostile("does not begin with a bundle.json")
def a_global_pax_header(forger: Forger) -> None:
    forger.first = announced(tarfile.XGLTYPE, b"")
    forger.write()


@hostile("which is not what it lists")
def a_pax_header_that_renames_a_file(forger: Forger) -> None:
    forger.between = pax(path="files/../../../evil")
    forger.write()


@hostile("which is not what it lists")
def a_pax_header_that_makes_a_file_larger(forger: Forger) -> None:
    forger.between = pax(size=str(1 << 40))
    forger.write()


@hostile("which is not what it lists")
def a_long_name_of_64_mib_after_the_head(forger: Forger) -> None:
    forger.between = announced(tarfile.GNUTYPE_LONGNAME, b"a" * (64 << 20))
    forger.level = 1
    forger.write()


@hostile("which it does not list")
def a_long_name_of_64_mib_at_the_end(forger: Forger) -> None:
    forger.last = announced(tarfile.GNUTYPE_LONGNAME, b"a" * (64 << 20))
    forger.level = 1
    forger.write()


# Sizes.
@hostile("Expected `int` >= 0")
def a_negative_size(forger: Forger) -> None:
    large = {"size": 400 << 20, "sha256": "0" * 64}
    forger.listed = {**forger.files, "files/tests/zeros": large, "files/tests/neg": {**large, "size": -(400 << 20)}}
    forger.write()


@hostile("and 4 are allowed (CARRYOVER_BUNDLE_MB)")
def one_byte_too_many(forger: Forger) -> None:
    size = BUDGET - sum(map(len, forger.files.values())) + 1
    forger.listed = {**forger.files, "files/tests/zeros": {"size": size, "sha256": "0" * 64}}
    forger.write()


@hostile("and 4 are allowed (CARRYOVER_BUNDLE_MB)")
def zeros_of_64_mib(forger: Forger) -> None:
    forger.add("files/tests/zeros", bytes(64 << 20))
    forger.write()


@hostile("and 4 are allowed (CARRYOVER_BUNDLE_MB)")
def a_size_of_100_digits(forger: Forger) -> None:
    forger.listed = {**forger.files, "files/tests/zeros": {"size": int("9" * 100), "sha256": "0" * 64}}
    forger.write()


@hostile("which is not what it lists")
def a_size_that_the_header_has_otherwise(forger: Forger) -> None:
    forger.listed = {**forger.files, "files/pyproject.toml": {"size": 1 << 20, "sha256": "0" * 64}}
    forger.write()


@hostile("which is not what it lists")
def a_negative_size_in_a_header(forger: Forger) -> None:
    forger.listed = {"files/tests/a": b"", **forger.files}
    made = bytearray(header("files/tests/a", 0))
    made[124:136] = b"\xff" * 12
    made[148:156] = b"%06o\0 " % (sum(made[:148]) + 256 + sum(made[156:]))
    forger.between = bytes(made)
    forger.write()


@hostile("does not begin with a bundle.json of at most 4 MiB")
def a_head_of_5_mib(forger: Forger) -> None:
    forger.text = json.dumps(forger.head).encode() + b" " * (5 << 20)
    forger.write()


@hostile("of length <= 20000")
def too_many_files(forger: Forger) -> None:
    forger.files |= {f"files/tests/{n}": b"" for n in range(20_001)}
    forger.write()


@hostile("has more than 64 KiB")
def a_long_reason(forger: Forger) -> None:
    forger.head["record"]["reason"] = "x" * 100_000
    forger.write()


# Order and contents.
@hostile("is not what it lists")
def another_order(forger: Forger) -> None:
    forger.listed = dict(reversed(forger.files.items()))
    forger.write()


@hostile("is not what it lists")
def a_file_is_missing(forger: Forger) -> None:
    forger.listed = dict(forger.files)
    del forger.files["files/pyproject.toml"]
    forger.write()


@hostile("there is its end")
def the_last_file_is_missing(forger: Forger) -> None:
    forger.listed = {**forger.files, "files/tests/last": b"x"}
    forger.write()


@hostile("which it does not list")
def a_file_that_is_not_listed(forger: Forger) -> None:
    forger.listed = dict(forger.files)
    forger.add("files/tests/more")
    forger.write()


@hostile("which it does not list")
def a_file_twice(forger: Forger) -> None:
    forger.last = member("files/pyproject.toml", forger.files["files/pyproject.toml"]) + bytes(1024)
    forger.write()


@hostile("files/pyproject.toml has another SHA-256")
def an_altered_file(forger: Forger) -> None:
    forger.listed = dict(forger.files)
    forger.files["files/pyproject.toml"] = b"x" * len(forger.files["files/pyproject.toml"])
    forger.write()


@hostile("matching regex")
def a_digest_that_is_none(forger: Forger) -> None:
    forger.listed = {**forger.files, "files/tests/a": {"size": 1, "sha256": "x"}}
    forger.write()


# The head.
def _without(*keys: str) -> None:
    @hostile("is damaged: bundle.json: Object missing required field", f"no {'.'.join(keys)}")
    def change(forger: Forger) -> None:
        inside = forger.head
        for key in keys[:-1]:
            inside = inside[key]
        del inside[keys[-1]]
        forger.write()


for _keys in (
    *(("version",), ("made",), ("commit",), ("changed",), ("record",), ("told",), ("environment",), ("lock",)),
    *(("record", key) for key in ("run", "cell", "environment", "outcome", "reason", "engine", "image", "image_id")),
    *(("record", key) for key in ("base", "versions", "host", "started", "log", "seconds", "device", "isolation")),
):
    _without(*_keys)


def _set(name: str, said: str, **values: object) -> None:
    @hostile(said, name)
    def change(forger: Forger) -> None:
        for key, value in values.items():
            part = forger.head["record"] if key in forger.head["record"] and key != "environment" else forger.head
            part[key] = value
        forger.write()


def _record(name: str, said: str, **values: object) -> None:
    @hostile(said, name)
    def change(forger: Forger) -> None:
        forger.head["record"].update(values)
        forger.write()


_NONE = "its record names no cell, no image or no artifact"
_set("version 1", "is of version 1, this checkout reads 2", version=1)
_set("a later version", "is of version 3, this checkout reads 2", version=3)
_set("a version that is text", "Expected `int`", version="2")
_set("a version that is a list", "Expected `int`", version=[2])
_set("a commit that is a command", "matching regex", commit="; rm -rf ~")
_set("a commit that is an option", "matching regex", commit="--orphan=x")
_set("a commit with a line end", "matching regex", commit="0" * 40 + "\n")
_set("a date of a megabyte", "of length <= 40", made="2" * (1 << 20))
_set("another environment", "was made with another cpu-tf2.21 than environments.toml has here", environment="0" * 64)
_set("another lock", "was made with another lock of cpu-tf2.21 than this checkout has", lock="0" * 64)
_set("an environment that is no digest", "matching regex", environment="x")
_set("files that are a list", "is damaged: bundle.json", told=[])
_set("a GPU that is another device", "Invalid enum value", told={"needs": "tpu"})
_set("pairs that are numbers", "Expected `object`, got `int`", told={"pairs": [1]})
_record("an environment that is not here", "'cpu-tf9.9', which is not here", environment="cpu-tf9.9")
_record("an environment that is an option", "'--help', which is not here", environment="--help")
_record("an environment that is a path", "'../../x', which is not here", environment="../../x")
_record("an environment that clears the screen", "which is not here", environment="\x1b[2J")
_record("a cell that is an option", _NONE, cell="--basetemp=/::x")
_record("a cell that is none", _NONE, cell="tests/x")
_record("a cell elsewhere", _NONE, cell="/tests/x::y")
_record("an image that is an option", _NONE, image_id="--privileged")
_record("an image that is a name", _NONE, image_id="debian:latest")
_record("an image of few digits", _NONE, image_id="0123")
_record("an input that leads out", _NONE, inputs={"../../x": "0" * 64})
_record("an input that leads out of a kind", _NONE, inputs={"numbers/..": "0" * 64})
_record("an input of three parts", _NONE, inputs={"a/b/c": "0" * 64})
_record("an input whose digest is none", _NONE, inputs={"numbers/committed": "0"})
_record("an outcome that there is not", "Invalid enum value", outcome="splendid")
_record("seconds that are text", "Expected `float`", seconds="1")
_record("a detail that is a list", "is damaged: bundle.json", details={"a": []})
_record("a reason that is null", "Expected `str`", reason=None)


# The file itself.
@hostile("is damaged")
def cut_in_the_middle(forger: Forger) -> None:
    forger.write()
    forger.path.write_bytes(forger.path.read_bytes()[: forger.path.stat().st_size // 2])


@hostile("is damaged")
def cut_in_the_head(forger: Forger) -> None:
    forger.write()
    forger.path.write_bytes(forger.path.read_bytes()[:100])


@hostile("is damaged")
def a_bit_is_flipped(forger: Forger) -> None:
    forger.write()
    data = bytearray(forger.path.read_bytes())
    data[len(data) // 2] ^= 1
    forger.path.write_bytes(data)


@hostile("is damaged, or no bundle")
def text(forger: Forger) -> None:
    forger.path.write_text("hello")


@hostile("is damaged, or no bundle")
def nothing(forger: Forger) -> None:
    forger.path.write_bytes(b"")


@hostile("is damaged, or no bundle")
def a_tar_that_is_not_compressed(forger: Forger) -> None:
    forger.path.write_bytes(member("bundle.json", b"{}") + bytes(1024))


@hostile("does not begin with a bundle.json")
def only_zeros(forger: Forger) -> None:
    forger.path.write_bytes(gzip.compress(bytes(64 << 20), 1))


@hostile("is damaged, or no bundle")
def a_name_in_the_gzip_header_without_an_end(forger: Forger) -> None:
    forger.path.write_bytes(struct.pack("<BBBBIBB", 0x1F, 0x8B, 8, 8, 0, 0, 3) + b"a" * (8 << 20))


@hostile("is damaged, or no bundle")
def a_million_empty_members(forger: Forger) -> None:
    forger.path.write_bytes(gzip.compress(b"") * 500_000)


@hostile("is damaged: bundle.json")
def a_head_that_is_no_json(forger: Forger) -> None:
    forger.text = b"{"
    forger.write()


@hostile("is damaged: bundle.json")
def a_head_that_is_deep(forger: Forger) -> None:
    forger.text = b'{"version": 2, "files":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001
    forger.write()


@hostile("is damaged: bundle.json")
def a_head_that_is_a_list(forger: Forger) -> None:
    forger.text = b"[]"
    forger.write()


@hostile("is damaged: bundle.json")
def a_head_that_is_no_utf8(forger: Forger) -> None:
    forger.text = b'{"version": 2, "made": "\xff"}'
    forger.write()


@hostile("it is no file")
def a_pipe_itself(forger: Forger) -> None:
    os.mkfifo(forger.path)


@hostile("it is no file")
def a_folder_itself(forger: Forger) -> None:
    forger.path.mkdir()


@hostile("it is no file")
def a_device_itself(forger: Forger) -> None:
    forger.path.symlink_to("/dev/zero")


@hostile("there is no bundle")
def a_link_to_nothing(forger: Forger) -> None:
    forger.path.symlink_to("nowhere")


def forge(name: str, path: Path, whole: Path) -> str:
    """Write the hostile bundle `name` to `path`, out of the good one `whole`; returns a part of what refuses it."""
    function, said = HOSTILE[name]
    function(Forger(path, *contents(whole)))
    return said
