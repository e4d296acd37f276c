"""Slurm before a workflow starts: whether it answers, and jobs that outlived the Snakemake that submitted them."""

import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from dfsc.errors import RunFailed, UserError

SECONDS_TO_END = 120  # from SIGTERM to the end: a checkpoint is written in between


def check_reachable() -> None:
    """Raise UserError if no job can be submitted from this machine."""
    if shutil.which("sbatch") is None:
        raise UserError(
            "sbatch is not on this machine, which is no login node of a Slurm cluster; on one machine run "
            "`snakemake --profile profiles/workstation`, or without a GPU `snakemake --cores all`"
        )
    _answer_of("squeue", "--me")


def cancel_leftovers(folder: Path) -> int:
    """Cancel the Slurm jobs of workflows that were run in `folder`, and wait until they have ended; returns how many.

    For the start of a workflow only: Snakemake locks its folder, so any job from there is one whose driver was killed,
    and would write to the files of the job that replaces it. Asked to end, a training saves its checkpoint.
    """
    if shutil.which("squeue") is None or not (jobs := _jobs_of(folder)):
        return 0
    with suppress(UserError):  # of a job that has ended meanwhile
        _answer_of("scancel", *jobs)
    began = time.monotonic()
    while _jobs_of(folder):
        if time.monotonic() - began > SECONDS_TO_END:
            raise RunFailed(f"jobs {' '.join(jobs)} of an earlier run do not end; see `squeue --me`, then run again")
        time.sleep(1)
    return len(jobs)


def _jobs_of(folder: Path) -> list[str]:
    # Snakemake's comment on each job tells its jobs from others submitted here by hand.
    try:
        answer = _answer_of("squeue", "--me", "--noheader", "--format=%i|%k|%Z")
    except UserError:  # without a cluster in reach there is nothing to cancel, and nothing that could write here
        return []
    jobs = [line.split("|") for line in answer.splitlines()]
    return [number for number, comment, place in jobs if comment.startswith("rule_") and Path(place) == folder]


def _answer_of(*command: str) -> str:
    """What a command of Slurm's prints. Raises UserError if Slurm does not answer."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip() or f"{command[0]} failed").splitlines()[-1]
        raise UserError(f"Slurm does not answer ({reason}); run again once `squeue` does") from error
    except subprocess.TimeoutExpired as error:
        raise UserError("Slurm does not answer within a minute; run again once `squeue` does") from error
