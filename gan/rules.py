"""How TensorFlow 1's variables are called in the Keras models. What no rule names must have a role that explains it."""

from __future__ import annotations

from checkpoints import Rule

RULES = [
    Rule(r"generator/(fc1|fc2|G)/(kernel|bias)", r"generator/\1/\2"),
    Rule(r"discriminator/(fc1|D)/(kernel|bias)", r"discriminator/\1/\2"),
]
