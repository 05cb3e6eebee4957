"""A fuzzer of the readers and commands: damaged files under right checksums, each in a process of its own.

`python -m tests.unit.checkpoints.fuzzing --seconds 3600` runs it by hand; `test_fuzz.py` runs some of it.
"""
