"""A method from outside through the real workflow, in shell and awk, beside some that fail, and both controls."""

import subprocess
from typing import Any

import pandas as pd
import pytest
import yaml

from support.checkout import Checkout, job_counts
from support.figures import check_figure
from support.outside_methods import IN_AWK, in_python, write_method
from support.plans import planning

AWK = {"label": "In awk", "command": "methods/awk/run", "seeds": False}
OVERLAY: dict[str, Any] = {"methods": {"awk": AWK}, "controls": ["random", "oracle"]}
WRONG = {
    "crash": "ended with exit code 1; its last lines: no weights.pt",
    "half": "test_0005.tiff: is missing; 4 of 9 test images have no map",
    "hang": "was stopped after 0.95 minutes, 95 % of its `runtime`, so that Slurm does not end the whole job",
}
CELLS = ("awk/seednone", "random/seed0", "oracle/seednone")


def run(checkout: Checkout, overlay: dict[str, Any]) -> "subprocess.CompletedProcess[str]":
    """Run the smallest configuration with this laid over it."""
    (checkout.root / "outside.yaml").write_text(yaml.safe_dump(overlay))
    return checkout.snakemake("--configfile", "tests/smallest.yaml", "outside.yaml")


@pytest.fixture(scope="module")
def outside(own_checkout: Checkout) -> Checkout:
    """The smallest benchmark, and then these methods; first beside some that fail."""
    write_method(own_checkout.root / "methods/awk", IN_AWK)
    in_python(own_checkout.root / "methods/crash", "sys.exit('no weights.pt')")
    in_python(own_checkout.root / "methods/half", "[save(image, random.random((3, 3))) for image in images[:5]]")
    in_python(own_checkout.root / "methods/hang", "print('epoch 1', flush=True); time.sleep(9999)")
    wrong = {name: {"label": name, "command": f"methods/{name}/run", "runtime": 1} for name in WRONG}
    failed = run(own_checkout, {**OVERLAY, "methods": {**wrong, "awk": AWK}})
    assert failed.returncode == 1 and "Error in rule run_method" in failed.stdout
    for name, told in WRONG.items():
        assert f"methods/{name}/run: {told}" in failed.stdout, failed.stdout
        assert not list((own_checkout.root / "results/smallest/coin_tray").glob(f"{name}/seed0/*"))
    for cell in CELLS:
        assert (own_checkout.root / "results/smallest/coin_tray" / cell / "run.json").exists(), (
            "the others are finished"
        )
    finished = run(own_checkout, OVERLAY)
    assert finished.returncode == 0, finished.stdout
    assert not {"train", "score", "run_method", "make_control"} & job_counts(finished).keys()
    return own_checkout


def test_all_stand_in_the_same_tables(outside: Checkout) -> None:
    tables = outside.root / "results/smallest/tables"
    runs = pd.read_csv(tables / "runs.csv").set_index("method")
    assert list(runs["seed"]) == ["0", "0", "none", "0", "none"]
    for name, value in runs.loc["oracle"].items():
        if str(name).startswith(("image_auroc", "au_spro")):
            assert value == pytest.approx(1, abs=1e-12) or pd.isna(value), name
    for table in ("table1_image_auroc", "table2_au_spro"):
        text = (tables / f"{table}.md").read_text()
        assert all(label in text for label in ("| EfficientAD-tiny", "| In awk", "| random (control)", "| oracle"))
        assert "Without seeds, so that one run is compared with each of the baseline's: In awk, oracle" in text
    shown = outside.root / "results/smallest"
    for figure in ("score_histograms_awk", "heatmaps_awk_coin_tray", "worst_oracle_coin_tray"):
        check_figure(shown / "figures" / figure)
    assert not (shown / "figures/novelty_awk_coin_tray.png").exists()


def test_mlflow_holds_them_with_the_same_metrics(outside: Checkout) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{outside.root}/mlflow.db")
    experiment = client.get_experiment_by_name("smallest")
    assert experiment is not None
    runs = {run.data.tags["method"]: run for run in client.search_runs([experiment.experiment_id])}
    ours, theirs = runs["efficientad-tiny"].data, runs["awk"].data
    assert {name for name in theirs.metrics if not name.startswith("difference.")} == {
        name for name in ours.metrics if not name.startswith("loss/")
    }
    assert theirs.tags["data_digest"] == ours.tags["data_digest"] and theirs.tags["seed"] == "none"
    assert theirs.tags["paired_baseline"] == runs["efficientad-tiny"].info.run_id
    assert theirs.params["command"] == "methods/awk/run" and "pretraining_images" not in theirs.tags
    names = {file.path for file in client.list_artifacts(runs["awk"].info.run_id)}
    assert {"method.json", "metrics.json", "scores.csv", "heatmaps.png", "curves"} <= names


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["status", "--configfile", "tests/smallest.yaml", "outside.yaml"], ["awk", "5 models", "5 done"]),
        (["show", "results/smallest"], ["In awk", "oracle (control)"]),
        (["compare", "results/smallest", "--method", "awk"], ["In awk against EfficientAD-tiny."]),
    ],
    ids=lambda value: value[0],
)
def test_commands_show_them(outside: Checkout, command: list[str], words: list[str]) -> None:
    shown = subprocess.run(
        ["dfsc", *command], cwd=outside.root, env=outside.environment, capture_output=True, text=True, check=True
    ).stdout
    assert all(word in " ".join(shown.split()) for word in words), shown


def test_an_edit_runs_this_method_again_and_no_other(outside: Checkout) -> None:
    with planning(outside) as planner:

        def planned(**methods: dict[str, Any]) -> dict[str, int]:
            return planner.counts("tests/smallest.yaml", **{**OVERLAY, "methods": methods})

        assert planned(awk=AWK) == {}
        added = planned(awk=AWK, other={"label": "Other", "command": "methods/crash/run"})
        assert added["run_method"] == added["evaluate"] == 1
        assert planned(awk={**AWK, "mem_mb": 123, "runtime": 2, "gpu": 1}) == {}
        command = outside.root / "methods/awk/run"
        command.write_text(command.read_text() + "# more\n")
        edited = planned(awk=AWK)
    assert edited["run_method"] == edited["evaluate"] == edited["track"] == 1
    assert not {"train", "score", "make_control", "manifest"} & edited.keys()
