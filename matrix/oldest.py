"""The oldest releases: only what they wrote is here, committed, and they run nowhere."""

from __future__ import annotations

from matrix import artifacts
from matrix.environments import Environment
from matrix.project import Project


def oldest(project: Project) -> dict[str, Environment]:
    """The releases that wrote the committed files of the matrix, by id, the oldest first. Raises ArtifactMismatch."""
    found: dict[str, Environment] = {}
    for path in project.oldest.glob(f"*/*/{artifacts.MANIFEST}"):
        manifest = artifacts.verify(path.parent)
        release, python = manifest.versions["tensorflow"], manifest.versions["python"].rpartition(".")[0]
        found[manifest.environment] = Environment(
            manifest.environment, release, "tensorflow", python, 2, (), "", ("oldest",)
        )
    in_order = sorted(found.values(), key=lambda row: [int(part) for part in row.tensorflow.split(".")])
    return {row.id: row for row in in_order}
