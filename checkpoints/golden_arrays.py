"""What running a graph gives: arrays of inputs, outputs and layers, and what there is to know of them."""

from __future__ import annotations

import json
from typing import Any, Dict, Mapping, NamedTuple, Tuple

from .errors import CheckpointError

_ABOUT = "about"


class Golden(NamedTuple):
    """`arrays` are called inputs_*, outputs_* and layers_*.

    `random` says, by the name that they would have among `arrays`, which outputs are random, and why; their values are
    left out, as they say nothing. `notes` say what was assumed about the graph and what was changed in it.
    """

    arrays: Dict[str, Any]
    random: Dict[str, str] = {}
    notes: Tuple[str, ...] = ()

    def packed(self) -> dict[str, Any]:
        """All of it as arrays, for a file: what is no array stands in `about`, as JSON in UTF-8, if there is any."""
        if not self.random and not self.notes:
            return dict(self.arrays)
        import numpy as np

        about = json.dumps({"random": self.random, "notes": self.notes}).encode("utf-8")
        return {**self.arrays, _ABOUT: np.frombuffer(about, np.uint8)}


def unpack(arrays: Mapping[str, Any], path: str) -> Golden:
    """What `packed` made arrays of; files of other origin have arrays only. Raises CheckpointError if it is damaged."""
    named = {name: array for name, array in arrays.items() if name != _ABOUT}
    if _ABOUT not in arrays:
        return Golden(named)
    import numpy as np

    try:
        about = json.loads(np.asarray(arrays[_ABOUT]).astype(np.uint8).tobytes().decode("utf-8"))
        random = {str(name): str(why) for name, why in about["random"].items()}
        return Golden(named, random, tuple(str(note) for note in about["notes"]))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path}: {_ABOUT} is not what golden writes: {type(error).__name__}") from None
