"""What was found of one thing that a benchmark needs: it is there, the workflow brings it, or it is missing."""

from collections.abc import Callable
from typing import Literal, NamedTuple

from dfsc.errors import RunFailed, UserError

State = Literal["ok", "later", "missing"]


class Finding(NamedTuple):
    """One thing, and in one line what is there, what the workflow will bring, or what a person has to do."""

    state: State
    what: str
    words: str


class Brought(str):
    """What a check returns of a thing that is not there, and that the workflow itself brings."""


def found(what: str, look: Callable[[], str]) -> Finding:
    """The finding of a check: what it returns, or the line of the error that it raises."""
    try:
        words = look()
    except (UserError, RunFailed) as fault:
        return Finding("missing", what, " ".join(str(fault).split()))
    except OSError as error:  # a folder that cannot be entered
        return Finding("missing", what, f"{error.filename}: {error.strerror}; check it")
    return Finding("later" if isinstance(words, Brought) else "ok", what, words)
