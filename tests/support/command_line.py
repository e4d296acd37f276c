"""The command line, in this process."""

import contextlib
import io
import sys
from dataclasses import dataclass

from dfsc import cli


@dataclass
class Outcome:
    """What a command left: exit code, and its error output."""

    code: int
    errors: str


def dfsc(*arguments: object) -> Outcome:
    """Run the command line in this process."""
    errors = io.StringIO()
    before, sys.argv = sys.argv, ["dfsc", *map(str, arguments)]
    try:
        with contextlib.redirect_stderr(errors):
            cli.main()
        code = 0
    except SystemExit as exit_request:
        code = int(exit_request.code or 0)
    finally:
        sys.argv = before
    return Outcome(code, errors.getvalue())
