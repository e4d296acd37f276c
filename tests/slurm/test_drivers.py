"""Several Snakemakes in one checkout: jobs are cancelled whose own is dead, by one that makes the same files."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from dfsc.cluster.slurm import cancel_leftovers
from dfsc.errors import UserError
from support.checkout import Checkout
from support.cluster import CONFIG, answer_of, new_checkout, wait_for

pytestmark = pytest.mark.usefixtures("cluster")


class Benchmark:
    """One of several benchmarks in a checkout: two trainings on images of its own."""

    def __init__(self, checkout: Checkout, name: str, steps: int = 500) -> None:
        self.checkout, self.name = checkout, name
        self.output = checkout.root / f"{name}.log"
        (checkout.root / f"{name}.yaml").write_text(
            f"benchmark: {name}\n"
            f"dataset: {{folder: data/{name}, categories: [coin_tray]}}\n"
            f"pretraining: {{folder: data/{name}/pretraining}}\n"
            f"training: {{steps: {steps}}}\n"
        )
        self.cells = [f"{name}/coin_tray/{method}/seed0" for method in ("efficientad-tiny", "dfsc-tiny-q0.9")]
        self.models = [f"results/{cell}/model.pt" for cell in self.cells]
        self.manifest = f"results/{name}/manifests/coin_tray/training.csv"

    def arguments(self, *targets: str, profile: bool = True) -> list[str]:
        """Arguments of Snakemake."""
        profiles = ["--profile", "slurm"] if profile else []
        return [*profiles, "--configfile", CONFIG, f"{self.name}.yaml", "--", *targets]

    def start(self) -> "subprocess.Popen[str]":
        """Start its trainings through Slurm."""
        command = ["snakemake", "--cores", "2", *self.arguments(*self.models)]
        with self.output.open("a") as stream:
            return subprocess.Popen(
                command, cwd=self.checkout.root, env=self.checkout.environment, stdout=stream, stderr=stream, text=True
            )

    def steps(self, cell: str) -> list[int]:
        """The steps that a training's last attempt printed."""
        path = self.checkout.root / "logs" / cell / "train.log"
        return [int(step) for step in re.findall(r": step (\d+) of", path.read_text())] if path.exists() else []

    def wait_for_trainings(self) -> None:
        """Wait until both trainings are at work."""
        wait_for(f"{self.name}'s trainings", lambda: all(self.steps(cell) for cell in self.cells))


def jobs_of(checkout: Checkout) -> dict[str, str]:
    """Job -> state, of all that were ever submitted from a checkout."""
    lines = answer_of("squeue", "--noheader", "--states=all", "--format=%i|%T|%Z").splitlines()
    return {job: state for job, state, place in (line.split("|") for line in lines) if place == str(checkout.root)}


def test_runs_in_one_checkout_leave_each_others_jobs_alone(tmp_path: Path) -> None:
    checkout = new_checkout(tmp_path)
    first, second, third = (
        Benchmark(checkout, "first"),
        Benchmark(checkout, "second", 1200),
        Benchmark(checkout, "third"),
    )
    drivers = [first.start()]
    try:
        first.wait_for_trainings()
        drivers.append(second.start())
        for arguments, code in (
            (first.arguments(first.manifest), 1),  # Snakemake's own lock is on it
            (first.arguments(first.manifest, profile=False), 1),
            (["--dry-run", *third.arguments(third.manifest)], 0),
            (third.arguments(third.manifest), 0),
            (["--touch", *third.arguments(third.manifest)], 0),
            (["--force", *third.arguments(third.manifest, profile=False)], 0),
        ):
            run = checkout.snakemake(*arguments)
            assert run.returncode == code, run.stdout
        second.wait_for_trainings()
        assert drivers[0].wait(timeout=300) == 0, first.output.read_text()
        # Snakemake removes all locks of a folder when one Snakemake in it ends. Ours remains.
        again = checkout.snakemake(*second.arguments(*second.models))
        assert again.returncode == 2 and "is being made by another Snakemake in this folder" in again.stdout
        assert drivers[1].wait(timeout=300) == 0, second.output.read_text()
    finally:
        for driver in drivers:
            driver.kill()
            driver.wait()
    assert set(jobs_of(checkout).values()) == {"COMPLETED"}
    assert all(benchmark.steps(cell)[0] < 20 for benchmark in (first, second) for cell in benchmark.cells)


def test_leftovers_are_cancelled_by_a_run_that_makes_the_same_files_and_by_no_other(tmp_path: Path) -> None:
    checkout = new_checkout(tmp_path)
    killed, other = Benchmark(checkout, "killed", 100_000), Benchmark(checkout, "other")
    drivers = [killed.start()]
    try:
        killed.wait_for_trainings()
        drivers[0].kill()
        drivers[0].wait()
        left = {job for job, state in jobs_of(checkout).items() if state == "RUNNING"}
        assert len(left) == 2

        for arguments in (
            other.arguments(other.manifest),
            ["--dry-run", *killed.arguments(*killed.models)],
            ["--unlock", *killed.arguments(*killed.models)],
            killed.arguments(killed.manifest, profile=False),
        ):
            run = checkout.snakemake(*arguments)
            assert run.returncode == 0, run.stdout
            assert {jobs_of(checkout)[job] for job in left} == {"RUNNING"}
        reached = {cell: killed.steps(cell)[-1] for cell in killed.cells}
        drivers.append(killed.start())
        wait_for("the cancelling", lambda: "2 jobs of an earlier run were cancelled" in killed.output.read_text())
        # From their checkpoints, not from the first step.
        wait_for("trainings", lambda: all((killed.steps(cell) or [0])[0] >= reached[cell] for cell in killed.cells))
    finally:
        for driver in drivers:
            driver.kill()
            driver.wait()
        for job, state in jobs_of(checkout).items():
            if state in ("PENDING", "RUNNING"):
                answer_of("scancel", job)


def test_a_slurm_that_does_not_answer_is_not_taken_for_one_without_jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    register = "import sys; from dfsc.cluster.drivers import register; register('dfsc_gone', ['results/model.pt'])"
    subprocess.run([sys.executable, "-c", register], check=True)
    here = Path("/etc/slurm/slurm.conf").read_text()
    (tmp_path / "slurm.conf").write_text(here.replace("SlurmctldPort=26817", "SlurmctldPort=26999"))
    monkeypatch.setenv("SLURM_CONF", str(tmp_path / "slurm.conf"))
    with pytest.raises(UserError, match="Slurm does not answer"):
        cancel_leftovers({"results/model.pt"})
    assert cancel_leftovers({"results/other.pt"}) == 0
    monkeypatch.delenv("SLURM_CONF")
    assert cancel_leftovers({"results/model.pt"}) == 0
    assert not list(Path(".snakemake/dfsc_drivers").iterdir())
