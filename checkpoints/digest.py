"""Digests of tensors, the same for the same elements whatever file, byte order or machine they come from."""

from __future__ import annotations

import hashlib
import sys
from typing import TYPE_CHECKING, Any

from .spans import byte_view

if TYPE_CHECKING:
    import numpy as np


def sha256(array: np.ndarray[Any, Any]) -> str:
    """The SHA-256 of the little-endian bytes of `array` in row-major order; of a string tensor's strings, joined."""
    import numpy as np

    digest = hashlib.sha256()
    if array.dtype == object:
        for item in array.reshape(-1).tolist():
            digest.update(item)
        return digest.hexdigest()
    plain = array[array.dtype.names[0]] if array.dtype.names else array
    plain = np.ascontiguousarray(plain)
    if plain.dtype.byteorder == ">" or (sys.byteorder == "big" and plain.dtype.byteorder == "="):
        plain = plain.astype(plain.dtype.newbyteorder("<"))
    digest.update(byte_view(plain))
    return digest.hexdigest()
