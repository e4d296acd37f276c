"""A copy of the checkout in which a test may edit, run and delete."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from support import forks

CHECKOUT = Path(__file__).parents[2]
COPIED = (
    *("Snakefile", "dfsc", "workflow", "config", "profiles", "slurm"),
    *("dvc.yaml", ".dvc/config", ".dvcignore", "tests/smallest.yaml"),
)


@dataclass(frozen=True)
class Checkout:
    """A copy of the checkout, with its own package, data, results and tracking store; it lies at `root`.

    Its commands are started as they are installed, or `quick`, as support.forks has them.
    """

    root: Path
    quick: bool = False

    @classmethod
    def new(cls, root: Path, quick: bool = False) -> "Checkout":
        """Copy the checkout to `root`, without any results."""
        for name in COPIED:
            source, target = CHECKOUT / name, root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir() and not source.is_symlink():
                shutil.copytree(source, target)
            else:
                shutil.copy(source, target, follow_symlinks=False)
        return cls(root, quick)

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which commands find this copy's package."""
        found = {**os.environ, "PYTHONPATH": str(self.root)}
        return {**found, "PATH": f"{forks.commands()}{os.pathsep}{found['PATH']}"} if self.quick else found

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run Snakemake here; output and errors together."""
        return subprocess.run(
            ["snakemake", "--cores", "2", *arguments],
            cwd=self.root,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=900,
        )

    def smallest(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the smallest configuration."""
        return self.snakemake("--configfile", "tests/smallest.yaml", *arguments)

    def model(self, method: str) -> Path:
        """Folder of a model's results."""
        return self.root / "results/smallest/coin_tray" / method / "seed0"


def job_counts(run: subprocess.CompletedProcess[str]) -> dict[str, int]:
    """Rule -> jobs, from Snakemake's table of job statistics."""
    assert run.returncode == 0, run.stdout
    if "Nothing to be done" in run.stdout:
        return {}
    table = run.stdout.split("Job stats:")[1].split("total")[0]
    return {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE) if rule != "all"}
