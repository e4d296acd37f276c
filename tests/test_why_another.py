"""Table 7 through the real workflow: deviations laid over a benchmark that has run, which changes nothing of it."""

import subprocess
from typing import Any

import pandas as pd
import pytest
import torch
import yaml

from dfsc.files import sha256_of
from dfsc.model.trained import load_model
from support.checkout import Checkout, job_counts

PROTOCOLS: dict[str, Any] = {
    "no_penalty": True,
    "other_penalty": {"images": "generated", "folder": "data/smallest/pretraining", "first": 2},
    "checkpoints": 3,
    "calibration_images": 1,
    "paddings": ["minimum"],
}
BASELINE, START = "efficientad-tiny", "EfficientAD-tiny, "
NAMES = ["no_penalty", "other_penalty", "checkpoints_3", "calibration_images_1", "padding_minimum"]
PER_MODEL = {"score": 5, "evaluate": 5, "draw_model_heatmaps": 5, "track": 5}


def run(checkout: Checkout, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the smallest configuration with the deviations laid over it."""
    (checkout.root / "protocols.yaml").write_text(yaml.safe_dump({"protocols": PROTOCOLS}))
    return checkout.snakemake("--configfile", "tests/smallest.yaml", "protocols.yaml", *arguments)


@pytest.fixture(scope="module")
def deviating(own_checkout: Checkout) -> Checkout:
    """The smallest benchmark, and then its deviations."""
    finished = [own_checkout.model(method) for method in (BASELINE, "dfsc-tiny-q0.9")]
    before = {path: sha256_of(path) for folder in finished for path in folder.iterdir()}
    done = run(own_checkout)
    assert done.returncode == 0, done.stdout
    of_tables = {"pair": 1, "tables": 1, "draw_auroc_over_quantile": 1, "draw_histograms": 1}
    of_tables |= {"draw_what_changed": 1, "page": 1}
    assert job_counts(done) == {"train": 3, "index_penalty": 1, **PER_MODEL, **of_tables}
    assert before == {path: sha256_of(path) for folder in finished for path in folder.iterdir()}
    assert job_counts(run(own_checkout, "--dry-run")) == {}
    return own_checkout


def test_each_row_stands_in_table_7_alone(deviating: Checkout) -> None:
    tables = deviating.root / "results/smallest/tables"
    labels = [
        *(f"{START}no penalty images", f"{START}penalty images: generated, the first 2"),
        *(f"{START}best of 3 checkpoints on the test images", f"{START}map quantiles from 1 validation image"),
        *(f"{START}padding: minimum", f"{START}AUROC of both types pooled"),
    ]
    table = (tables / "table7_protocols.md").read_text()
    assert [label in table for label in labels] == [True] * 6
    assert "Other penalty images: generated (2 images)." in table
    for other in tables.glob("table[1-6]_*.md"):
        assert START not in other.read_text() and "generated (2 images)" not in other.read_text()
    shown = (deviating.root / "results/smallest/page/index.html").read_text()
    assert "Table 7. Why is my number another?" in shown and all(label in shown for label in labels)
    numbers = pd.read_csv(tables / "table7_protocols.csv")
    assert {*numbers["method"]} == {BASELINE, *(f"{BASELINE}-{name}" for name in [*NAMES, "pooled_types"])}
    cost = pd.read_csv(tables / "cost.csv").set_index("method")["trainings"]
    assert cost["all"] == 5 and f"{BASELINE}-padding_minimum" not in cost


def test_what_keeps_checkpoints_is_the_same_training(deviating: Checkout) -> None:
    baseline, keeping = (
        load_model(deviating.model(name) / "model.pt") for name in (BASELINE, f"{BASELINE}-checkpoints_3")
    )
    for name, value in baseline.network.state_dict().items():
        assert torch.equal(value, keeping.network.state_dict()[name]), name
    assert [one.step for one in keeping.snapshots] == [2, 4]


def test_mlflow_says_in_what_a_run_deviates(deviating: Checkout) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{deviating.root}/mlflow.db")
    experiment = client.get_experiment_by_name("smallest")
    assert experiment is not None
    runs = {run.data.tags["method"]: run for run in client.search_runs([experiment.experiment_id])}
    tags = {name.removeprefix(f"{BASELINE}-"): run.data.tags.get("protocol") for name, run in runs.items()}
    assert tags["no_penalty"] == f"{START}no penalty images" and tags["padding_minimum"] == f"{START}padding: minimum"
    assert tags[BASELINE] is None and tags["dfsc-tiny-q0.9"] is None
    again = runs[f"{BASELINE}-padding_minimum"]
    assert again.data.tags["paired_baseline"] == runs[BASELINE].info.run_id
    assert not [name for name in again.data.metrics if name.startswith("cost.")]
    names = {file.path for file in client.list_artifacts(again.info.run_id)}
    assert {"training.json", "metrics.json", "scores.csv"} <= names and "model" not in names


def test_status_knows_that_some_are_not_trained(deviating: Checkout) -> None:
    def shown() -> str:
        command = ["dfsc", "status", "--configfile", "tests/smallest.yaml", "protocols.yaml"]
        where = {"cwd": deviating.root, "env": deviating.environment}
        return subprocess.run(command, capture_output=True, text=True, check=True, **where).stdout  # type: ignore[call-overload,no-any-return]

    assert "7 models" in shown() and "7 done" in shown()
    cell = f"smallest/coin_tray/{BASELINE}-padding_minimum/seed0"
    (deviating.root / "results" / cell / "maps.npz").unlink()
    (deviating.root / "logs" / cell / "score.log").unlink()
    assert "6 done, 1 waiting" in shown() and "trainings:" not in shown()
