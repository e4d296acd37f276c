"""A grid through a real Slurm, disturbed in every way that clusters know, against the same grid undisturbed."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import yaml

from dfsc.cluster.slurm import check_reachable
from dfsc.errors import UserError
from support.checkout import Checkout
from support.cluster import CONFIG, answer_of, new_checkout, wait_for
from support.outside_methods import IN_AWK, write_method

RESULTS = "results/shrunk"
METHODS = ("efficientad-tiny", "dfsc-tiny-q0.9")
METHODS = ("efficientad-tiny", "dfsc-tiny-q0.9")
MODELS = [f"{category}/{method}" for category in ("coin_tray", "picture_wall") for method in METHODS]
TABLES = [f"{table}.{ending}" for table in ("table1_image_auroc", "table2_au_spro") for ending in ("csv", "md", "tex")]

pytestmark = pytest.mark.usefixtures("cluster")


class ClusterRun:
    """A checkout's run through Slurm."""

    def __init__(self, checkout: Checkout) -> None:
        self.checkout = checkout
        self.output = checkout.root / "driver.log"
        self.reached: dict[str, int] = {}
        self.job = ""

    def start(self) -> subprocess.Popen[str]:
        """Start the documented command."""
        command = ["snakemake", "--cores", "8", "--profile", "slurm", "--configfile", CONFIG, "--", "tables"]
        with self.output.open("a") as stream:
            return subprocess.Popen(
                command, cwd=self.checkout.root, env=self.checkout.environment, stdout=stream, stderr=stream, text=True
            )

    def log(self, model: str) -> str:
        """What a model's training printed in its last attempt."""
        path = self.checkout.root / "logs/shrunk" / model / "seed0/train.log"
        return path.read_text() if path.exists() else ""

    def steps(self, model: str) -> list[int]:
        """The steps that a model's last attempt printed."""
        return [int(step) for step in re.findall(r": step (\d+) of 600", self.log(model))]

    def training(self) -> dict[str, str]:
        """Trainings that are under way right now, and not about to end: model -> job."""
        found: dict[str, str] = {}
        for line in answer_of("squeue", "--noheader", "--states=RUNNING", "--format=%i|%k").splitlines():
            job, comment = line.split("|")
            for model in MODELS:
                steps = self.steps(model)
                if comment.endswith(f"train_wildcards_{model.replace('/', '_')}_0") and steps:
                    found |= {model: job} if 20 < steps[-1] < 500 else {}
        return found

    def two_trainings(self) -> dict[str, str]:
        """As `training`, once there are two; from here on none of them may fall behind the step it has reached."""
        found: dict[str, str] = wait_for("two trainings", lambda: now if len(now := self.training()) == 2 else None)
        self.reached |= {model: self.steps(model)[-1] for model in found}
        return found


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """The grid on this machine, without Slurm."""
    checkout = new_checkout(tmp_path_factory.mktemp("local"))
    run = checkout.snakemake("--configfile", CONFIG, "--", "tables")
    assert run.returncode == 0, run.stdout
    return checkout


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterRun]:
    """The grid through Slurm: a training requeued, one cancelled, the driver killed, two preempted, the node lost."""
    run = ClusterRun(new_checkout(tmp_path_factory.mktemp("cluster")))
    driver = run.start()
    try:
        requeued, cancelled = run.two_trainings().values()
        run.job = answer_of("scontrol", "show", "job", requeued)
        answer_of("scontrol", "requeue", requeued)
        answer_of("scancel", cancelled)
        run.two_trainings()
        driver.kill()
        driver.wait()

        unlock = run.checkout.snakemake("--configfile", CONFIG, "--unlock")
        assert unlock.returncode == 0, unlock.stdout
        driver = run.start()
        run.two_trainings()
        answer_of("sbatch", "--partition=urgent", "--gpus=2", "--output=/dev/null", "--wrap=sleep 2")
        wait_for("preemption", lambda: not run.training())
        # Gone without SIGTERM: back to the checkpoint before.
        wait_for("two trainings", lambda: len(run.training()) == 2)
        node = answer_of("sinfo", "--noheader", "--format=%n").split()[0]
        answer_of("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
        answer_of("scontrol", "update", f"nodename={node}", "state=resume")
        assert driver.wait(timeout=900) == 0, run.output.read_text()
        yield run
    finally:
        driver.kill()
        driver.wait()


def test_models_and_tables_equal_those_of_a_local_run(local: Checkout, disturbed: ClusterRun) -> None:
    here, there = local.root / RESULTS, disturbed.checkout.root / RESULTS
    files = [str(path.relative_to(here)) for path in (here / "tables").glob("table*")]
    assert len(files) > 10
    files += [f"{model}/seed0/{name}" for model in MODELS for name in ("model.pt", "training_curve.csv")]
    for name in files:
        assert (here / name).read_bytes() == (there / name).read_bytes(), name
    # Requeued and resumed, they all used what the first of a category kept.
    kept = there / "kept"
    assert (len([*kept.glob("images-*.npy")]), len([*kept.glob("statistics-*.json")])) == (2 * 2, 2)
    assert not [model for model in MODELS if "again" in disturbed.log(model) or "anew" in disturbed.log(model)]
    # Each run's own number and duration are all that may differ.
    own = ["run_id", "seconds"]
    tables = [pd.read_csv(root / "tables/runs.csv").drop(columns=own) for root in (here, there)]
    pd.testing.assert_frame_equal(*tables, check_exact=True)


def test_mlflow_has_exactly_one_finished_run_per_model(disturbed: ClusterRun) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{disturbed.checkout.root}/mlflow.db")
    experiment = client.get_experiment_by_name("shrunk")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert sorted(f"{run.data.tags['category']}/{run.data.tags['method']}" for run in runs) == sorted(MODELS)
    assert {run.info.status for run in runs} == {"FINISHED"}


def test_an_interrupted_training_goes_on_where_it_stopped(disturbed: ClusterRun) -> None:
    assert len(disturbed.reached) >= 3
    for model, step in disturbed.reached.items():
        assert disturbed.steps(model)[0] > step, f"{model} had reached step {step}:\n{disturbed.log(model)}"


def test_a_training_asks_for_what_the_profile_says(disturbed: ClusterRun) -> None:
    asked = ("TresPerJob=gres:gpu:1", "cpu=4", "mem=8000M", "TimeLimit=1-00:00:00", "Requeue=1", "Partition=everyone")
    for request in asked:
        assert request in disturbed.job


def test_jobs_of_the_killed_driver_are_cancelled_first(disturbed: ClusterRun) -> None:
    assert re.search(r"dfsc: \d+ jobs of an earlier run were cancelled", disturbed.output.read_text())


def test_logs_of_successful_jobs_are_kept(disturbed: ClusterRun) -> None:
    assert len(list((disturbed.checkout.root / "logs/slurm").rglob("*.log"))) > len(MODELS)


def test_trainings_share_a_gpu_where_the_profile_asks_for_shards(tmp_path: Path) -> None:
    checkout = new_checkout(tmp_path)
    profile = checkout.root / "slurm/config.yaml"
    asked = yaml.safe_load(profile.read_text())
    asked["set-threads"]["train"] = 2  # four at once on the node's eight processors
    asked["set-resources"]["train"] |= {"gpu": 0, "gres": "'shard:1'"}  # as the comment beside `train` says
    profile.write_text(yaml.safe_dump(asked))
    (checkout.root / "short.yaml").write_text("{benchmark: shared, training: {steps: 20}}")
    models = [f"results/shared/{model}/seed0/model.pt" for model in MODELS]
    run = checkout.snakemake("--profile", "slurm", "--configfile", CONFIG, "short.yaml", "--", *models)
    assert run.returncode == 0, run.stdout

    jobs = [line for line in answer_of("scontrol", "--oneliner", "show", "job").splitlines() if str(tmp_path) in line]
    trainings = [line for line in jobs if "Comment=rule_train_" in line]
    assert len(trainings) == 4 and all("TresPerNode=gres:shard:1" in line for line in trainings)
    starts, ends = (re.findall(rf"{name}=(\S+)", "\n".join(trainings)) for name in ("StartTime", "EndTime"))
    assert max(starts) < min(ends), "four trainings on two GPUs, but not all at once"


def test_a_method_from_outside_is_a_job_that_asks_for_what_it_needs(tmp_path: Path) -> None:
    checkout = new_checkout(tmp_path)
    write_method(checkout.root / "methods/awk", IN_AWK)
    needs = {"gpu": 1, "mem_mb": 1234, "runtime": 7}
    method = {"label": "In awk", "command": "methods/awk/run", "seeds": False, **needs}
    (checkout.root / "outside.yaml").write_text(yaml.safe_dump({"methods": {"awk": method}}))
    target = f"{RESULTS}/coin_tray/awk/seednone/metrics.json"
    run = checkout.snakemake("--profile", "slurm", "--configfile", CONFIG, "outside.yaml", "--", target)
    assert run.returncode == 0 and (checkout.root / target).exists(), run.stdout

    jobs = [line for line in answer_of("scontrol", "--oneliner", "show", "job").splitlines() if str(tmp_path) in line]
    (job,) = [line for line in jobs if "Comment=rule_run_method" in line]
    for asked in ("TresPerJob=gres:gpu:1", "mem=1234M", "TimeLimit=00:07:00", "JobState=COMPLETED"):
        assert asked in job, job
    assert not any("Comment=rule_train" in line for line in jobs)


def test_a_controller_that_is_down_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_reachable()
    here = Path("/etc/slurm/slurm.conf").read_text()
    (tmp_path / "slurm.conf").write_text(here.replace("SlurmctldPort=26817", "SlurmctldPort=26999"))
    monkeypatch.setenv("SLURM_CONF", str(tmp_path / "slurm.conf"))
    with pytest.raises(
        UserError, match=r"^Slurm does not answer \(.*connect failure.*\); run again once `squeue` does$"
    ):
        check_reachable()
