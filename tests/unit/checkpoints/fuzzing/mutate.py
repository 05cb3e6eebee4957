"""Changes to bytes, numbers, names, protocol buffers and JSON that a damaged or hostile file may have."""

from __future__ import annotations

import random
import struct
from typing import Any

from checkpoints.wire import WireError, read_varint, write_varint

NUMBERS = [0, 1, 2, 3, 7, 127, 128, 255, 256, 65535, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32, 1 << 53]
NUMBERS += [(1 << 62) - 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, (1 << 64) - 2]
NAMES = [
    b"",
    b"\0",
    b"a\0b",
    b"\x1b[2J\x1b]0;x\x07",
    b"a\nerror: b",
    b"a\r\nb",
    "\u202eabc\u2066".encode(),
    "\u2028\u2029\x85".encode(),
    "w\u00b2/kernel".encode(),
    "layers/dense_\u0663/vars/0".encode(),
    b"a_" + b"9" * 5000,
    b"a/" * 255 + b"b",
    b"a/" * 3000 + b"b",
    b"x" * 5000,
    b"_1" * 2000,
    b"'",
    b'"',
    b"'\"\\",
    b"\\",
    b"a\\1\\g<2>",
    b"(.*)+$",
    b"%s%n{0}",
    b"/",
    b"//",
    b"a//kernel",
    b"../../x",
    b".ATTRIBUTES/VARIABLE_VALUE",
    b"a/.ATTRIBUTES/VARIABLE_VALUE",
    b"m/.OPTIMIZER_SLOT/optimizer/m/.ATTRIBUTES/VARIABLE_VALUE",
    b"_CHECKPOINTABLE_OBJECT_GRAPH",
    b"a/.ATTRIBUTES/OBJECT_CONFIG_JSON",
    b"iter",
    b"iteration",
    b"learning_rate",
    b"training/Adam/iter",
    b"training/Adam/learning_rate",
    b"training/Adam/a/kernel/m",
    b"beta1_power",
    b"beta2_power_1",
    b"global_step",
    b"kernel/Adam",
    b"kernel/Adam_1",
    b"kernel/ExponentialMovingAverage",
    b"optimizer/vars/0",
    b"optimizer/vars/x",
    b"optimizer/vars/0/1",
    b"optimizer_weights/Adam/kernel/m",
    b"_layer_checkpoint_dependencies/dense_99999999999/vars/0",
    b"metrics/a",
    b"__metadata__",
    b"rnn/lstm_cell/kernel",
    b"rnn/lstm_cell/bias",
    b"rnn/gru_cell/gates/kernel",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\xc0\x80",
    "a" + "\u0301" * 500,
    "\U0001f600/kernel".encode(),
]
NAMES = [name.encode() if isinstance(name, str) else name for name in NAMES]


