"""What the images take: a table of their layers, and of what they share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.table import Table

from matrix import disk
from matrix.engine import Containers, choose
from matrix.engine.storage import Layer
from matrix.errors import EngineUnavailable
from matrix.image_builds import select
from matrix.project import Project
from matrix.table import console
from matrix.tools import whole_file


@dataclass(frozen=True)
class Sharing:
    """Bytes of images: the sum of their sizes, and what they take together because layers are shared."""

    total: int
    together: int

    @property
    def ratio(self) -> float:
        """What they take together, as a part of the sum."""
        return self.together / self.total if self.total else 1.0


def sharing(images: Mapping[str, Sequence[Layer]]) -> Sharing:
    """How much of `images` is shared."""
    total = sum(layer.size for layers in images.values() for layer in layers)
    once = {layer.chain: layer.size for layers in images.values() for layer in layers}
    return Sharing(total, sum(once.values()))


def image_report(project: Project, words: Sequence[str], record: bool, engine_name: str | None) -> int:
    """Print the layers of the images that are built, of all or of those that `words` name (`select`).

    With `record` their sizes go to docker/sizes.toml, which says what a build needs before it begins.
    """
    engine = choose(project, engine_name, print)
    if not isinstance(engine, Containers):
        raise EngineUnavailable("images are docker's or podman's: the venv engine has none")
    here = engine.images()
    found = {row.id: engine.up_to_date(row, here) for row in select(project, words)}
    built = {name: engine.layers(prepared.image) for name, prepared in found.items() if prepared}
    out = console()
    out.print(_table(built), soft_wrap=False)
    shared = sharing(built)
    out.print(
        f"{len(built)} images of {len(found)}: {disk.gigabytes(shared.total)} in all, "
        f"{disk.gigabytes(shared.together)} on the disk ({shared.ratio:.0%}): the rest is shared"
    )
    missing = [name for name in found if name not in built]
    if missing:
        out.print(f"not built: {', '.join(missing)}")
    if record:
        below = {layer.chain for base in engine.bases() for layer in engine.layers(base)}
        own = {name: sum(layer.size for layer in layers if layer.chain not in below) for name, layers in built.items()}
        write_sizes(project, own)
    return 0 if built else 1


def _table(built: Mapping[str, Sequence[Layer]]) -> Table:
    count = Counter(layer.chain for layers in built.values() for layer in layers)
    shown = Table(show_edge=False, pad_edge=False)
    for name, justify in (("image", "left"), ("layer", "left"), ("MB", "right"), ("in how many", "right")):
        shown.add_column(name, justify="right" if justify == "right" else "left", overflow="fold")
    for name, layers in built.items():
        shown.add_row(name, "", f"{sum(layer.size for layer in layers) / 10**6:.0f}", "")
        for layer in layers:
            if layer.size >= 10**6:
                shown.add_row("", _made_by(layer), f"{layer.size / 10**6:.0f}", str(count[layer.chain]))
    return shown


def _made_by(layer: Layer) -> str:
    """The layer in words, by the step of the Dockerfile that made it."""
    for sign, words in (
        ("common.txt", "what all rows with this Python have"),
        ("lock.txt", "the row's own packages"),
        ("python.tar", "CPython"),
    ):
        if sign in layer.made_by:
            return words
    return layer.made_by.removeprefix("/bin/sh -c ")[:60] or "the base"


def write_sizes(project: Project, sizes: Mapping[str, int]) -> None:
    """Put `sizes` (bytes by environment) into docker/sizes.toml, beside those of environments that are not built."""
    merged = {**disk.sizes(project), **sizes}
    rows = [name for name in project.environments if name in merged]
    lines = "".join(f'"{name}" = {max(1, round(merged[name] / 10**6))}\n' for name in rows)
    head = (
        "# What an image takes above its base: made by `nox -s image-report -- --record`, not by hand.\n[megabytes]\n"
    )
    file = project.root / "docker" / "sizes.toml"
    with whole_file(file) as partial:
        partial.write_text(head + lines)
