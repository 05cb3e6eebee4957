"""List the tensors of a checkpoint: name, type, shape, bytes, shard and role. Reads no tensor, but for --sha256."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..open import open_checkpoint
from ..tables import align, human, progress, terminal_width

if TYPE_CHECKING:
    import argparse

    from ..checkpoint import Checkpoint, TensorInfo
    from ..roles import Role

EXAMPLE = """example:
  python -m checkpoints inspect tests/fixtures/tf1-saver"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    parser.add_argument("path", help="a prefix, a directory, or any file of a checkpoint, SavedModel, graph or model")
    parser.add_argument("--sha256", action="store_true", help="add the digest of every tensor's little-endian bytes")


def run(options: argparse.Namespace) -> int:
    """Prints the listing; returns the exit status."""
    with open_checkpoint(options.path) as checkpoint:
        digests = _digests(checkpoint) if options.sha256 else {}
        roles = checkpoint.roles()
        if options.json:
            _print_json(checkpoint, roles, digests)
        else:
            _print_table(checkpoint, roles, digests)
    return 0


def _digests(checkpoint: Checkpoint) -> dict[str, str]:
    from ..digest import sha256

    names = progress(checkpoint.tensors, len(checkpoint.tensors), "digesting")
    return {name: sha256(checkpoint.read(name)) for name in names if _readable(checkpoint.tensors[name])}


def _readable(info: TensorInfo) -> bool:
    return info.dtype not in ("variant", "resource")


def _print_json(checkpoint: Checkpoint, roles: dict[str, Role], digests: dict[str, str]) -> None:
    import json

    tensors = []
    for name, info in checkpoint.tensors.items():
        entry: dict[str, Any] = {
            "name": name,
            "dtype": info.dtype,
            "shape": list(info.shape),
            "bytes": info.nbytes,
            "shard": info.shard,
            "role": roles[name].kind,
        }
        entry.update((key, value) for key, value in roles[name]._asdict().items() if value and key != "kind")
        if info.slices:
            entry["slices"] = info.slices
        if name in digests:
            entry["sha256"] = digests[name]
        tensors.append(entry)
    head = json.dumps({"path": checkpoint.path, "format": checkpoint.format})[:-1]
    print(head + ', "tensors": [' + ",\n  ".join(["", *map(json.dumps, tensors)])[1:] + "\n]}")


def _print_table(checkpoint: Checkpoint, roles: dict[str, Role], digests: dict[str, str]) -> None:
    lines = [["name", "type", "shape", "bytes", "shard", "role"] + (["sha256"] if digests else [])]
    for name, info in checkpoint.tensors.items():
        shape = "x".join(map(str, info.shape)) or "scalar"
        shard = f"{info.slices} slices" if info.slices else str(info.shard)
        line = [name, info.dtype, shape, str(info.nbytes), shard, str(roles[name])]
        lines.append(line + ([digests.get(name, "")] if digests else []))
    print(align(lines, terminal_width()))
    total = sum(info.nbytes for info in checkpoint.tensors.values())
    print(f"{len(checkpoint.tensors)} tensors, {human(total)}, {checkpoint.format}")
