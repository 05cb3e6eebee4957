"""CRC-32C against the published vectors, and the fallback against plain division."""

from __future__ import annotations

import random

import pytest

from checkpoints import crc32c

from .support import data


@pytest.mark.parametrize(
    "data, crc",
    [
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (b"", 0),
    ],
)
def test_published_vectors(data, crc):
    assert crc32c.crc32c(data) == crc
    assert crc32c.fallback(data) == crc


def plain(data):
    state = 0xFFFFFFFF
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = (state >> 1) ^ (0x82F63B78 if state & 1 else 0)
    return state ^ 0xFFFFFFFF


@pytest.mark.parametrize(
    "size", [1, 3, 64, 1535, 1536, 1537, 1540, 4099, 20011, (1 << 20) - 3, (1 << 20) + 5, (8 << 20) + 70001]
)
def test_fallback_equals_plain_division_across_its_thresholds(size):
    data = random.Random(size).getrandbits(8 * size).to_bytes(size, "little")
    if size < 30000:
        assert crc32c.fallback(data) == plain(data)
    # Cut anywhere, the parts continue each other.
    cut = size // 3
    assert crc32c.fallback(data[cut:], crc32c.fallback(data[:cut])) == crc32c.fallback(data)


def test_a_flipped_bit_far_from_the_ends_is_seen():
    data = bytearray(random.Random(7).getrandbits(8) for _ in range(100003))
    before = crc32c.fallback(data)
    data[50001] ^= 0x10
    assert crc32c.fallback(data) != before


def test_mask_is_tensorflows():
    # The five bytes that end the first block of an index written by TensorFlow 1.15: its type, and its masked CRC.
    with open(data("adam.index"), "rb") as stream:
        table = stream.read()
    size = table.index(b"\0\0\0\0\1\0\0\0", 20) + 8
    assert crc32c.masked_crc32c(table[: size + 1]) == int.from_bytes(table[size + 1 : size + 5], "little")
