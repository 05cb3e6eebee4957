"""CRC-32C (Castagnoli), and the masked form that TensorFlow stores.

A compiled implementation is used where one is installed (the packages `crc32c` or `google-crc32c`). The fallback
needs neither: it divides by a sparse multiple of the polynomial first, which takes only exclusive-ors of long runs
of bits (in NumPy for megabytes, in Python's integers below), and looks up single bytes for the short rest alone.

Source: RFC 3720, appendix B.4 (polynomial 0x1EDC6F41, reflected); the mask is TensorFlow's `lib/hash/crc32c.h`.
"""

from __future__ import annotations

from typing import Any, Callable

_REFLECTED = 0x82F63B78

# x^5843 + x^3359 + x^1367 + 1 is a multiple of the polynomial. A bit that is divided out reappears at these distances
# behind it; squaring the multiple doubles them, so they scale by any power of two.
_DISTANCES = (2484, 4476, 5843)
_REACH = _DISTANCES[0] + _DISTANCES[2]
_SHORT = 1536
_LARGE = 1 << 20
_STEP = 8 << 20


def _make_table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (_REFLECTED if value & 1 else 0)
        table.append(value)
    return table


_TABLE = _make_table()


def _by_byte(data: bytes | memoryview, state: int) -> int:
    table = _TABLE
    for byte in data:
        state = table[(state ^ byte) & 0xFF] ^ (state >> 8)
    return state


def _shorten(data: memoryview, state: int) -> bytes:
    """The few bytes that leave the same remainder as `data` does when started in `state`."""
    bits = int.from_bytes(data, "little") ^ state
    length = 8 * len(data)
    while length > _REACH:
        # The largest power of two (at least 8, to keep whole bytes) whose reach still fits.
        scale = 1 << max((length // _REACH).bit_length() - 1, 0)
        gap = _DISTANCES[0] * scale
        head = bits & ((1 << gap) - 1)
        bits >>= gap
        bits ^= head ^ (head << (_DISTANCES[1] * scale - gap)) ^ (head << (_DISTANCES[2] * scale - gap))
        length -= gap
    size = (length + 7) // 8
    # Leading zeros change nothing while the state is zero, and the bits that come first are the low ones.
    return (bits << (8 * size - length)).to_bytes(size, "little")


def _fold(data: memoryview, state: int) -> bytes:
    """As `_shorten`, for megabytes: words of 64 bits in NumPy, which costs three exclusive-ors of memory."""
    import numpy as np

    # Bits 0 to 63 of a word keep their order, so distances of 64 bits times a power of two become distances in words.
    scale = 4
    gap, *others = (distance * scale for distance in _DISTANCES)
    reach = others[-1]
    words = np.frombuffer(data, "<u8", len(data) // 8)
    count = len(words)
    # `carry` holds the words that are divided out, behind as many zeros as the longest distance reaches back.
    carry = np.zeros(reach + count, "<u8")
    carry[reach] = state
    for start in range(0, count, gap):
        # The last words, from count - reach on, remain; only what was divided out before them reaches into them.
        stop = min(start + gap, count)
        here = carry[reach + start : reach + stop]
        here ^= words[start:stop]
        for distance in (gap, *others):
            first = reach + start - distance
            last = min(reach + stop - distance, count)
            if last > first:
                here[: last - first] ^= carry[first:last]
    return carry[count:].tobytes() + bytes(data[8 * count :])


def fallback(data: Any, crc: int = 0) -> int:
    """The CRC-32C of `data` (any bytes-like object), continued from `crc`, by the standard library alone."""
    view = memoryview(data).cast("B")
    state = crc ^ 0xFFFFFFFF
    for start in range(0, len(view), _STEP):
        part = view[start : start + _STEP]
        if len(part) >= _LARGE:
            part, state = memoryview(_fold(part, state)), 0
        if len(part) > _SHORT:
            state = _by_byte(_shorten(part, state), 0)
        else:
            state = _by_byte(part, state)
    return state ^ 0xFFFFFFFF


def _find_compiled() -> Callable[[Any, int], int] | None:
    try:
        import crc32c as package  # type: ignore[import-not-found,unused-ignore]

        if package.crc32c(b"123456789") == 0xE3069283:
            return lambda data, crc: int(package.crc32c(data, crc))
    except Exception:
        pass
    try:
        import google_crc32c  # type: ignore[import-not-found,import-untyped,unused-ignore]

        if google_crc32c.implementation == "c":
            return lambda data, crc: int(google_crc32c.extend(crc, bytes(data)))
    except Exception:
        pass
    return None


_compiled: list[Callable[[Any, int], int] | None] = []
# A short index is not worth the import of a compiled module. From this size on the fallback would import NumPy, which
# costs more.
_WORTH_IMPORTING = _LARGE
_done = [0]


def crc32c(data: Any, crc: int = 0) -> int:
    """The CRC-32C of `data` (any contiguous bytes-like object), continued from `crc`."""
    if not _compiled:
        _done[0] += len(data)
        if _done[0] < _WORTH_IMPORTING:
            return fallback(data, crc)
        _compiled.append(_find_compiled())
    compiled = _compiled[0]
    if compiled is None:
        return fallback(data, crc)
    return compiled(data, crc)


def mask(crc: int) -> int:
    """The form in which a CRC is stored, so that a CRC of data that holds CRCs stays meaningful."""
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def masked_crc32c(data: Any) -> int:
    """`mask(crc32c(data))`, as TensorFlow writes it behind blocks and into entries."""
    return mask(crc32c(data))
