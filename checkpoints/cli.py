"""The command line: arguments, errors and exit statuses. What commands do is in `commands/`."""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import sys

from .errors import ArgumentError, CheckpointError, MappingError

OK, DIFFERS, USAGE, UNMAPPED, BAD_FILE, INTERRUPTED, NOT_READ = 0, 1, 2, 3, 4, 130, 141

# What a write to standard output can end with.
_NOT_WRITTEN = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)

_DESCRIPTION = "Read TensorFlow checkpoints without TensorFlow, map them onto Keras models, and prove it."
_STATUSES = """exit status:
  0  done        1  differs        2  wrong arguments
  3  does not map onto the model (all problems are listed)
  4  a file cannot be read or written (the line says which, where and why)
  130  interrupted   141  diff, verify: the pipe was closed before all was said"""

COMMANDS = {
    "inspect": "list the tensors of a checkpoint: name, type, shape, bytes, shard, role",
    "plan": "say where every tensor goes in a Keras model, and why",
    "convert": "write a checkpoint in another format, or under a model's names",
    "verify": "load a checkpoint into a model and compare its outputs with golden ones",
    "golden": "make golden arrays for verify by running a graph (needs TensorFlow)",
    "diff": "compare two checkpoints of any formats, tensor by tensor",
}


class _Help(argparse.RawDescriptionHelpFormatter):
    """Knows the width itself: argparse makes a formatter for every argument, each of which would import `shutil`."""

    def __init__(self, prog: str) -> None:
        try:
            columns = int(os.environ.get("COLUMNS", 0)) or os.get_terminal_size().columns
        except (OSError, ValueError):
            columns = 80
        super().__init__(prog, width=columns - 2)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        """Paragraphs are filled; what is indented, such as an example, can be pasted as it stands."""
        import textwrap

        kept = [part if "\n  " in part else textwrap.fill(part, width) for part in text.strip().split("\n\n")]
        return "\n\n".join(kept)


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands, for `--help` and for wrong arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m checkpoints",
        description=_DESCRIPTION,
        epilog=_STATUSES,
        formatter_class=_Help,
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, summary in COMMANDS.items():
        _add(commands, name, summary)
    return parser


def _add(commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, summary: str) -> None:
    module = importlib.import_module(f".commands.{name}", __package__)
    command = commands.add_parser(
        name,
        help=summary,
        description=module.__doc__,
        epilog=f"{module.EXAMPLE}\n\n{_STATUSES}",
        formatter_class=_Help,
    )
    command.add_argument("--json", action="store_true", help="print JSON instead of a table")
    if name != "golden":
        told = "what files may expand to in memory, as a multiple of the usual limits (1)"
        command.add_argument("--budget", type=float, default=1.0, metavar="FACTOR", help=told)
    module.add_arguments(command)


def _parse(arguments: list[str]) -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """The arguments. A command that is named first has its own parser alone built, which keeps a listing quick."""
    if arguments and arguments[0] in COMMANDS:
        parser = argparse.ArgumentParser(prog="python -m checkpoints", formatter_class=_Help)
        commands = parser.add_subparsers(dest="command")
        _add(commands, arguments[0], COMMANDS[arguments[0]])
    else:
        parser = build_parser()
    return parser, parser.parse_args(arguments)


def _complain(text: str) -> None:
    """`text` on standard error, on a terminal in place of the line that says how far something is."""
    print(("\r\033[K" if sys.stderr.isatty() else "") + text, file=sys.stderr)


def _report(options: argparse.Namespace, told: dict[str, object]) -> None:
    """What went wrong, for programs: with --json standard output is JSON in every case."""
    if options.json:
        import json

        print(json.dumps(told))


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns its exit status. Every error is one clear line (or a list of problems) on stderr."""
    words = sys.argv[1:] if arguments is None else arguments
    if sys.stdout is None:
        # Closed by whoever started this; what there is to write to files is written all the same.
        sys.stdout = open(os.devnull, "w")
    if hasattr(sys.stdout, "reconfigure"):
        # A terminal that cannot show a name's characters shows their codes.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        return _run(words)
    except BrokenPipeError:
        # The reader of a pipe has seen enough; without this the interpreter would complain at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NOT_READ if words[:1] in (["diff"], ["verify"]) else OK
    except OSError as error:
        if not (error.filename or error.errno in _NOT_WRITTEN):
            raise
        # Files are opened where their errors are told; what is left is standard output.
        _complain(f"error: {error.filename or 'standard output'}: {error.strerror or error}")
        sys.stdout = open(os.devnull, "w")
        return BAD_FILE
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED


def _run(words: list[str]) -> int:
    try:
        parser, options = _parse(words)
        if options.command is None:
            parser.print_help()
            return USAGE
    finally:
        # Help has been printed: what becomes of it is told as of any other output.
        sys.stdout.flush()
    try:
        status: int = importlib.import_module(f".commands.{options.command}", __package__).run(options)
        sys.stdout.flush()
        return status
    except MappingError as error:
        _complain(str(error))
        _report(options, {"error": error.context, "problems": error.problems})
        return UNMAPPED
    except CheckpointError as error:
        _complain(f"error: {error}")
        _report(options, {"error": str(error)})
        return USAGE if isinstance(error, ArgumentError) else BAD_FILE
    except ModuleNotFoundError as error:
        if error.name != "numpy":
            raise
        _complain("error: this needs NumPy, which this Python lacks: pip install numpy")
        return USAGE
