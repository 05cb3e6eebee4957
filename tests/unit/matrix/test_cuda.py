"""Stand-ins for CUDA's images: libraries that the loader accepts, under the names that rows need."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest

from matrix import cuda
from matrix.environments import load_environments

CHECKOUT = Path(__file__).resolve().parents[3]


def test_an_empty_library_can_be_loaded_and_has_no_symbols(tmp_path):
    path = tmp_path / "libthing.so.7"
    path.write_bytes(cuda.empty_library("libthing.so.7"))
    loaded = ctypes.CDLL(str(path))
    with pytest.raises(AttributeError):
        loaded.thing  # noqa: B018


def test_every_cuda_that_is_copied_out_of_an_image_has_a_stand_in():
    rows = load_environments(CHECKOUT / "environments.toml").values()
    assert {row.cuda for row in rows if row.cuda_images} == set(cuda.LIBRARIES)
