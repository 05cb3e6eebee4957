"""Stand-ins for the images that CUDA libraries are copied out of, where those cannot be pulled.

A stand-in has a library of each name that TensorFlow opens, which the loader accepts and which has nothing in it. It
shows that an image is built right and that TensorFlow finds what it looks for; it computes nothing, and every record
says that it was used.
"""

from __future__ import annotations

import hashlib
import io
import struct
import tarfile
import tempfile
from pathlib import Path

from matrix import images
from matrix.engine import Containers, Say
from matrix.errors import BadConfiguration
from matrix.tools import exclusive

#: The names of the libraries by release of CUDA, in /usr/local/cuda-RELEASE; in 10.1 cuBLAS moved to the system's.
_TEN = dict.fromkeys(("cudart", "cublas", "cufft", "curand", "cusolver", "cusparse", "cupti"), "10.0")
_TEN_ONE = dict.fromkeys(("cublas", "cufft", "curand", "cusolver", "cusparse"), "10")
_ELEVEN = {"cufft": "10", "curand": "10", "cusolver": "10", "cusparse": "11", "cublas": "11", "cublasLt": "11"}
LIBRARIES = {
    "10.0": {**_TEN, "cudnn": "7"},
    "10.1": {**_TEN_ONE, "cudart": "10.1", "cublasLt": "10", "cupti": "10.1", "cudnn": "7"},
    "11.0": {**_ELEVEN, "cudart": "11.0", "cupti": "11.0", "cudnn": "8"},
}
_LABEL = "carryover.inputs"


def build(engine: Containers, cuda: str, say: Say) -> str:
    """Build the stand-in for CUDA `cuda` into `engine`, unless it is there; returns its reference.

    Raises BadConfiguration when nobody knows what that release has, or BaseImageUnavailable.
    """
    if cuda not in LIBRARIES:
        raise BadConfiguration(f"there is no stand-in for CUDA {cuda}: there are {', '.join(LIBRARIES)}")
    reference = images.stand_in_cuda(cuda)
    inputs = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    with exclusive(engine.project.state / "bases.lock"), tempfile.TemporaryDirectory() as temporary:
        if engine.label(reference, _LABEL) == inputs:
            say(f"{reference}: is there")
            return reference
        tar = Path(temporary) / "cuda.tar"
        with tarfile.open(tar, "w") as archive:
            for name, version in LIBRARIES[cuda].items():
                library = f"lib{name}.so.{version}"
                system = name == "cudnn" or (name.startswith("cublas") and cuda != "10.0")
                folder = "usr/lib/x86_64-linux-gnu" if system else f"usr/local/cuda-{cuda}/lib64"
                contents = empty_library(library)
                entry = tarfile.TarInfo(f"{folder}/{library}")
                entry.size, entry.mode = len(contents), 0o644
                archive.addfile(entry, io.BytesIO(contents))
        engine.import_image(reference, tar, f"{_LABEL}={inputs}")
    say(f"{reference}: {len(LIBRARIES[cuda])} libraries with nothing in them")
    return reference


def empty_library(soname: str) -> bytes:
    """A shared library for x86-64 Linux with no symbols, of the ELF format (System V ABI, chapters 4 and 5).

    One writable segment holds all: the headers, the dynamic section, a symbol table with the null symbol alone, its
    hash table and the names.
    """
    strings = b"\0" + soname.encode() + b"\0"
    headers, segments, dynamic_size = 64, 3, 7 * 16
    dynamic = headers + segments * 56
    symbols = dynamic + dynamic_size
    hashes = symbols + 24
    names = hashes + 16
    size = names + len(strings)
    # A 64-bit little-endian shared object for x86-64.
    header = b"\x7fELF\x02\x01\x01" + bytes(9)
    header += struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, headers, 0, 0, headers, 56, segments, 64, 0, 0)
    load = struct.pack("<IIQQQQQQ", 1, 6, 0, 0, 0, size, size, 0x1000)
    section = struct.pack("<IIQQQQQQ", 2, 6, dynamic, dynamic, dynamic, dynamic_size, dynamic_size, 8)
    stack = struct.pack("<IIQQQQQQ", 0x6474E551, 6, 0, 0, 0, 0, 0, 16)  # GNU_STACK: not executable
    entries = ((14, 1), (4, hashes), (5, names), (6, symbols), (10, len(strings)), (11, 24), (0, 0))
    table = b"".join(struct.pack("<QQ", tag, value) for tag, value in entries)
    return header + load + section + stack + table + bytes(24) + struct.pack("<IIII", 1, 1, 0, 0) + strings
