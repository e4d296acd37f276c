"""A GPU machine with torch and little else trains, scores and evaluates, and runs the benchmarks."""

import json
import os
import subprocess
import sys
from importlib.metadata import packages_distributions, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from support.checkout import CHECKOUT
from support.command_line import dfsc
from support.prepared import TRAINING, Prepared

# All else that this project is installed with; what these packages need themselves is theirs.
ABSENT = (
    *("typer", "rich", "click", "mlflow", "snakemake", "dvc", "yaml", "jsonschema", "requests"),
    *("matplotlib", "skimage", "tqdm", "psycopg2", "boto3", "sqlalchemy", "pytest", "hypothesis"),
)
BARE = """
import sys

class Present:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        return None if name.split(".")[0] in ABSENT else self.finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self.finder, name)

sys.meta_path[:] = [Present(finder) for finder in sys.meta_path]
"""
RUN = """
import json
from pathlib import Path
from dfsc.settings.building import build
from dfsc.training.device import choose_device
from dfsc.inference.evaluate import evaluate_small_maps
from dfsc.inference.maps import read_maps
from dfsc.inference.score import run_scoring
from dfsc.settings.scoring import ScoringSettings
from dfsc.training.loop import LoopOptions
from dfsc.settings.grid import CELL_FILES
from dfsc.training.student import ModelFiles, run_training
from dfsc.settings.training import TrainingSettings

root, out, settings = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
folder, manifest, device = root / "data/coin_tray", root / "coin_tray.csv", choose_device("cpu", 1)
run_training(
    build(TrainingSettings, settings), folder, manifest, root / "teacher.pt", root / "index",
    root / "data/pretraining", ModelFiles(**{name: out / file for name, file in CELL_FILES["train"].items()}),
    out / "checkpoints", device, LoopOptions(),
)
run_scoring(
    out / "model.pt", ScoringSettings("zero", "float32"), folder, manifest, out / "scores.csv", out / "maps.npz", None,
    device, 1, lambda done, total: None,
)
found = evaluate_small_maps(
    root / "data", "coin_tray", read_maps(out / "maps.npz"), workers=1, progress=lambda done, total: None
)
print(found.metrics["classification"]["auc_roc"]["mean"])
"""


def run_bare(program: str, *arguments: object) -> str:
    """Run a program where the absent packages cannot be imported; returns what it printed."""
    command = [sys.executable, "-c", f"ABSENT = {ABSENT}\n{BARE}{program}", *map(str, arguments)]
    run = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_training_scoring_and_evaluation_give_what_they_give_where_all_is_installed(
    prepared: Prepared, tmp_path: Path
) -> None:
    bare, whole = tmp_path / "bare", tmp_path / "whole"
    auroc = float(run_bare(RUN, prepared.root, bare, json.dumps({**TRAINING, "steps": 2})))
    place = ("--dataset", prepared.dataset, "--category", prepared.category)
    settings = json.dumps({"padding": "zero", "precision": "float32"})
    for arguments in (
        prepared.train_arguments(whole, steps=2),
        [
            *("score", *place, "--manifest", prepared.manifest(), "--model", whole / "model.pt", "--device", "cpu"),
            *("--settings", settings, "--scores", whole / "scores.csv", "--maps", whole / "maps.npz"),
        ],
        ["evaluate", *place, "--maps", whole / "maps.npz", "--output", whole / "metrics.json"],
    ):
        outcome = dfsc(*arguments)
        assert outcome.code == 0, outcome.errors
    assert auroc == json.loads((whole / "metrics.json").read_text())["classification"]["auc_roc"]["mean"]
    for name in ("model.pt", "training_curve.csv", "scores.csv", "maps.npz"):
        assert (bare / name).read_bytes() == (whole / name).read_bytes(), name
    assert (bare / "training.json").exists()


def test_benchmarks_import() -> None:
    names = ("training_step", "inference", "teacher_target", "spro", "startup")
    run_bare(f"from benchmarks import {', '.join(names)}")


# All that the benchmark of a GPU may need, beside what these need themselves.
LISTED = ("torch", "torchvision", "numpy", "scipy", "pandas", "pillow", "scikit-learn")


def unlisted() -> list[str]:
    """Every module that is installed here, but of a package that is not listed, nor needed by one that is."""
    needed, waiting = set[str](), [*LISTED]
    while waiting:
        if (name := canonicalize_name(waiting.pop())) not in needed:
            needed.add(name)
            asked = map(Requirement, requires(name) or [])
            waiting += [one.name for one in asked if one.marker is None or one.marker.evaluate({"extra": ""})]
    owners = packages_distributions().items()
    return [module for module, names in owners if not {*map(canonicalize_name, names)} & {*needed, "dfsc"}]


def test_the_benchmark_of_a_gpu_needs_what_it_says_and_runs_whole_on_a_cpu(prepared: Prepared, tmp_path: Path) -> None:
    absent = unlisted()
    assert {"pydantic", "annotated_types", "skimage", "tqdm", "typer", "timm", "matplotlib"} <= {*absent}
    # Python runs it at each start: in the processes that the benchmark starts, too.
    (tmp_path / "sitecustomize.py").write_text(f"ABSENT = {absent}\n{BARE}")
    found = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{CHECKOUT}", "CUDA_VISIBLE_DEVICES": ""}
    options = ("--output", tmp_path / "found.md", "--generated", prepared.dataset, "--budget", "52000")
    command = [sys.executable, "-m", "benchmarks.gpu", *map(str, options)]
    run = subprocess.run(
        command, cwd=CHECKOUT, env={**os.environ, **found}, capture_output=True, text=True, check=False
    )
    text = (tmp_path / "found.md").read_text()
    assert run.returncode == 0, run.stdout + run.stderr
    assert "Not measured" not in text
    for name in ("losses of DFSC", "of a resumed training", "training step of", "latency", "pretraining", "first step"):
        assert name in text, name
