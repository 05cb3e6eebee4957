"""What can go wrong before or around the cells. Each kind is one line for the user and an exit status of its own.

Statuses 0 to 2 are not errors of this module: 0 every planned cell is accounted for and none is bad, 1 some cell is
bad, 2 wrong usage of a command.
"""

from __future__ import annotations


class CarryoverError(Exception):
    """One line that says what is wrong, where, and what to do; `status` is the exit status it ends the command with."""

    status = 70


class UnknownEnvironment(CarryoverError):
    """A release or an environment that environments.toml does not have."""

    status = 3


class EngineUnavailable(CarryoverError):
    """The named engine is not installed, or its daemon does not answer."""

    status = 4


class BaseImageUnavailable(CarryoverError):
    """A base image is not here, cannot be pulled, or a stand-in for it cannot be built."""

    status = 5


class BuildFailed(CarryoverError):
    """The image or the virtual environment of an environment could not be made."""

    status = 6


class LockMismatch(CarryoverError):
    """A lock is missing, or was made for something else than environments.toml says now."""

    status = 7


class InterpreterMissing(CarryoverError):
    """The `venv` engine finds no CPython of the version that an environment needs."""

    status = 8


class DiskFull(CarryoverError):
    """No space left where records, artifacts or images go."""

    status = 9


class NothingSelected(CarryoverError):
    """The arguments to pytest select no cell, or it refuses them: that is not a success."""

    status = 10


class ArtifactMismatch(CarryoverError):
    """An artifact's file is not the one that its manifest describes."""

    status = 11


class BadConfiguration(CarryoverError):
    """environments.toml, cells.toml or a CARRYOVER_ variable says something that cannot be."""

    status = 12


class CannotWrite(CarryoverError):
    """The checkout is read-only, somebody else's, or not a folder."""

    status = 13


class UnknownCell(CarryoverError):
    """No cell of this name has a record here."""

    status = 14


class BadBundle(CarryoverError):
    """A bundle that is damaged, of another version, or not one at all."""

    status = 15


class NothingToReport(CarryoverError):
    """There is no plan and no record, or what a report is to be compared with is not there."""

    status = 16


class NotAReport(CarryoverError):
    """A plan or a report was written by another version, or is no such file."""

    status = 17


class WrongUsage(CarryoverError):
    """Arguments that do not go together, or a terminal that is missing."""

    status = 2


class Busy(CarryoverError):
    """Another run is under way in the same folder."""

    status = 18


class GoldenFailed(CarryoverError):
    """A graph did not run in an environment: no golden arrays."""

    status = 19


class GpuMissing(CarryoverError):
    """A gpu environment was asked for with CARRYOVER_REQUIRE_GPU, and there is no NVIDIA GPU."""

    status = 20


INTERRUPTED = 130  # as a shell reports a process ended by SIGINT
TERMINATED = 143  # and by SIGTERM
