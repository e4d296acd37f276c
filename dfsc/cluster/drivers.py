"""The Snakemakes that drive jobs from this folder: what each set out to make, and whether it is alive.

Snakemake's own locks do not tell: they outlive a Snakemake that was killed, and one that ends removes those of all
others in its folder. A record here is locked by its Snakemake, and the system frees it however that Snakemake ends.
"""

import fcntl
import json
import os
import socket
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dfsc.files import reading

FOLDER = Path(".snakemake/dfsc_drivers")  # in the folder in which Snakemake runs


@dataclass(frozen=True)
class Driver:
    """A Snakemake that submitted jobs from this folder."""

    record: Path
    host: str
    process: int
    outputs: frozenset[str]  # what its jobs write
    # 'unknown': it ran on another machine, or the file system has no locks.
    state: Literal["alive", "dead", "unknown"]

    @property
    def jobs(self) -> str:
        """The name that its jobs have in Slurm."""
        return self.record.name


def register(jobs: str, outputs: Iterable[str]) -> None:
    """Record this process, whose jobs are named `jobs` and write `outputs`; the record is locked until it ends."""
    record = {"host": socket.gethostname(), "process": os.getpid(), "outputs": sorted(outputs)}
    FOLDER.mkdir(parents=True, exist_ok=True)
    unseen = FOLDER / f".{jobs}"
    lock = os.open(unseen, os.O_RDWR | os.O_CREAT, 0o600)  # never closed
    with suppress(OSError):  # of a file system without locks
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    unseen.write_text(json.dumps(record), encoding="utf-8")
    unseen.replace(FOLDER / jobs)  # seen from now on, and locked already


def drivers() -> list[Driver]:
    """Everyone recorded in this folder. Raises UserError naming a record that cannot be read."""
    found = []
    for path in sorted(FOLDER.glob("[!.]*")):
        remedy = "delete it once `squeue --me` shows no job of that name"
        with reading(path, "the record of a Snakemake", remedy):
            record = json.loads(path.read_text(encoding="utf-8"))
            host, process, outputs = record["host"], int(record["process"]), frozenset(record["outputs"])
        found.append(Driver(path, host, process, outputs, _state(path, host)))
    return found


def _state(record: Path, host: str) -> Literal["alive", "dead", "unknown"]:
    try:
        with record.open() as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return "alive"
    except OSError:
        return "unknown"
    return "dead" if host == socket.gethostname() else "unknown"
