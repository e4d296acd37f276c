"""The real workflow on generated data, from nothing to tables; and what an edit reruns."""

import json
import shutil
import subprocess
import sys

import pandas as pd
import pytest
import yaml
from checkout import Checkout, job_counts

METHODS = ("efficientad", "dfsc-q0.9")


def test_the_papers_grid_is_one_training_per_category_method_and_seed(checkout: Checkout) -> None:
    counts = job_counts(checkout.snakemake("--dry-run"))
    assert counts["train"] == counts["score"] == counts["evaluate"] == counts["track"] == 5 * 7 * 3
    assert counts["pretrain_teacher"] == counts["tables"] == 1
    assert counts["manifest"] == 5


def test_tables_and_figures_are_there(checkout: Checkout) -> None:
    results = checkout.root / "results/smallest"
    runs = pd.read_csv(results / "tables/runs.csv")
    assert sorted(runs["method"]) == sorted(METHODS)
    for method in METHODS:
        measured = json.loads((checkout.model(method) / "metrics.json").read_text())
        tabled = runs[runs["method"] == method].iloc[0]
        assert tabled["image_auroc.mean"] == measured["classification"]["auc_roc"]["mean"]
    figures = [f"{name}_tiny" for name in ("auroc_over_quantile", "score_histograms")]
    shown = ("heatmaps", "worst", "novelty", "novelty_over_training")
    for name in (*figures, *(f"{name}_tiny_coin_tray" for name in shown)):
        for ending in ("pdf", "png"):
            assert (results / f"figures/{name}.{ending}").stat().st_size > 1000
    assert "generated (6 images)" in (results / "tables/table1_image_auroc.md").read_text()


def test_mlflow_holds_one_finished_run_per_model(checkout: Checkout) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{checkout.root}/mlflow.db")
    experiment = client.get_experiment_by_name("smallest")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert {run.data.tags["method"] for run in runs} == set(METHODS) and len(runs) == 2
    for run in runs:
        assert run.info.status == "FINISHED"
        assert run.data.tags["pretraining_images"] == "generated (6 images)"
        assert {"commit", "data_digest", "teacher_digest", "seed", "size", "category"} <= run.data.tags.keys()
        assert run.data.params["steps"] == "5"
        assert len(client.get_metric_history(run.info.run_id, "loss/hard")) == 5
        names = {file.path for file in client.list_artifacts(run.info.run_id)}
        assert {"model", "training.json", "heatmaps.png", "curves"} <= names


def test_show_prints_the_tables_and_where_things_are(checkout: Checkout) -> None:
    shown = subprocess.run(
        ["dfsc", "show", "results/smallest"],
        cwd=checkout.root,
        env=checkout.environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for word in ("EfficientAD", "DFSC τ'=0.9", "coin_tray", "mlflow ui --backend-store-uri", "results/smallest/tables"):
        assert word in shown


def test_a_second_run_executes_nothing(checkout: Checkout) -> None:
    run = checkout.smallest()
    assert run.returncode == 0 and "Nothing to be done" in run.stdout


@pytest.mark.parametrize(
    ("section", "key", "value", "rerun", "kept"),
    [
        ("dfsc", "margin", 2.0, {"train": 1}, {"pretrain_teacher", "manifest", "synthesize"}),
        ("training", "steps", 6, {"train": 2}, {"pretrain_teacher", "manifest", "synthesize"}),
        ("inference", "padding", "minimum", {"score": 2, "evaluate": 2}, {"train", "pretrain_teacher"}),
        ("tracking", "uri", "sqlite:///other.db", {"track": 2}, {"train", "score", "evaluate"}),
        ("teacher", "steps", 3, {"pretrain_teacher": 1, "train": 2}, {"manifest", "synthesize"}),
    ],
)
def test_a_changed_key_reruns_what_depends_on_it(
    checkout: Checkout, section: str, key: str, value: object, rerun: dict[str, int], kept: set[str]
) -> None:
    file = checkout.root / "tests/smallest.yaml"
    before = file.read_text()
    config = yaml.safe_load(before)
    config.setdefault(section, {})[key] = value
    try:
        file.write_text(yaml.safe_dump(config))
        planned = checkout.planned()
    finally:
        file.write_text(before)
    assert rerun.items() <= planned.items()
    assert not kept & planned.keys()


@pytest.mark.parametrize(
    ("module", "old", "new", "rerun"),
    [
        ("losses", "import math\n", "import math  # for ceil\n\n", set()),
        ("losses", '"""The losses.', '"""All losses.', set()),
        ("losses", "student.square().mean()", "student.abs().mean()", {"train", "score", "evaluate", "track"}),
        ("tables", " ± {100", " +- {100", {"tables", "draw_sweep", "draw_histograms"}),
        ("maps", "PADDING = 4", "PADDING = 5", {"score", "evaluate"}),
    ],
)
def test_an_edit_of_code_reruns_the_results_it_shapes(
    checkout: Checkout, module: str, old: str, new: str, rerun: set[str]
) -> None:
    file = checkout.root / f"dfsc/{module}.py"
    before = file.read_text()
    assert old in before
    try:
        file.write_text(before.replace(old, new, 1))
        planned = checkout.planned()
    finally:
        file.write_text(before)
    assert rerun <= planned.keys() if rerun else planned == {}
    assert "pretrain_teacher" not in planned and "synthesize" not in planned


def test_nothing_keeps_a_cluster_job_after_its_work(checkout: Checkout) -> None:
    inside = ["--cores", "1", "--configfile", "tests/smallest.yaml", "--mode", "remote", "--force", "--nolock"]
    program = f"""
import sys, threading
from snakemake.cli import main
try:
    main({[*inside, "--target-jobs", "index_pretraining:"]})
except SystemExit as end:
    timers = [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
    print("ended", end.code, "with timers", timers)
"""
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=checkout.root, env=checkout.environment, capture_output=True, text=True
    )
    assert "ended 0 with timers []" in run.stdout, run.stdout + run.stderr


@pytest.mark.parametrize(
    ("text", "named"), [("training: {stepps: 3}", "stepps"), ("dataset: {categories: [pushpin]}", "pushpin")]
)
def test_a_wrong_configuration_is_one_line(checkout: Checkout, text: str, named: str) -> None:
    (checkout.root / "wrong.yaml").write_text(text)
    run = checkout.smallest("wrong.yaml")
    complaints = [line for line in run.stdout.splitlines() if line.startswith("dfsc: ")]
    assert run.returncode != 0 and "Traceback" not in run.stdout
    assert len(complaints) >= 1 and named in complaints[0], run.stdout
    if named == "stepps":
        assert run.returncode == 2


def test_everything_again_gives_the_same_bits(checkout: Checkout) -> None:
    kept = ("metrics.json", "scores.csv", "model.pt", "training_curve.csv", "maps.npz")
    before = {method: [(checkout.model(method) / name).read_bytes() for name in kept] for method in METHODS}
    shutil.rmtree(checkout.root / "results")
    shutil.rmtree(checkout.root / "mlartifacts")
    (checkout.root / "mlflow.db").unlink()
    run = checkout.smallest()
    assert run.returncode == 0, run.stdout
    for method in METHODS:
        for name, content in zip(kept, before[method], strict=True):
            assert (checkout.model(method) / name).read_bytes() == content, f"{method}: {name}"
