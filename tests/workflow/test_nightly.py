"""The workflow of every night, all of its jobs, over an axis that is cut to one release: images, Pages and all."""

from __future__ import annotations

import json
import re
import subprocess

import pytest

from tests.engine import registries
from tests.workflow.act import Act, events

ID = "cpu-tf2.0"
GPU = "gpu-tf2.0"
KEPT_TESTS = "tests/unit/matrix/test_results.py"


def cut(root):
    """Leave one row of the CPU and one of the GPU, and of the tests those that the row runs too, and one file."""
    axis = root / "environments.toml"
    head, *tables = re.split(r'^(?=\[environments\.")', axis.read_text(), flags=re.MULTILINE)
    kept = [table for table in tables if table.startswith((f'[environments."{ID}"]', f'[environments."{GPU}"]'))]
    assert len(kept) == 2
    axis.write_text(head + "".join(kept))
    for path in [*root.glob("tests/unit/matrix/test_*.py"), *root.glob("tests/engine/test_*.py")]:
        if path != root / KEPT_TESTS:
            path.unlink()


class Registry:
    """An empty registry, and what was pushed to it."""

    def __init__(self, address, folder):
        self.address = address
        path = address.partition("/")[2].lower()
        self.tags = folder / "registry/docker/registry/v2/repositories" / path / ID / "_manifests/tags"

    def pushed(self):
        """The name that the image of the row has here; None before it is pushed."""
        return next((f"localhost/carryover/{ID}:{tag.name}" for tag in self.tags.glob("*")), None)


@pytest.fixture
def registry(tmp_path):
    """A Registry. The image, which is nobody else's because of the axis that is cut, is removed in the end."""
    with registries.registry(tmp_path) as address:
        made = Registry(address, tmp_path)
        yield made
        if image := made.pushed():
            subprocess.run(["docker", "rmi", "--force", image], capture_output=True, check=False)


def results(log):
    """How each job that is done has ended, by its id."""
    return {event["jobID"]: event["jobResult"] for event in events(log) if "jobResult" in event}


def test_a_night_pushes_images_pulls_them_and_publishes_the_page(registry, tmp_path):
    act = Act.prepare(tmp_path, registry.address)
    cut(act.root)
    act.commit("cut")
    log, removed = tmp_path / "log", []

    def watch():
        """When the image is pushed, remove it here: a job on another machine has only the registry."""
        if (
            not removed
            and registry.pushed()
            and any(e.get("jobID") == "images" and "jobResult" in e for e in events(log))
        ):
            words = ["docker", "rmi", "--force", registry.pushed()]
            removed.append(subprocess.run(words, capture_output=True, check=True))

    status, said = act.run(log, "schedule", "--var", "CARRYOVER_PAGES=true", watch=watch)
    assert status == 0, said[-5000:]
    jobs = ["lint", "tests", "plan", "images", "producers", "consumers", "checks", "report", "pages"]
    assert results(log) == dict.fromkeys(jobs, "success")
    assert f"from the registry: {registry.address.lower()}/{ID}:" in said and removed

    cells = json.loads((act.store / "report/report.json").read_text())["cells"]
    outcomes = {name: {cell["outcome"] for cell in cells if cell["environment"] == name} for name in (ID, GPU)}
    assert outcomes[GPU] == {"not run"} and "passed" in outcomes[ID]
    assert not outcomes[ID] & {"failed", "crashed", "timed out", "fixed", "no record", "not run"}
    page = (act.store / "deployed/index.html").read_text()
    assert page == (act.store / "report/index.html").read_text() and ID in page
