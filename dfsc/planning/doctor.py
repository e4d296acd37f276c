"""All that a benchmark needs, looked at in one place before it starts: what is there, what comes, what is missing."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dfsc.planning.findings import Finding
from dfsc.planning.inputs import Inputs
from dfsc.planning.machine import machine_findings, read_profile
from dfsc.settings.leaves import DeviceName

COLOURS = {"ok": "green", "later": "yellow", "missing": "red"}


def diagnosed(config: Mapping[str, Any], profile: Path | None, device: DeviceName) -> list[Finding]:
    """What is found of everything that a configuration needs.

    profile: the folder of a profile of Snakemake's, in which a GPU may be asked of Slurm; None: there is none.
    device: 'cpu' needs no GPU. Raises UserError for a profile that cannot be read, or a damaged receipt of a model that
    is there.
    """
    asked, inputs = read_profile(profile), Inputs(config)
    looked_at = list(inputs.findings())  # first: what is to be fetched needs disk
    return [*machine_findings(config, asked, device, inputs.to_fetch), *looked_at]


def print_findings(findings: list[Finding]) -> bool:
    """Print a line for each finding; returns whether nothing is missing."""
    from rich.console import Console

    console, missing = Console(), [finding for finding in findings if finding.state == "missing"]
    width = max(len(finding.what) for finding in findings)
    for state, what, words in findings:
        console.print(f"[{COLOURS[state]}]{state:7}[/]  {what:{width}} ", end="")
        console.print(words, highlight=False, markup=False, soft_wrap=True)
    console.print(f"{len(missing)} missing" if missing else "nothing is missing")
    return not missing
