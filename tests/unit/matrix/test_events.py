"""What a cell writes where events are read: each is refused with a reason, and what was true before it is kept."""

from __future__ import annotations

import json
import os

import pytest

from matrix import events
from matrix.events import EventReader, NotEvents

ME, OTHER = "tests/x/test_x.py::test_me", "tests/x/test_x.py::test_other"
START = {"event": "started", "cell": ME}
END = {"event": "finished", "cell": ME, "outcome": "passed", "seconds": 0.1}


def read(tmp_path, *lines):
    path = tmp_path / "events.jsonl"
    taken = []
    with EventReader(path, [ME, OTHER], ["numbers/committed"]) as reader:
        for line in lines:
            append(path, line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n")
        try:
            for event in reader.read():
                taken.append(event)
        except NotEvents as error:
            return taken, str(error)
    return taken, ""


def append(path, data):
    with path.open("ab") as file:
        file.write(data)


def test_what_the_recorder_writes_is_taken(tmp_path):
    lines = [
        {"event": "collected", "cells": [ME, OTHER], "paths": ["tests"], "inputs": {ME: ["numbers/committed"]}},
        {"event": "selected", "cells": [ME]},
        START,
        {**END, "details": {"text": "a\nb", "n": 3, "x": 1.5, "yes": True}, "versions": {"python": "3.7.1"}},
        {"event": "stopped", "reason": "stopping after 1 failures", "cells": [OTHER]},
    ]
    taken, why = read(tmp_path, *lines)
    assert (len(taken), why) == (5, "")
    assert taken[3].details["text"] == "a\nb"


def test_reading_is_interrupted(tmp_path):
    """What was not taken yet is read again."""
    path = tmp_path / "events.jsonl"
    with EventReader(path, [ME]) as reader:
        for line in (START, END):
            append(path, json.dumps(line).encode() + b"\n")
        assert next(reader.read()).event == "started"
        assert [event.event for event in reader.read()] == ["finished"]


def test_a_line_that_is_not_whole_waits(tmp_path):
    path = tmp_path / "events.jsonl"
    line = json.dumps(START).encode() + b"\n"
    with EventReader(path, [ME]) as reader:
        append(path, line[:10])
        assert list(reader.read()) == []
        append(path, line[10:])
        assert [event.event for event in reader.read()] == ["started"]
        assert list(reader.read()) == []


HOSTILE = {
    "seconds of 1e300": {**END, "seconds": 1e300},
    "negative seconds": {**END, "seconds": -1.0},
    "seconds that are no number": json.dumps(END).replace("0.1", "NaN").encode() + b"\n",
    "seconds out of range": json.dumps(END).replace("0.1", "1e999").encode() + b"\n",
    "seconds as text": {**END, "seconds": "1"},
    "an integer of 5000 digits": json.dumps(END)[:-1].encode() + b', "details": {"a": ' + b"9" * 5000 + b"}}\n",
    "an integer of 65 bits": {**END, "details": {"a": 2**64}},
    "details in details": {**END, "details": {"a": {}}},
    "details that are a list": {**END, "details": []},
    "a detail that is null": {**END, "details": {"a": None}},
    "too many details": {**END, "details": {str(n): n for n in range(1001)}},
    "a long name of a detail": {**END, "details": {"n" * 1001: 1}},
    "a long detail": {**END, "details": {"a": "x" * (2 << 20)}},
    "a long reason": {**END, "reason": "x" * 5000},
    "a reason that is a number": {**END, "reason": 1},
    "too many versions": {**END, "versions": {str(n): "1" for n in range(101)}},
    "a long version": {**END, "versions": {"python": "3" * 1001}},
    "another outcome": {**END, "outcome": "splendid"},
    "no outcome of that type": {**END, "outcome": ["passed"]},
    "a cell that nobody planned": {**END, "cell": "tests/x/test_x.py::test_forged"},
    "a cell without a name": {**END, "cell": ""},
    "the end of another cell": {**END, "cell": OTHER},
    "the beginning of another cell": {"event": "started", "cell": OTHER},
    "the same beginning": START,
    "a selection of cells that nobody planned": {"event": "selected", "cells": ["tests/x::y"]},
    "a collection of cells that nobody planned": {"event": "collected", "cells": ["tests/x::y"]},
    "inputs of a cell that nobody planned": {"event": "collected", "inputs": {"tests/x::y": []}},
    "inputs that nobody gave": {"event": "collected", "inputs": {ME: ["../../../etc"]}},
    "inputs that are no list": {"event": "collected", "inputs": {ME: "numbers/committed"}},
    "a stop of cells that nobody planned": {"event": "stopped", "reason": "x", "cells": ["tests/x::y"]},
    "another event": {"event": "pwned"},
    "no event": {"cell": ME},
    "a list": [],
    "a number": 1,
    "nothing": b"\n",
    "no JSON": b"{\n",
    "no UTF-8": b'{"event": "started", "cell": "\xff"}\n',
    "a lone surrogate": b'{"event": "finished", "cell": "' + ME.encode() + b'", "reason": "\\ud800"}\n',
    "NUL": b"\0\n",
    "depth": b'{"event": "finished", "details":' + b'{"a":' * 100000 + b"1" + b"}" * 100001 + b"\n",
    "depth where nothing is read": b'{"event": "finished", "more":' + b"[" * 100000 + b"]" * 100000 + b"}\n",
    "a line of 5 MiB": b'{"event": "stopped", "where": "' + b"x" * (5 << 20) + b'"}\n',
    "5 MiB without an end": b"x" * (5 << 20),
}


@pytest.mark.parametrize("line", HOSTILE.values(), ids=list(HOSTILE))
def test_hostile_event(tmp_path, line):
    taken, why = read(tmp_path, START, line, END)
    assert [event.event for event in taken] == ["started"], "what was before it is true, what is after it is not read"
    assert why.startswith("events.jsonl, where its results go, ") and why.endswith(": a cell has done that"), why
    assert why.isprintable() and len(why) < 1500, why


@pytest.mark.parametrize("name", ["collected", "selected"])
def test_event_comes_twice(tmp_path, name):
    line = {"event": name, "cells": [ME]}
    taken, why = read(tmp_path, line, line)
    assert (len(taken), f"says '{name}' twice" in why) == (1, True), why


def test_events_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr(events, "_FILE_BYTES", 1 << 20)
    line = {"event": "stopped", "reason": "x" * 3000, "cells": []}
    taken, why = read(tmp_path, *[line] * 1000)
    assert len(taken) < 400 and "has more than 1 MiB" in why, why


CONTROL = "\x1b]0;title\x07\x1b[2J\x1b[31m\x9b1m\r\x08\x7f\u202e\u2028\u200b\ufeff"


def test_control_characters_are_escaped(tmp_path):
    line = {
        **END,
        "outcome": "failed",
        "reason": f"a{CONTROL}\nb",
        "details": {f"k{CONTROL}": CONTROL, "text": "a\n\x1b"},
    }
    (_, event), why = read(tmp_path, START, {**line, "versions": {CONTROL: CONTROL}})
    assert why == ""
    assert event.reason.startswith("a\\x1b]0;title\\x07\\x1b[2J") and event.reason.endswith("\\ufeff\\nb")
    assert event.details["text"] == "a\n\\x1b"
    shown = [event.reason, *event.details, *map(str, event.details.values()), *event.versions, *event.versions.values()]
    assert all(text.replace("\n", "").isprintable() for text in shown), shown


def test_a_refusal_shows_nothing_raw(tmp_path):
    _, why = read(tmp_path, START, {**END, "cell": f"tests/x::y{CONTROL}"})
    assert "which is not planned" in why and why.isprintable()


@pytest.mark.parametrize(
    "make",
    [os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/zero", path), lambda path: open(path, "w").write("{}\n")],
    ids=["pipe", "folder", "link", "file"],
)
@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_something_else_stands_there(tmp_path, make, when):
    """It is neither waited for nor read: the recorder has the file that the host made."""
    path = tmp_path / "events.jsonl"
    if when == "before":
        make(path)
    with EventReader(path, [ME]) as reader, path.open("ab") as recorder:
        if when == "meanwhile":
            path.unlink()
            make(path)
        recorder.write(json.dumps(START).encode() + b"\n")
        recorder.flush()
        assert [event.event for event in reader.read()] == ["started"]


def test_a_hole(tmp_path):
    path = tmp_path / "events.jsonl"
    with EventReader(path, [ME]) as reader:
        os.truncate(path, 1 << 40)
        with pytest.raises(NotEvents, match="has a line of more than 4 MiB"):
            list(reader.read())


def test_it_becomes_shorter(tmp_path):
    path = tmp_path / "events.jsonl"
    with EventReader(path, [ME]) as reader:
        append(path, json.dumps(START).encode() + b"\n")
        assert len(list(reader.read())) == 1
        os.truncate(path, 0)
        with pytest.raises(NotEvents, match="has become shorter"):
            list(reader.read())
