"""A command from outside, run by itself: watched, stopped with all that it started, and quoted when it fails."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from types import FrameType
from typing import IO

from dfsc.data.changes import leads_up
from dfsc.data.images import is_hidden
from dfsc.errors import Interrupted, RunFailed, UserError
from dfsc.files import digest_of, sha256_of
from dfsc.plain import plain

LAST_LINES, LAST_CHARACTERS = 3, 4000
LARGE = 10_000  # files
RESERVE = 256 * 2**20  # bytes that must stay free on the disk, for the other jobs' results
LOOKING = 0.2  # seconds between two looks at a command


def folder_digest(command: Path) -> str:
    """SHA-256 of the paths and contents of all files beside a command: a method's code.

    Links are followed. Hidden files and folders, such as .venv, do not count, nor does what Python compiles.
    Raises UserError if the command is no executable file, or its folder holds far more than code.
    """
    require_executable(command)
    files: dict[str, str] = {}
    for folder, folders, names in os.walk(command.parent, followlinks=True):
        folders[:] = sorted(name for name in folders if _holds_code(Path(folder, name)))
        for file in (Path(folder, name) for name in sorted(names) if not is_hidden(name)):
            if file.is_file():
                files[file.relative_to(command.parent).as_posix()] = sha256_of(file)
            if len(files) > LARGE:
                raise UserError(f"{command.parent}: holds more than {LARGE} files; give the method a folder of its own")
    return digest_of(files)


def _holds_code(folder: Path) -> bool:
    """Whether a folder in a method's folder counts: a link as what it leads to, and none that leads back up."""
    names = folder.name, folder.resolve().name
    return not any(is_hidden(name) or name == "__pycache__" for name in names) and not leads_up(folder)


def require_executable(command: Path) -> None:
    """Raise UserError if a command is no executable file."""
    if not command.is_file():
        raise UserError(f"{command}: is no file; `command` names an executable file")
    if not os.access(command, os.X_OK):
        raise UserError(f"{command}: is not executable; run chmod +x {command}")


def run_command(
    command: Sequence[object],
    folder: Path,
    seconds: float,
    environment: Mapping[str, str],
    reserve: int = RESERVE,
    allowed: str = "",
    lock: Sequence[int] = (),
) -> None:
    """Run a command in `folder`, and end it and all that it started after `seconds` at the latest.

    It inherits the open files `lock`. What it prints goes to stdout, control characters spelt. Raises RunFailed, with
    its last lines, if it fails, runs too long (`allowed`: what `seconds` are, for the message), or leaves less than
    `reserve` bytes free on the disk of `folder`; UserError if it cannot be started.
    """
    require_executable(Path(str(command[0])))
    with _ending_on_sigterm() as known:  # before the command starts, or it would outlive a job that ends at once
        process = _started(command, folder, environment, lock)
        said, fault = _Said(), ""
        assert process.stdout is not None
        reader = Thread(target=said.listen, args=(process.stdout,), daemon=True)
        reader.start()
        try:
            known()
            fault = _watch(process, folder, seconds, reserve, allowed)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            reader.join(timeout=5)
    if fault:
        raise RunFailed(f"{command[0]}: {fault}{said.last_lines()}")


def _started(
    command: Sequence[object], folder: Path, environment: Mapping[str, str], lock: Sequence[int]
) -> "subprocess.Popen[bytes]":
    """The command's process, which leads a group of its own. Raises UserError if it cannot be started."""
    try:
        return subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**os.environ, **environment},
            start_new_session=True,
            pass_fds=lock,
        )
    except OSError as error:
        advice = "its first line must name what runs it, for example #!/usr/bin/env python3"
        raise UserError(f"{command[0]}: cannot be started ({error.strerror}); {advice}") from error


def _watch(process: "subprocess.Popen[bytes]", folder: Path, seconds: float, reserve: int, allowed: str) -> str:
    """Wait for the process to end; what is wrong, or nothing."""
    end = time.monotonic() + seconds
    while True:
        try:
            code = process.wait(LOOKING)
        except subprocess.TimeoutExpired:
            if time.monotonic() > end:
                return f"was stopped after {seconds / 60:.3g} minutes{allowed}"
            if shutil.disk_usage(folder).free < reserve:
                return f"was stopped, as it left less than {reserve / 2**20:.0f} MiB free on the disk"
            continue
        if code < 0:
            return f"was ended by {signal.Signals(-code).name}"
        return f"ended with exit code {code}" if code else ""


class _Said:
    """What a command prints: passed on, and its end kept."""

    def __init__(self) -> None:
        self.end = ""

    def listen(self, stream: IO[bytes]) -> None:
        """Pass on what a stream brings, until it is closed."""
        while chunk := os.read(stream.fileno(), 65536):
            # A bar of progress goes back to its line's start; in a log, each of its states is a line.
            text = plain(re.sub("\r\n?", "\n", chunk.decode(errors="replace")))
            self.end = (self.end + text)[-LAST_CHARACTERS:]
            sys.stdout.write(text)
            sys.stdout.flush()

    def last_lines(self) -> str:
        """Its last lines, for a message."""
        lines = [line.strip() for line in self.end.split("\n") if line.strip()]
        return f"; its last lines: {' | '.join(lines[-LAST_LINES:])}" if lines else "; it printed nothing"


@contextmanager
def _ending_on_sigterm() -> Iterator[Callable[[], None]]:
    """Let SIGTERM, with which Slurm and Snakemake end a job, end the command too.

    A signal that comes before the yielded function is called waits for it: until then, nobody knows whom to end.
    """
    came = known = False

    def end() -> None:
        nonlocal known
        known = True
        if came:
            raise Interrupted("stopped by SIGTERM; the command was stopped, and nothing is kept of its run")

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal came
        came = True
        if known:
            end()

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield end
    finally:
        signal.signal(signal.SIGTERM, before)
