"""What a file's age or the names in it suggest where nothing says more: defaults of Keras and of TF 1."""

from __future__ import annotations

import re
from typing import Any, Iterable

from ..plan import Row


def default_of_version(version: str, kind: str, argument: str) -> tuple[str, str]:
    """The value that `argument` had by default in the Keras that wrote weights alone, and that said as a clause.

    Only for defaults that have changed since. Empty where none has.
    """
    if argument != "recurrent_activation" or not re.fullmatch(r"LSTM|GRU|ConvLSTM[123]D", kind):
        return "", ""
    match = re.fullmatch(r"([0-9]{1,4})\.([0-9]{1,4})\.([0-9]{1,4})(-tf)?", version)
    if match is None:
        return "", ""
    release, tensorflow = tuple(int(part) for part in match.groups()[:3]), bool(match.group(4))
    if kind.startswith("ConvLSTM"):
        old, until = release < (3,), "Keras 2"
    else:
        # TF 2.0 says 2.2.4-tf as TF 1.13 to 1.15 do; its default is sigmoid, theirs is not.
        old, until = release < (2, 3, 0), "TF 1" if tensorflow else "Keras 2.2"
    words = f"by default in the Keras that wrote the file ({version}: up to {until})"
    return ("hard_sigmoid", words) if old else ("", "")


def assumed_by_layout(rows: Iterable[Row]) -> dict[str, Any]:
    """The defaults of what wrote the tensors in TF 1, as far as their transforms and names tell what that was."""
    found: dict[str, Any] = {}
    for row in rows:
        family = row.transform.partition(".")[0]
        if family in ("lstm", "gru", "cudnn_gru"):
            found.update(activation="tanh", recurrent_activation="sigmoid")
        elif re.search(r"(?:^|/)BatchNorm(?:_\d+)?/", row.source):
            found.update(epsilon=0.001, momentum=0.999)
        elif re.search(r"(?:^|/)LayerNorm(?:_\d+)?/", row.source):
            found.update(epsilon=1e-12)
        elif re.search(r"(?:^|/)batch_normalization(?:_\d+)?/", row.source):
            found.update(epsilon=0.001, momentum=0.99)
    return found
