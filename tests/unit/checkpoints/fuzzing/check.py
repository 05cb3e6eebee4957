"""One input of the fuzzer: a damaged file, some commands on it, and what is wrong with what they did."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from typing import NamedTuple

from checkpoints import write_saver
from checkpoints.foreign_text import named

from ..support import data
from . import contained
from .files import MAKERS, random_tensors
from .mutate import Mutator

MEMORY = 700 << 20
"""What a command may ask for at the most, with no file of more than some dozen kilobytes."""
PEAK = 350 << 20
SECONDS = 20
MODEL = "tests.unit.checkpoints.fuzzing.model:build"
# What a copy leaves out, or what has no values to compare.
_NO_VALUES = ("variant", "resource")


class Checked(NamedTuple):
    """The commands that were run with their outcomes, and what is wrong with any, in words."""

    outcomes: list[tuple[list[str], contained.Outcome]]
    findings: list[str]


def check(kind: str, seed: int) -> Checked:
    """Makes the input `seed` of the format `kind`, and runs some commands on it."""
    folder = tempfile.mkdtemp(prefix="fuzz-")
    try:
        mutator = Mutator(seed)
        path = MAKERS[kind](mutator, folder)
        outcomes: list[tuple[list[str], contained.Outcome]] = []
        findings: list[str] = []
        for arguments in commands(path, folder, mutator):
            before = set(os.listdir(folder))
            outcome = contained.run(arguments, folder, MEMORY, SECONDS)
            outcomes.append((arguments, outcome))
            found = outcome.problems()
            if outcome.peak > PEAK:
                found.append(f"{outcome.peak >> 20} MiB")
            found += _left(arguments, outcome, set(os.listdir(folder)) - before)
            if arguments[0] == "convert" and not outcome.status and "--model" not in arguments:
                found += _unlike(path, arguments[3], folder, outcome.output)
            if arguments[0] == "plan" and outcome.status == 3:
                found += _pasted(arguments[1], arguments[-1], folder)
            findings += [f"{kind} {seed}: {' '.join(arguments)}: {finding}: {tail(outcome)}" for finding in found]
        return Checked(outcomes, findings)
    finally:
        shutil.rmtree(folder)


def _pasted(path: str, model: str, folder: str) -> list[str]:
    """What is wrong with the rules that an error suggests: they must be read, and none may be about nothing."""
    outcome = contained.run(["plan", "--json", path, "--model", model], folder, MEMORY, SECONDS)
    if outcome.status != 3:
        return []
    problems = json.loads(outcome.output)["problems"]
    lines = [line for problem in problems for line in problem.split("\n")[1:]]
    rules = [line for line in lines if line.startswith(("Rule(", "Layer(", "Ignore("))]
    with open(os.path.join(folder, "rules.py"), "w", encoding="utf-8") as stream:
        stream.write("RULES = [\n" + "".join(f"    {rule},\n" for rule in rules) + "]\n")
    pasted = contained.run(["plan", path, "--model", model, "--rules", "rules.py"], folder, MEMORY, SECONDS)
    os.unlink(os.path.join(folder, "rules.py"))
    if pasted.status not in (0, 3) or pasted.problems():
        return [f"its suggestions are not read: {tail(pasted)}"]
    return ["a suggestion is about nothing: " + tail(pasted)] if "matches no" in pasted.errors else []


def commands(path: str, folder: str, mutator: Mutator) -> list[list[str]]:
    """Three command lines for the file at `path`."""
    to = mutator.random.choice(["out", "out.npz", "out.safetensors"])
    other = data(mutator.random.choice(["part", "adam", "keras_1.15.h5", "objects_keras3"]))
    if mutator.chance(0.5):
        other = os.path.join(folder, "other")
        write_saver(other, random_tensors(mutator))
    every = [
        ["inspect", "--sha256", path],
        ["inspect", "--json", path],
        ["plan", path, "--model", path],
        ["plan", path, "--model", other],
        ["plan", other, "--model", path],
        ["plan", path, "--json", "--model", path],
        ["convert", path, "--to", to, "--model", path],
        ["convert", path, "--to", to, "--model", other],
        ["diff", path, path],
        ["diff", other, path],
        ["verify", path, "--model", MODEL, "--golden", other],
        ["verify", other, "--model", MODEL, "--golden", path],
    ]
    return [["inspect", path], ["convert", path, "--to", to], mutator.random.choice(every)]


def tail(outcome: contained.Outcome) -> str:
    """The end of what a command said."""
    return (outcome.errors or outcome.output).strip()[-300:]


def _left(arguments: list[str], outcome: contained.Outcome, added: set[str]) -> list[str]:
    """What a command left in the folder that it should not have."""
    expected = set()
    if arguments[0] == "convert" and not outcome.status:
        to = arguments[3]
        expected = {to} if "." in to else {to + ".index", to + ".data-00000-of-00001"}
    return [f"left {sorted(added - expected)}"] if added != expected and added - expected else []


def _unlike(path: str, copy: str, folder: str, said: str) -> list[str]:
    """What is wrong with a copy: it does not read, or not as the same but for what the command said it left out."""
    compared = contained.run(["diff", "--json", path, copy], folder, MEMORY, SECONDS)
    if compared.status not in (0, 1):
        return [f"its output does not read: {tail(compared)}"]
    differing = [entry for entry in json.loads(compared.output)["differing"] if entry["verdict"] != "not readable"]
    listed = contained.run(["inspect", "--json", path], folder, MEMORY, SECONDS)
    dtypes = {entry["name"]: entry["dtype"] for entry in json.loads(listed.output)["tensors"]}
    left = {entry["name"] for entry in differing if f"left out: {named(entry['name'])} (" in said}
    real = [entry for entry in differing if dtypes.get(entry["name"]) not in _NO_VALUES and entry["name"] not in left]
    return [f"its output differs: {real[:3]}"] if real else []
