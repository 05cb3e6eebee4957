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
    with open_checkpoint(options.path, options.budget) as checkpoint:
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
    return info.dtype not in ("variant", "resource") and not info.missing


def _print_json(checkpoint: Checkpoint, roles: dict[str, Role], digests: dict[str, str]) -> None:
    import json
    from json.encoder import encode_basestring_ascii as quote

    # Much of what is said of one tensor is said of thousands.
    alike: dict[object, str] = {}
    tensors = []
    for name, info in checkpoint.tensors.items():
        kind = info[1:], roles[name]
        told = alike.get(kind)
        if told is None:
            told = alike[kind] = json.dumps(_facts(info, roles[name]))[1:-1]
        digest = f', "sha256": "{digests[name]}"' if name in digests else ""
        tensors.append(f'{{"name": {quote(name)}, {told}{digest}}}')
    head = json.dumps({"path": checkpoint.path, "format": checkpoint.format})[:-1]
    print(head + ', "tensors": [' + ",".join(f"\n  {tensor}" for tensor in tensors) + "\n]}")


def _facts(info: TensorInfo, role: Role) -> dict[str, Any]:
    """What JSON says of a tensor behind its name."""
    facts: dict[str, Any] = {"dtype": info.dtype, "shape": list(info.shape), "bytes": info.nbytes, "shard": info.shard}
    facts["role"] = role.kind
    facts.update((key, value) for key, value in role._asdict().items() if value and key != "kind")
    if info.slices:
        facts["slices"] = info.slices
    return facts


def _print_table(checkpoint: Checkpoint, roles: dict[str, Role], digests: dict[str, str]) -> None:
    head = ("name", "type", "shape", "bytes", "shard", "role") + (("sha256",) if digests else ())
    alike: dict[object, tuple[str, ...]] = {}
    lines = [head]
    for name, info in checkpoint.tensors.items():
        kind = info[1:], roles[name]
        told = alike.get(kind)
        if told is None:
            shape = "x".join(map(str, info.shape)) or "scalar"
            shard = f"{info.slices} slice{'s' if info.slices > 1 else ''}" if info.slices else str(info.shard)
            told = alike[kind] = (info.dtype, shape, str(info.nbytes), shard, str(roles[name]))
        lines.append((name, *told, digests.get(name, "")) if digests else (name, *told))
    width = terminal_width()
    if width is not None and sum(max(map(len, column)) + 2 for column in zip(*lines)) - 2 > width:
        in_order = [roles[name] for name in checkpoint.tensors]
        # A slot is named after its variable, so where room is scarce its name alone says that.
        lines[1:] = [(*line[:5], role.short(), *line[6:]) for line, role in zip(lines[1:], in_order)]
    print(align(lines, width))
    total = sum(info.nbytes for info in checkpoint.tensors.values())
    print(f"{len(checkpoint.tensors)} tensors, {human(total)}, {checkpoint.format}")
