"""The commands of `python -m checkpoints`, a module each, imported only when it is asked for."""
