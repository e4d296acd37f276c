"""Slurm before a workflow starts: whether it answers, and jobs that outlived the Snakemake that submitted them."""

import shutil
import subprocess
import time
from collections.abc import Set
from contextlib import suppress

from dfsc.cluster.drivers import Driver, drivers
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


def check_accepted(*options: str) -> None:
    """Raise UserError if Slurm would refuse a job with these options of sbatch's; none is submitted."""
    fault, remedy = f"takes no job with {' '.join(options)}", "correct what the profile asks for"
    _answer_of("sbatch", "--test-only", *options, "--wrap=true", fault=fault, remedy=remedy)


def cancel_leftovers(outputs: Set[str]) -> int:
    """Cancel the Slurm jobs of dead Snakemakes that made some of `outputs`, and wait until they end; returns how many.

    For the start of a workflow that makes `outputs`. Asked to end, a training saves its checkpoint. Raises UserError,
    and cancels nothing more, if another Snakemake makes one of `outputs` or may do so, or if Slurm does not answer.
    """
    cancelled = 0
    for driver in drivers():
        if not (shared := driver.outputs & outputs):
            continue
        if driver.state == "alive":
            raise UserError(
                f"{min(shared)}: is being made by another Snakemake in this folder (process {driver.process} on "
                f"{driver.host}); wait until it ends, or stop it with Ctrl-C, then run again"
            )
        if driver.state == "unknown":
            _refuse_jobs_of(driver, min(shared))
        else:
            cancelled += _end_jobs_of(driver)
            driver.record.unlink(missing_ok=True)
    return cancelled


def _refuse_jobs_of(driver: Driver, output: str) -> None:
    if jobs := _jobs_of(driver):
        raise UserError(
            f"{output}: Slurm has {len(jobs)} jobs of a Snakemake that was started on {driver.host} (process "
            f"{driver.process}); if it is still alive there, wait until it ends; if not, "
            f"`scancel --me --name={driver.jobs}`, then run again"
        )


def _end_jobs_of(driver: Driver) -> int:
    asked: set[str] = set()
    began = time.monotonic()
    while jobs := _jobs_of(driver):
        if time.monotonic() - began > SECONDS_TO_END:
            raise RunFailed(
                f"jobs {' '.join(sorted(jobs))} of an earlier run do not end; see `squeue --me`, then run again"
            )
        if new := jobs - asked:
            asked |= new
            with suppress(UserError):  # of a job that has ended meanwhile
                _answer_of("scancel", *sorted(new))
        time.sleep(1)
    return len(asked)


def _jobs_of(driver: Driver) -> set[str]:
    return set(_answer_of("squeue", "--me", "--noheader", "--format=%i", f"--name={driver.jobs}").split())


def _answer_of(*command: str, fault: str = "does not answer", remedy: str = "run again once `squeue` does") -> str:
    """What a command of Slurm's prints. Raises UserError, which names `fault` and `remedy`, if the command fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=60, check=True).stdout
    except FileNotFoundError as error:
        raise UserError(
            f"{command[0]} is not on this machine, so that it cannot be told whether jobs of an earlier run still "
            "write to this folder; run on a login node of the cluster"
        ) from error
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip() or f"{command[0]} failed").splitlines()[-1]
        raise UserError(f"Slurm {fault} ({reason}); {remedy}") from error
    except subprocess.TimeoutExpired as error:
        raise UserError("Slurm does not answer within a minute; run again once `squeue` does") from error
