"""What an entry of the catalogue says: under which names a kind of layer stands in a file, and where its parts go."""

from __future__ import annotations

import re
from typing import Dict, NamedTuple, Tuple


class Part(NamedTuple):
    """One tensor of a layer: the pattern of its name below the layer's scope, the target's leaf, the transform.

    A source with several parts is split between several targets. `fill` parts have no source.
    """

    source: str
    target: str
    transform: str = "identity"


class Layout(NamedTuple):
    """One way in which a kind of layer is stored.

    `scope` is a pattern that ends the scope; what it matches is the layer's own machinery, not a name the user gave.
    With `anywhere` it may be missing.
    `refused` maps patterns of leaves to the reason why a layer that has one cannot be carried over.
    `note` is what a user should know when the layout is used.
    `needs` are leaves without which it is not this layout; `named` is a pattern for somewhere in the scope or in the
    path of the model's layer, without which it is not taken unless a rule names it.
    """

    name: str
    parts: Tuple[Part, ...]
    scope: str = ""
    refused: Dict[str, str] = {}
    note: str = ""
    anywhere: bool = False
    needs: Tuple[str, ...] = ()
    named: str = ""

    def leaf_pattern(self) -> str:
        """A pattern that matches every leaf, refused ones included."""
        sources = [part.source for part in self.parts if part.source]
        return "|".join("(?:{})".format(pattern) for pattern in sources + list(self.refused))

    def with_options(self, options: str) -> Layout:
        """The layout with `options` handed to the transforms that know them; ValueError if none does."""
        if not options:
            return self
        keys = {item.partition("=")[0].strip() for item in options.split(",")}
        parts = []
        used = set()
        for part in self.parts:
            known, _, defaults = part.transform.partition(":")
            names = {item.partition("=")[0] for item in defaults.split(",") if item}
            if names & keys:
                used |= names & keys
                part = part._replace(transform="{}:{}".format(known, options))
            parts.append(part)
        if used != keys:
            raise ValueError("layout {} has no option {}".format(self.name, ", ".join(sorted(keys - used))))
        return self._replace(parts=tuple(parts))


def cell(*names: str) -> str:
    """The scope pattern of a recurrent cell with one of the names, with the wrappers that TF 1 puts around cells."""
    joined = "|".join(names)
    return (
        r"(?:(?:bidirectional_rnn/)?(?:(?:fw|bw)/)?)?(?:rnn/)?(?:multi_rnn_cell/)?(?:cell_\d+/)?(?:{})(?:_\d+)?".format(
            joined
        )
    )


def old_cell(name: str) -> str:
    """The scope pattern of a recurrent cell of that name before TF 1.0, with the wrappers that were put around it."""
    return rf"(?:RNN/)?(?:MultiRNNCell/Cell\d+/)?{name}"


def user_scope(scope: str, pattern: str) -> str:
    """`scope` without the machinery that `pattern` matches at its end, but with what tells layers apart in it."""
    match = re.search("(?:^|/)(?:{})$".format(pattern), scope) if pattern else None
    if match is None:
        return scope
    kept = [part for part in match.group().split("/") if re.fullmatch(r"fw|bw|cell_\d+|Cell\d+", part)]
    return "/".join([part for part in [scope[: match.start()]] if part] + kept)
