"""The command line: one thin subcommand per rule of the workflow; `dfsc.commands` alone parses arguments.

Heavy libraries are imported within the subcommands, so that `dfsc --help` answers at once.
"""

import os
import sys

import typer

from dfsc.commands import data, models, results
from dfsc.environment import settle_environment
from dfsc.errors import Interrupted, RunFailed, UserError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="DFSC against EfficientAD on MVTec LOCO AD: the steps of the benchmark, one command each.",
)
for group in (data, models, results):
    app.add_typer(group.app)


def main() -> None:
    """Entry point: mistakes and failed runs end in one line and an exit code, never in a traceback."""
    settle_environment()
    try:
        app()
    except (UserError, RunFailed, Interrupted) as error:
        print(f"dfsc: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


if __name__ == "__main__":
    main()
