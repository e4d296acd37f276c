"""Before a benchmark starts: what it will take, and what it lacks."""

from pathlib import Path
from typing import Annotated

import typer

from dfsc.commands.options import Configfile, Device, MoreConfigfiles, Workers, configuration

app = typer.Typer()


@app.command()
def estimate(
    configfile: Configfile = None,
    more: MoreConfigfiles = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps to measure of each kind of training.")] = 200,
    seconds: Annotated[float, typer.Option(min=0, help="Of each kind: after these, no further step begins.")] = 60,
    device: Device = "auto",
    workers: Workers = 0,
) -> None:
    """Print what a benchmark will take: models, steps, hours, disk; from a few steps of each kind, measured here."""
    from dfsc.planning.estimate import measure, print_estimate
    from dfsc.planning.pace import Budget
    from dfsc.training.device import choose_device

    config = configuration(configfile, more)
    print_estimate(config, measure(config, choose_device(device, 1), Budget(steps, seconds, workers)))


@app.command()
def doctor(
    configfile: Configfile = None,
    more: MoreConfigfiles = None,
    profile: Annotated[
        Path | None, typer.Option(help="As given to Snakemake: slurm, or profiles/workstation. Without it, none.")
    ] = None,
    device: Device = "auto",
) -> None:
    """Print what a benchmark needs and what of it is there: GPU, disk, images, weights, tracking store, Slurm.

    Exit code 1: something is missing. With --device cpu, a GPU is not.
    """
    from dfsc.planning.doctor import diagnosed, print_findings

    findings = diagnosed(configuration(configfile, more), profile, device)
    if not print_findings(findings):
        raise typer.Exit(1)
