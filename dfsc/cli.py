"""The command line: one thin subcommand per rule of the workflow; `dfsc.commands` alone parses arguments.

Heavy libraries are imported within the subcommands, so that `dfsc --help` answers at once.
"""

import os
import sys

import typer
from typer.exceptions import TyperException

from dfsc.commands import data, methods, models, planning, results
from dfsc.environment import settle_environment
from dfsc.errors import Interrupted, RunFailed, UserError
from dfsc.plain import plain

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="DFSC against EfficientAD on MVTec LOCO AD: the steps of the benchmark, one command each.",
)
for group in (data, models, methods, planning, results):
    app.add_typer(group.app)


def main() -> None:
    """Entry point: mistakes and failed runs end in one line and an exit code, never in a traceback."""
    settle_environment()
    try:
        for argument in sys.argv:
            _refuse_other_bytes(argument)
        sys.exit(app(prog_name="dfsc", standalone_mode=False))
    except (UserError, RunFailed, Interrupted) as error:
        _stop(str(error), error.exit_code)
    except TyperException as error:
        _stop(_wrong_usage(error), error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:  # a folder that cannot be entered, a disk that is gone
        if error.filename is None:
            raise
        _stop(f"{error.filename}: {error.strerror}", UserError.exit_code)


def _refuse_other_bytes(argument: str) -> None:
    try:
        argument.encode()
    except UnicodeEncodeError as error:
        shown = argument.encode(errors="backslashreplace").decode()
        raise UserError(f"{shown}: is not UTF-8, which every file of results is; rename it") from error


def _stop(line: str, exit_code: int) -> None:
    print(f"dfsc: {plain(' '.join(line.split()))}", file=sys.stderr)
    sys.exit(exit_code)


def _wrong_usage(error: TyperException) -> str:
    """What is wrong with the arguments, and whose help says more; where there are none at all, the help itself."""
    message, context = error.format_message(), getattr(error, "ctx", None)
    if message.startswith("Usage:"):
        print(message, file=sys.stderr)
        sys.exit(error.exit_code)
    command = context.command_path if context else "dfsc"
    return f"{message.replace('Value error, ', '').rstrip('.')}; see `{command} --help`"


if __name__ == "__main__":
    main()
