"""What was found, written as it comes, and a budget of seconds that its parts keep to."""

import signal
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import NamedTuple

from benchmarks.gpu.scale import forget_compiled
from benchmarks.timing import Row, table

Write = Callable[[str], None]  # takes all that is known so far, as Markdown
LONGER = 2  # times its share that a part may take, where seconds are left


class Figure(NamedTuple):
    """Something measured, and what is asked of it."""

    what: str
    measured: str
    asked: str = ""
    held: bool | None = None  # None: nothing is asked
    goal: bool = False  # a goal that is missed is no fault


def at_most(what: str, value: float, bound: float, unit: str = "", goal: bool = False) -> Figure:
    """A figure that should not be larger than `bound`; NaN is."""
    return Figure(what, f"{value:.4g}{unit}", f"at most {bound:g}{unit}", value <= bound, goal)


def at_least(what: str, value: float, bound: float, unit: str = "") -> Figure:
    """A goal that a figure should reach."""
    return Figure(what, f"{value:.4g}{unit}", f"at least {bound:g}{unit}", value >= bound, True)


class Part(NamedTuple):
    """One part of the run: begun only where its share of the budget is left."""

    name: str
    share: float  # seconds
    run: Callable[[], Iterator[Figure | Row]]


class OutOfTime(BaseException):
    """The part's time is over. No Exception, which `compiled` would take for a failure of the compiler."""


class Report:
    """What was found so far; `write` gets all of it anew whenever something is added."""

    def __init__(self, head: str, write: Write) -> None:
        self.head, self.write = head, write
        self.figures: list[Figure] = []
        self.rows: list[Row] = []
        self.missing: list[str] = []  # parts that were not run to their end, each with the reason
        self.faults = 0  # checks that do not hold, and parts that were begun and not ended

    def add(self, found: Figure | Row) -> None:
        """Add, print and write one thing."""
        if isinstance(found, Figure):
            self.figures.append(found)
            self.faults += found.held is False and not found.goal
        else:
            self.rows.append(found)
        print(" | ".join(_cells(found) if isinstance(found, Figure) else found.cells()), flush=True)
        self.write(self.text())

    def miss(self, part: Part, reason: str, fault: bool = True) -> None:
        """Name a part that was not run to its end; `fault`: that it was begun."""
        self.missing.append(f"{part.name}: {reason}")
        self.faults += fault
        print(self.missing[-1], flush=True)
        self.write(self.text())

    def text(self) -> str:
        """All of it as Markdown."""
        head = ["what", "measured", "asked", "held"]
        lines = [head, ["---"] * len(head), *map(_cells, self.figures)]
        figures = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        parts = [self.head, figures, table(self.rows), *(f"Not measured: {name}." for name in self.missing)]
        return "\n\n".join(parts) + "\n"


def _cells(figure: Figure) -> list[str]:
    held = {None: "", True: "yes", False: "no, a goal" if figure.goal else "**no**"}[figure.held]
    return [figure.what, figure.measured, f"goal: {figure.asked}" if figure.goal else figure.asked, held]


def run_parts(parts: Sequence[Part], budget: float, report: Report) -> None:
    """Run the parts in their order, within `budget` seconds together. A part that fails is named; the next one runs."""
    end = time.monotonic() + budget
    for part in parts:
        left = end - time.monotonic()
        if left < part.share:
            report.miss(
                part, f"left out: it takes about {part.share:.0f} s, {max(left, 0):.0f} s were left", fault=False
            )
            continue
        began = time.monotonic()
        forget_compiled()
        try:
            with stopped_after(min(LONGER * part.share, left)):
                for found in part.run():
                    report.add(found)
        except OutOfTime:
            traceback.print_exc()
            report.miss(part, f"stopped after {time.monotonic() - began:.0f} s; what it found before is kept")
        except Exception as error:  # whatever a machine that nobody has seen leads to
            traceback.print_exc()
            report.miss(part, f"failed ({type(error).__name__}: {' '.join(str(error).split())[:300]})")
        print(f"-- {part.name}: {time.monotonic() - began:.0f} s of {part.share:.0f} s", flush=True)


@contextmanager
def stopped_after(seconds: float) -> Iterator[None]:
    """Raise OutOfTime in the block after so many seconds; in the main thread alone, as signals are."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise OutOfTime

    previous = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
