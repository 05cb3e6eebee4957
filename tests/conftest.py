"""Fixtures of the cells: what the environment is, and the artifacts that it reads and writes.

The host says where things are in CARRYOVER_OUT/plan.json; without it, as on the host, cells are not run.
"""

from __future__ import annotations

import json
import os

import pytest


@pytest.fixture(scope="session")
def plan():
    """plan.json as the host wrote it."""
    if "CARRYOVER_OUT" not in os.environ:
        pytest.skip("a cell runs inside an environment: nox -s cpu-tf2")
    with open(os.path.join(os.environ["CARRYOVER_OUT"], "plan.json")) as file:
        return json.load(file)


@pytest.fixture(scope="session")
def environment(plan):
    """The row of environments.toml: id, tensorflow, python, keras, and the path of the lock."""
    return plan["environment"]


@pytest.fixture
def new_artifact(plan, request):
    """`new_artifact(kind, of=None)` is an empty directory, published under this environment's id if the cell passes.

    `of` is the artifact that it was made of, where there is one: each of those gives an artifact of its own.
    """

    def make(kind, of=None):
        name = plan["environment"]["id"] + ("-of-" + os.path.basename(of) if of else "")
        directory = os.path.join(os.environ["CARRYOVER_OUT"], "artifacts", kind, name)
        os.makedirs(directory)
        request.node.user_properties.append(("artifact", kind + "/" + name))
        return directory

    return make


@pytest.fixture(scope="session")
def committed(plan):
    """`committed(kind)` is the prefix of the checkpoint of that kind that is committed with the sources."""

    def find(kind):
        try:
            return os.path.join(plan["artifacts"][kind]["committed"], "model.ckpt")
        except KeyError:
            pytest.fail("no {} artifact is committed: nox -s fixtures makes it".format(kind))

    return find
