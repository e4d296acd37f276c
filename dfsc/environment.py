"""What a process takes from the caller's environment is settled here, so that no command depends on it."""

import io
import logging
import os
import sys
from pathlib import Path


def settle_environment() -> None:
    """Print UTF-8 whatever the locale, and nowhere where a stream is closed; keep a user's matplotlib out of figures.

    For the start of a process, before matplotlib is imported; processes that this one starts inherit it.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):  # not where a test captures it
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    os.environ["PYTHONUTF8"] = "1"
    os.environ["MPLBACKEND"] = "agg"
    os.environ["MATPLOTLIBRC"] = os.devnull
    # It tells of each wrong line in a user's settings, and of a home in which it cannot keep its font list.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
