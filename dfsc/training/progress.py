"""How far a training is: lines for its log, and a small file for `dfsc status`. Neither shapes nor stops a training."""

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from dfsc.errors import Interrupted, RunFailed, UserError
from dfsc.files import write_json

if TYPE_CHECKING:  # torch comes with it
    from dfsc.training.loop import Progress

SECONDS_BETWEEN_WRITES = 10


class Pace:
    """A training's pace, from its first report on: the steps before may be an interrupted attempt's."""

    def __init__(self) -> None:
        self.first: tuple[int, float] | None = None

    def seconds_left(self, step: int, steps: int) -> float | None:
        """Seconds to the last step; None at the first report."""
        now = time.monotonic()
        since, began = self.first = self.first or (step, now)
        return (now - began) / (step - since) * (steps - step) if step > since else None


def plain_progress(label: str) -> "Progress":
    """A progress callback for logs: a line every tenth of the steps, and at least every 30 seconds."""
    pace, last_time, last_tenth = Pace(), time.monotonic(), -1

    def report(step: int, steps: int, losses: Mapping[str, float]) -> None:
        nonlocal last_time, last_tenth
        seconds_left, now = pace.seconds_left(step, steps), time.monotonic()
        if step * 10 // steps == last_tenth and now - last_time < 30:
            return
        last_time, last_tenth = now, step * 10 // steps
        figures = ", ".join(f"{name} {value:.4f}" for name, value in losses.items())
        left = "" if seconds_left is None else f", {seconds_left:.0f} s left"
        with suppress(OSError):  # the log's disk is full, or nobody reads any more
            print(f"{label}: step {step} of {steps} ({step / steps:.0%}), {figures}{left}", flush=True)

    return report


class ProgressFile:
    """Around a training: a JSON file with its state, and a progress callback that keeps the step in it.

    Keys: state ('running', 'stopped', 'failed' or 'done'), step, steps, seconds_left, seconds_between_reports (null
    where not known yet), words (of a failure), host, process. Of a process killed hard, the state stays 'running'.
    Without a path nothing is written; what cannot be written is left out.
    """

    def __init__(self, path: Path | None) -> None:
        self.path, self.pace = path, Pace()
        self.told: dict[str, Any] = {"state": "running", "step": 0, "steps": None, "seconds_left": None}
        self.told |= {
            "seconds_between_reports": None,
            "words": "",
            "host": socket.gethostname(),
            "process": os.getpid(),
        }
        self.reported = self.written = 0.0

    def __enter__(self) -> "ProgressFile":
        self._write()
        return self

    def beside(self, shown: "Progress") -> "Progress":
        """A progress callback that calls `shown` and keeps this file."""

        def report(step: int, steps: int, losses: Mapping[str, float]) -> None:
            shown(step, steps, losses)
            now, first = time.monotonic(), self.told["steps"] is None
            self.told |= {"step": step, "steps": steps, "seconds_left": self.pace.seconds_left(step, steps)}
            self.told["seconds_between_reports"] = None if first else now - self.reported
            self.reported = now
            if first or now - self.written > SECONDS_BETWEEN_WRITES:
                self._write()

        return report

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self.told["state"] = "done"
        elif isinstance(error, Interrupted | KeyboardInterrupt):
            self.told["state"] = "stopped"
        else:
            name = "" if isinstance(error, UserError | RunFailed) else f"{type(error).__name__}: "
            self.told |= {"state": "failed", "words": name + " ".join(str(error).split())}
        self._write()

    def _write(self) -> None:
        self.written = time.monotonic()
        if self.path is not None:
            with suppress(UserError, OSError):  # a full disk, for example
                write_json(self.path, self.told)
