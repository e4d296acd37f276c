"""What Slurm and Snakemake add to a training: the paper's grid, 5 x 7 x 3 trainings at their smallest, in real Slurm.

Run as `python -m benchmarks.slurm_overhead`, as root, where Slurm is installed (`make test-slurm` installs it); about
seven minutes on two cores, a third with `--seeds 1`. Starts a Slurm of one node with two pretend GPUs, and stops it.
Snakemake's executor starts Snakemake twice inside each job; what that takes by itself is measured too.
"""

import argparse
import os
import re
import subprocess
import tempfile
from datetime import datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from benchmarks.results import RESULTS, keep
from benchmarks.timing import CPU, circumstances, seconds
from dfsc.data.synthetic import synthesize
from dfsc.settings.synthetic import SyntheticSettings

CHECKOUT = Path(__file__).parents[1]
ONE_NODE = CHECKOUT / "tests/slurm/one_node"
CATEGORIES = ["breakfast_box", "juice_bottle", "pushpins", "screw_bag", "splicing_connectors"]
TRAINING = re.compile(rf"rule_train_wildcards_({'|'.join(CATEGORIES)})_(efficientad-\w+|dfsc-\w+-q[\d.]+)_(\d+)$")


def write_config(folder: Path, seeds: int) -> Path:
    """The published grid over five copies of one generated category, with trainings of two steps."""
    counts = {"train": 2, "validation": 2, "test_good": 1, "logical": 1, "structural": 1, "pretraining": 4}
    synthesize(folder / "images", SyntheticSettings(seed=0, **counts), ["coin_tray", "pretraining"])
    for category in CATEGORIES:
        (folder / "images" / category).symlink_to("coin_tray")
    small = {"steps": 2, "precision": "float32"}
    config: dict[str, Any] = {
        "benchmark": "overhead",
        "dataset": {"source": "folder", "folder": str(folder / "images")},
        "pretraining": {"images": "other", "folder": str(folder / "images/pretraining")},
        "teacher": {**small, "backbone": "resnet18", "backbone_weights": "random", "normalisation_images": 2},
        "training": {**small, "sizes": ["tiny"], "image_size": 64, "seeds": list(range(seeds))},
    }
    (folder / "grid.yaml").write_text(yaml.safe_dump(config))
    return folder / "grid.yaml"


def run_grid(folder: Path, config: Path) -> str:
    """Run the trainings through Slurm; returns what Snakemake printed."""
    for name in ("Snakefile", "dfsc", "workflow", "config", "profiles", "slurm"):
        (folder / name).symlink_to(CHECKOUT / name)
    command = ["snakemake", "--cores", "8", "--profile", "slurm", "--configfile", str(config), "--until", "train"]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    run = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if run.returncode != 0:
        raise SystemExit(run.stdout)
    return run.stdout


def read_jobs() -> list[dict[str, str]]:
    """The trainings' jobs as Slurm remembers them."""
    text = subprocess.run(["scontrol", "--oneliner", "show", "job"], check=True, capture_output=True, text=True).stdout
    jobs = [dict(field.split("=", 1) for field in line.split() if "=" in field) for line in text.splitlines()]
    return [job for job in jobs if TRAINING.match(job.get("Comment", ""))]


def own_seconds(folder: Path, job: dict[str, str]) -> float:
    """Seconds that the training's command took, as Snakemake measured it inside the job."""
    named = TRAINING.match(job["Comment"])
    assert named
    category, method, seed = named.groups()
    table = folder / "logs/overhead" / category / method / f"seed{seed}" / "train.benchmark.tsv"
    return float(table.read_text().splitlines()[1].split("\t")[0])


def noticed(output: str) -> dict[str, datetime]:
    """When Snakemake noticed that each of Slurm's jobs had ended."""
    numbers = dict(re.findall(r"Job (\d+) has been submitted with SLURM jobid (\d+)", output))
    ends = re.findall(r"\[(.+)\]\nFinished jobid: (\d+) \(Rule: train\)", output)
    return {numbers[job]: datetime.strptime(when, "%a %b %d %H:%M:%S %Y") for when, job in ends}


def starts_of_snakemake(folder: Path) -> float:
    """Seconds that two starts of Snakemake take for a workflow of one empty rule, nothing else running."""
    folder.mkdir()
    (folder / "Snakefile").write_text("rule nothing:\n    output:\n        'nothing',\n")
    command = ["snakemake", "--cores", "1", "--dry-run", "--target-jobs", "nothing:", "--mode", "remote"]
    start = partial(subprocess.run, command, cwd=folder, capture_output=True, check=True)
    return 2 * median(seconds(start) for _ in range(5))


def report(folder: Path, output: str) -> str:
    """Medians and largest values over the trainings, in seconds, as Markdown; Slurm's times are whole seconds."""
    seen = noticed(output)
    jobs = [job for job in read_jobs() if job["JobId"] in seen]  # not one whose end was printed within another's lines
    start, end, sent = (
        [datetime.fromisoformat(job[name]) for job in jobs] for name in ("StartTime", "EndTime", "SubmitTime")
    )
    own = [own_seconds(folder, job) for job in jobs]
    ran = [(until - since).total_seconds() for since, until in zip(start, end, strict=True)]
    rows = {
        "a training's own work (imports, images, two steps)": own,
        "run time of its job": ran,
        "**added to its work by Slurm and Snakemake**": [job - work for job, work in zip(ran, own, strict=True)],
        "from the job's end until Snakemake takes note of it": [
            (seen[job["JobId"]] - until).total_seconds() for job, until in zip(jobs, end, strict=True)
        ],
    }
    whole = (max(seen.values()) - min(sent)).total_seconds()
    lines = [
        f"{len(jobs)} trainings in {whole:.0f} s, two at a time: one every {whole / len(jobs):.1f} s.\n",
        "| what | median | at most |",
        "| --- | --- | --- |",
        *(f"| {name} | {median(values):.1f} s | {max(values):.1f} s |" for name, values in rows.items()),
        f"| two starts of an empty Snakemake, by themselves | {starts_of_snakemake(folder / 'empty'):.1f} s | |",
    ]
    return "\n".join(lines)


def main() -> None:
    """Run and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help=f"also replace {RESULTS.name}'s part for Slurm")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "work").mkdir()
        config = write_config(folder / "work", chosen.seeds)
        try:
            subprocess.run([ONE_NODE, "start", folder / "node"], check=True)
            text = f"{circumstances(CPU)}\n\n{report(folder / 'work', run_grid(folder / 'work', config))}"
        finally:
            subprocess.run([ONE_NODE, "stop", folder / "node"], check=True)
    print(text)
    if chosen.write:
        keep("slurm", text)


if __name__ == "__main__":
    main()
