"""The two ways in which a command stops on purpose. Both are printed as one line, without a traceback."""

from collections.abc import Sequence


class UserError(Exception):
    """A mistake the user can mend: bad input, an unknown key, a missing file.

    The message is one line that names the file or key and says what to do. Exit code 2.
    """

    exit_code = 2


class RunFailed(Exception):
    """A run that went wrong on good input, for example a loss that became NaN.

    The message is one line that says what is kept and where. Exit code 1.
    """

    exit_code = 1


class Interrupted(Exception):
    """A run asked to stop (SIGTERM, Ctrl-C) that has saved its checkpoint. Exit code 143, as for SIGTERM."""

    exit_code = 143


def listed(names: Sequence[str]) -> str:
    """Names for a message of one line: the first six, and how many more there are."""
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
