"""Embeddings that are stored in slices: in which order their rows are, by the user's word or by the graph."""

from __future__ import annotations

from typing import Iterable, Mapping

from .checkpoint import Checkpoint
from .foreign_text import named
from .plan import Row

STRATEGIES = ("div", "mod")


def order_rows(
    checkpoint: Checkpoint, given: str | None, rows: Iterable[Row], labels: Mapping[str, str]
) -> tuple[list[Row], list[str]]:
    """`rows`, those that copy an embedding out of slices with the transform that puts it in order, and problems.

    `given` is the strategy by the user's word, `labels` are the names that the tensors in slices have in the graph.
    There is a problem for each embedding of which nobody says how it is looked up, or both say another thing.
    """
    ordered, problems = [], []
    known: dict[str, str] | None = None
    for row in rows:
        if not _is_embedding(row) or row.source not in labels:
            # Other layers use theirs as one tensor.
            ordered.append(row)
            continue
        known = _strategies(checkpoint, labels) if known is None else known
        count, found = checkpoint.tensors[row.source].slices, known.get(row.source, "")
        if given and found and given != found:
            problems.append(
                f"{named(row.source)} is looked up with partition_strategy={found!r} by the graph of the checkpoint, "
                f"not {given!r}: leave the argument out"
            )
        elif not (given or found):
            problems.append(
                f"{named(row.source)} is stored in {count} slices, and nothing says which ids each of them holds: give "
                "the partition_strategy of its embedding_lookup, 'mod' (the default) or 'div'; on the command line "
                "--partition-strategy"
            )
        strategy = found or given
        transform = f"embedding.mod:slices={count}" if strategy == "mod" else row.transform
        why = f"{row.reason}; {count} slices by partition_strategy={strategy!r}{', as in the graph' if found else ''}"
        ordered.append(row._replace(transform=transform, reason=why))
    return ordered, problems


def _is_embedding(row: Row) -> bool:
    name = (row.target or "").rpartition("/")[2]
    return row.action == "load" and row.transform == "identity" and name == "embeddings"


def _strategies(checkpoint: Checkpoint, labels: Mapping[str, str]) -> dict[str, str]:
    """What the graph of the checkpoint, if there is one that can be read, says of the tensors that are called so."""
    from .configuration.graphs import read_beside
    from .graphs.partitions import partition_strategy

    beside, _ = read_beside(checkpoint, labels)
    if beside is None:
        return {}
    return {name: partition_strategy(beside.graph, nodes) for name, nodes in beside.nodes.items()}
