"""Two ways of doing the same, timed in turn in one run, and what a table says of them."""

import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from itertools import islice
from multiprocessing.connection import Connection
from typing import NamedTuple

import torch

from dfsc.inference.speed import processor
from dfsc.training.device import describe_device

CPU = torch.device("cpu")


class Row(NamedTuple):
    """One line of the table of ratios."""

    what: str
    against: str
    theirs: list[float]  # seconds
    ours: list[float]  # seconds, taken in turn with theirs
    note: str = ""

    @property
    def ratios(self) -> list[float]:
        """How many times as long theirs takes, turn by turn."""
        return [other / own for other, own in zip(self.theirs, self.ours, strict=True)]

    def cells(self) -> list[str]:
        """The line's cells: medians, and the ratio with its least and most."""
        ratios = self.ratios
        spread = f" ({min(ratios):.2f} to {max(ratios):.2f})" if len(ratios) > 1 else ""
        times = [f"{statistics.median(values):.4g} s" for values in (self.theirs, self.ours)]
        return [self.what, self.against, *times, f"**{statistics.median(ratios):.2f}**{spread}", self.note]


def seconds(function: Callable[[], object], device: torch.device = CPU) -> float:
    """Wall time of one call, the device's work included."""
    began = time.perf_counter()
    function()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began


def in_turn(
    theirs: Callable[[], object], ours: Callable[[], object], repeats: int, device: torch.device = CPU
) -> tuple[list[float], list[float]]:
    """Seconds of each, by turns, so that a busy moment of the machine meets both."""
    pairs = [(seconds(theirs, device), seconds(ours, device)) for _ in range(repeats)]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


class Apart:
    """An endless iterator in a process of its own, which shares none of our settings: as the usual code runs."""

    def __init__(self, steps: Callable[..., Iterator[object]], *arguments: object) -> None:
        """`steps(*arguments)` gives the iterator; both can be pickled."""
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, steps, arguments))
        self._process.start()
        other.close()

    def seconds(self, number: int) -> float:
        """Seconds of `number` steps. Raises EOFError if the process died."""
        self._pipe.send(number)
        taken: float = self._pipe.recv()
        return taken

    def __enter__(self) -> "Apart":
        return self

    def __exit__(self, *exception: object) -> None:
        """End the process, which may have died already."""
        with suppress(BrokenPipeError):
            self._pipe.send(0)
        self._process.join()


def _serve(pipe: Connection, steps: Callable[..., Iterator[object]], arguments: tuple[object, ...]) -> None:
    device = next((argument for argument in arguments if isinstance(argument, torch.device)), CPU)
    iterator = steps(*arguments)
    while number := pipe.recv():
        pipe.send(seconds(partial(list, islice(iterator, number)), device))


def table(rows: Iterable[Row]) -> str:
    """The rows as Markdown."""
    head = ["what", "against", "theirs", "ours", "theirs / ours (least to most)", "note"]
    lines = [head, ["---"] * len(head), *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def circumstances(device: torch.device) -> str:
    """Hardware and versions, in a line."""
    threads = torch.get_num_threads()
    versions = f"torch {torch.__version__}, Python {platform.python_version()}"
    return f"{describe_device(device)} on {os.cpu_count()} x {processor()}, {threads} threads; {versions}"
