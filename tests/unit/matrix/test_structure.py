"""What may know of what, as DESIGN says, and that no cell is declared in vain or written and forgotten."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from matrix.environments import load_environments
from matrix.plan import load_checks

CHECKOUT = Path(__file__).resolve().parents[3]
HOST = sorted((CHECKOUT / "matrix").rglob("*.py"))


def imported(path):
    """The top names of every module that `path` imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(node.module)
    return {name.partition(".")[0] for name in found}


def words(path):
    """Every word of `path` outside of prose: names, attributes and the words of strings.

    Prose is a docstring, and the EXAMPLE of a command's help, which runs on the committed checkpoint of the subject.
    """
    tree = ast.parse(path.read_text())
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "EXAMPLE":
            prose.add(id(node.value))
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield from re.findall(r"\w+", node.value)


@pytest.mark.parametrize("path", HOST, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_the_hosts_side_imports_neither_tensorflow_nor_a_subject(path):
    assert not imported(path) & {"tensorflow", "keras", "gan", "checkpoints"}


def test_the_hosts_side_does_not_load_them_either():
    names = [".".join(path.relative_to(CHECKOUT).with_suffix("").parts) for path in HOST]
    modules = ", ".join(name for name in names if not name.endswith(("__init__", "__main__")))
    heavy = "{'tensorflow', 'keras', 'gan', 'numpy', 'checkpoints'}"
    code = f"import sys, {modules}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def starters(path):
    """The first words of the commands in lists that `path` has: what it could start."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.List) and node.elts:
            first = node.elts[0]
            yield first.value if isinstance(first, ast.Constant) else ast.unparse(first)


def test_only_the_engine_starts_docker_and_podman():
    commands = {"docker", "podman", "self.command", "engine.command"}
    able = {str(path.relative_to(CHECKOUT)) for path in HOST if commands & set(starters(path))}
    assert able == {"matrix/engine/containers.py"}


def test_no_part_that_serves_every_subject_names_a_layer_of_this_one():
    """The GAN is the first subject, not the only one."""
    paths = [*HOST, *(CHECKOUT / "checkpoints").rglob("*.py"), *(CHECKOUT / "tests/compatibility").glob("*.py")]
    names = {"generator", "discriminator", "fc1", "fc2"}
    assert {path.name: names & set(words(path)) for path in paths if names & set(words(path))} == {}


def written_in(path):
    tree = ast.parse(path.read_text())
    return [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]


def consumed(path):
    """{test: the kind that its `consumes` mark names}."""
    found = {}
    for node in ast.parse(path.read_text()).body:
        for mark in getattr(node, "decorator_list", ()):
            match = re.fullmatch(r"pytest\.mark\.consumes\('(.+)'\)", ast.unparse(mark))
            if match:
                found[node.name] = match[1]
    return found


def modules(folders=("environment", "compatibility")):
    return [path for folder in folders for path in (CHECKOUT / "tests" / folder).glob("test_*.py")]


def test_every_cell_is_declared_and_every_declared_cell_is_there():
    written = {f"{path.relative_to(CHECKOUT)}::{name}" for path in modules() for name in written_in(path)}
    declared = [check.test for check in load_checks(CHECKOUT / "tests/cells.toml")]
    assert len(declared) == len(set(declared)), "a cell is declared twice"
    assert set(declared) == written


def test_what_a_cell_consumes_is_the_same_in_both_places():
    marked = {
        f"{path.relative_to(CHECKOUT)}::{name}": kind for path in modules() for name, kind in consumed(path).items()
    }
    declared = {check.test: check.consumes for check in load_checks(CHECKOUT / "tests/cells.toml") if check.consumes}
    assert declared == marked


@pytest.mark.parametrize("name", ["cells.toml", "experiment.toml"])
def test_a_cell_is_of_environments_that_there_are(name):
    """A tag that no environment has takes its cell out of every plan, and nothing is red."""
    rows = load_environments(CHECKOUT / "environments.toml").values()
    checks = load_checks(CHECKOUT / "tests" / name)
    assert {tag for check in checks for tag in check.in_} <= {tag for row in rows for tag in row.tags}
    assert not [check.test for check in checks if not any(set(check.in_) <= set(row.tags) for row in rows)]


def constant(path, name):
    """The literal that `name` stands for in `path`: assigned there, or where it is imported from."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return ast.literal_eval(node.value)
        if isinstance(node, ast.ImportFrom) and name in [alias.name for alias in node.names]:
            return constant(CHECKOUT / f"{node.module.replace('.', '/')}.py", name)
    raise AssertionError(f"{path} has no {name}")


def parametrized(path):
    """{test: the values of its `parametrize` mark, sorted}: a list, or `sorted` or `list` of a constant."""
    found = {}
    for node in ast.parse(path.read_text()).body:
        for mark in getattr(node, "decorator_list", ()):
            if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.parametrize":
                values = mark.args[1].args[0] if isinstance(mark.args[1], ast.Call) else mark.args[1]
                known = constant(path, values.id) if isinstance(values, ast.Name) else ast.literal_eval(values)
                assert node.name not in found, "cells.toml has one parameter for each cell"
                found[node.name] = sorted(known)
    return found


@pytest.mark.parametrize(
    "name, folders", [("cells.toml", ("environment", "compatibility")), ("experiment.toml", ("experiment",))]
)
def test_a_cell_is_declared_for_each_value_of_its_parameter(name, folders):
    marked = {
        f"{path.relative_to(CHECKOUT)}::{test}": values
        for path in modules(folders)
        for test, values in parametrized(path).items()
    }
    checks = load_checks(CHECKOUT / "tests" / name)
    assert {check.test: sorted(check.each) for check in checks if check.each} == marked != {}
