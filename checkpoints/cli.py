"""The command line: arguments, errors and exit statuses. What commands do is in `commands/`."""

from __future__ import annotations

import argparse
import importlib
import os
import sys

from .errors import ArgumentError, CheckpointError, MappingError

OK, DIFFERS, USAGE, UNMAPPED, BAD_FILE, INTERRUPTED = 0, 1, 2, 3, 4, 130

_DESCRIPTION = "Read TensorFlow checkpoints without TensorFlow, map them onto Keras models, and prove it."
_STATUSES = """exit status:
  0  done        1  differs        2  wrong arguments
  3  does not map onto the model (all problems are listed)
  4  a file cannot be read or written (the line says which, where and why)"""

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


def _report(options: argparse.Namespace, told: dict[str, object]) -> None:
    """What went wrong, for programs: with --json standard output is JSON in every case."""
    if options.json:
        import json

        print(json.dumps(told))


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns its exit status. Every error is one clear line (or a list of problems) on stderr."""
    parser, options = _parse(sys.argv[1:] if arguments is None else arguments)
    if options.command is None:
        parser.print_help()
        return USAGE
    try:
        status: int = importlib.import_module(f".commands.{options.command}", __package__).run(options)
        sys.stdout.flush()
        return status
    except MappingError as error:
        print(error, file=sys.stderr)
        _report(options, {"error": error.context, "problems": error.problems})
        return UNMAPPED
    except CheckpointError as error:
        print(f"error: {error}", file=sys.stderr)
        _report(options, {"error": str(error)})
        return USAGE if isinstance(error, ArgumentError) else BAD_FILE
    except BrokenPipeError:
        # The reader of a pipe has seen enough; without this the interpreter would complain at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