class Mutator:
    """Random changes; the same `seed` gives the same ones."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def chance(self, probability: float) -> bool:
        """Whether something happens that happens so often."""
        return self.random.random() < probability

    def number(self, value: int = 0) -> int:
        """Another number, often near `value` or at a limit; 0 to 2**64 - 1."""
        near = [value + 1, value - 1, value * 2, value // 2, -value, value ^ (1 << self.random.randrange(64))]
        other = self.random.choice(NUMBERS) if self.chance(0.6) else self.random.choice(near)
        return other & 0xFFFFFFFFFFFFFFFF

    def name(self, value: bytes = b"") -> bytes:
        """Another name, or `value` with something added."""
        other = self.random.choice(NAMES)
        if self.chance(0.1):
            return b"_CHECKPOINTABLE_OBJECT_GRAPH"
        return other if self.chance(0.6) else self.random.choice([value + other, other + value, value + b"/" + other])

    def octets(self, data: bytes) -> bytes:
        """`data` with some of its bytes changed, removed, repeated or overwritten."""
        data = bytearray(data)
        for _ in range(self.random.choice([1, 1, 1, 2, 4])):
            place = self.random.randrange(len(data) + 1)
            size = self.random.choice([1, 1, 2, 4, 8, 16, 64])
            change = self.random.randrange(7)
            if change == 0 and place < len(data):
                data[place] ^= 1 << self.random.randrange(8)
            elif change == 1:
                data[place : place + size] = b"\0" * size
            elif change == 2:
                data[place : place + size] = b"\xff" * size
            elif change == 3:
                del data[place : place + size]
            elif change == 4:
                data[place:place] = data[place : place + size]
            elif change == 5:
                data[place : place + 4] = struct.pack("<I", self.number() & 0xFFFFFFFF)
            else:
                data[place : place + 8] = struct.pack("<Q", self.number())
        return bytes(data)

    def message(self, data: bytes, depth: int = 0) -> bytes:
        """The protocol buffer `data` with one of its fields, or a field inside one, changed in meaning or in form."""
        fields = parse(data)
        if fields is None or (not fields and self.chance(0.5)):
            return self.name(data) if self.chance(0.4) else self.octets(data)
        change = self.random.randrange(9)
        if not fields or change == 0:
            fields.insert(self.random.randrange(len(fields) + 1), self._field())
            return render(fields)
        place = self.random.randrange(len(fields))
        number, kind, value = fields[place]
        if change == 1:
            del fields[place]
        elif change == 2:
            fields.insert(self.random.randrange(len(fields) + 1), fields[place])
        elif change == 3:
            self.random.shuffle(fields)
        elif change == 4:
            fields[place] = self._field(number)
        elif change == 5:
            fields[place] = (self.number(number) & 0x1FFFFFFF or 1, kind, value)
        elif isinstance(value, bytes) and kind == 2:
            inner = self.message(value, depth + 1) if depth < 12 else self.octets(value)
            fields[place] = (number, kind, inner)
        elif isinstance(value, bytes):
            fields[place] = (number, kind, self.octets(value)[: len(value)].ljust(len(value), b"\0"))
        else:
            fields[place] = (number, kind, self.number(value))
        return render(fields)

    def _field(self, number: int = 0) -> tuple[int, int, Any]:
        """A field of any kind."""
        number = number or self.random.randrange(1, 18)
        kind = self.random.choice([0, 0, 2, 2, 5, 1])
        if kind == 0:
            return number, kind, self.number()
        if kind == 2:
            return number, kind, self.random.choice([b"", self.name(), bytes(self.random.randrange(64)), b"\x08\x01"])
        return number, kind, struct.pack("<Q", self.number())[: 8 if kind == 1 else 4]

    def json(self, value: Any, depth: int = 0) -> Any:
        """What JSON says, with one thing in it changed."""
        if isinstance(value, dict) and value and depth < 8 and not self.chance(0.15):
            key = self.random.choice(sorted(value))
            value = dict(value)
            change = self.random.randrange(6)
            if change == 0:
                del value[key]
            elif change == 1:
                value[self.text()] = value[key]
            elif change == 2:
                value[self.text()] = value.pop(key)
            else:
                value[key] = self.json(value[key], depth + 1)
            return value
        if isinstance(value, list) and value and depth < 8 and not self.chance(0.15):
            place = self.random.randrange(len(value))
            value = list(value)
            change = self.random.randrange(5)
            if change == 0:
                del value[place]
            elif change == 1:
                value.insert(place, value[place])
            else:
                value[place] = self.json(value[place], depth + 1)
            return value
        if isinstance(value, int) and self.chance(0.5):
            return self.number(value) * self.random.choice([1, 1, -1])
        others = [None, True, False, 0, 1, -1, 1.5, 1e300, 10**30, "", self.text(), [], {}, [[]], {"a": {}}, [1, 2, 3]]
        return self.random.choice(others)

    def text(self) -> str:
        """A name as a string, lone halves of characters included."""
        return self.name().decode("utf-8", "surrogateescape" if self.chance(0.5) else "replace")


def parse(data: bytes) -> list[tuple[int, int, Any]] | None:
    """(number, kind, value) of each field, an int or bytes; None if `data` is no message."""
    fields: list[tuple[int, int, Any]] = []
    position, end = 0, len(data)
    try:
        while position < end:
            tag, position = read_varint(data, position, end)
            number, kind = tag >> 3, tag & 7
            value: Any
            if kind == 0:
                value, position = read_varint(data, position, end)
            elif kind in (1, 2, 5):
                size = {1: 8, 5: 4}.get(kind, 0)
                if kind == 2:
                    size, position = read_varint(data, position, end)
                value = bytes(data[position : position + size])
                position += size
                if position > end:
                    return None
            else:
                return None
            if not 0 < number < 1 << 29:
                return None
            fields.append((number, kind, value))
    except WireError:
        return None
    return fields


def render(fields: list[tuple[int, int, Any]]) -> bytes:
    """The message of `fields`, as `parse` gives them."""
    out = bytearray()
    for number, kind, value in fields:
        out += write_varint(number << 3 | kind)
        out += write_varint(value) if kind == 0 else (write_varint(len(value)) if kind == 2 else b"") + value
    return bytes(out)
