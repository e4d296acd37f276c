"""Folders of one's own images by configuration alone, through the whole workflow; what they lack is not measured."""

import hashlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from dfsc.data.arranging import split_of
from dfsc.report.tables import NOT_MEASURED
from dfsc.settings.own_images import SplitSettings
from support.checkout import Checkout
from support.command_line import dfsc
from support.figures import check_figure
from support.plans import Planner, planning
from support.small_sets import picture

METHODS = ("efficientad-tiny", "dfsc-tiny-q0.9")
FIGURES = ("heatmaps", "worst", "novelty", "novelty_over_training")
SPRO = "au_spro_0.05"
# Of each category, what can be measured: an image AUROC, and an AU-sPRO.
MEASURED = {
    "unmasked": ({"logical_anomalies", "untyped_anomalies", "mean"}, set[str]()),
    "spotted": ({"structural_anomalies", "mean"}, {"structural_anomalies", "mean"}),
    "good_only": (set[str](), set[str]()),
}


class Photos:
    """A checkout beside photographs of three parts, and the configuration that says where they are."""

    def __init__(self, root: Path, checkout: Checkout, planner: Planner) -> None:
        self.checkout, self.planner = checkout, planner
        self.folder, self.random = root / "photos", np.random.default_rng(0)
        good = {part: self.photographs(f"{part}/good", 14) for part in MEASURED}
        bad: dict[str, dict[str, Any]] = {
            "unmasked": {
                "gone": {"images": self.photographs("unmasked/gone", 2, "logical"), "type": "logical"},
                "other": {"images": self.photographs("unmasked/other", 2, "structural")},
            },
            "spotted": {
                "spot": {
                    "images": self.photographs("spotted/spot", 2, "structural"), "type": "structural",
                    "masks": str(self.folder / "spotted/spot masks"),
                }
            },
        }  # fmt: skip
        friday = self.photographs("good_only/friday", 2)
        images: dict[str, dict[str, Any]] = {
            part: {"good": [good[part]], "bad": bad.get(part, {}), "test_good": [friday] * (part == "good_only")}
            for part in MEASURED
        }
        self.settings = yaml.safe_load((self.checkout.root / "tests/smallest.yaml").read_text()) | {
            "benchmark": "own",
            "dataset": {
                "source": "images", "folder": "data/arranged", "categories": list(MEASURED), "images": images,
                "split": {"validation": 0.3, "test": 0.3, "seed": 0}, "mask_threshold": 128,
            },
            "pretraining": {"images": "other", "folder": good["good_only"]},
        }  # fmt: skip
        self.configure()

    def photographs(self, name: str, number: int, defect: str = "") -> str:
        """A folder of JPEGs, of names that need quotes; and beside it, one of soft masks."""
        folder = self.folder / name
        for path in (folder, folder.with_name(f"{folder.name} masks")):
            path.mkdir(parents=True)
        for count in range(number):
            pixels, mask = picture(self.random, defect)
            file = folder / f"part 7, {count}.JPG"
            Image.fromarray(pixels).save(file, quality=95)
            soft = Image.fromarray(np.uint8(255) * mask).resize((50, 50)).resize((64, 64), Image.Resampling.BILINEAR)
            soft.save(folder.with_name(f"{folder.name} masks") / f"{file.stem}.png")
        return str(folder)

    def configure(self) -> None:
        """Write the configuration."""
        (self.checkout.root / "own.yaml").write_text(yaml.safe_dump(self.settings))

    def planned(self) -> dict[str, int]:
        """What would run now: rule -> jobs."""
        return self.planner.counts("own.yaml")

    @property
    def results(self) -> Path:
        """Where the results are."""
        return self.checkout.root / "results/own"


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Photos]:
    root = tmp_path_factory.mktemp("own")
    checkout = Checkout.new(root / "checkout", quick=True)
    with planning(checkout) as planner:
        photos = Photos(root, checkout, planner)
        run = checkout.snakemake("--configfile", "own.yaml")
        assert run.returncode == 0, run.stdout
        yield photos


def test_what_can_be_measured_is(photos: Photos) -> None:
    runs = pd.read_csv(photos.results / "tables/runs.csv")
    comparison = pd.read_csv(photos.results / "tables/comparison.csv")
    for category, measured in MEASURED.items():
        for metric, names in zip(("image_auroc", SPRO), measured, strict=True):
            rows = comparison[(comparison["metric"] == metric) & (comparison["category"] == category)]
            assert {(row.method, row.anomaly_type) for row in rows.itertuples()} == {
                (method, name) for method in METHODS for name in names
            }
            for name in names:
                assert runs.loc[runs["category"] == category, f"{metric}.{name}"].between(0, 1).all()
        metrics = json.loads((photos.results / category / METHODS[0] / "seed0/metrics.json").read_text())
        assert set(metrics["classification"]["auc_roc"]) == measured[0]
        assert set(metrics["localization"]["auc_spro"]) == measured[1]


def test_tables_say_what_is_not_measured(photos: Photos, capsys: pytest.CaptureFixture[str]) -> None:
    columns = ("logical", "structural", "untyped", "mean")
    for table, place, lacking in (
        ("table1_image_auroc", 0, "unmasked has no structural anomalies; spotted has no logical anomalies; spotted has "
         "no untyped anomalies; good_only has no anomalous images: this is not measured."),
        ("table2_au_spro", 1, "unmasked has no masks; good_only has no masks: this is not measured."),
    ):  # fmt: skip
        text = (photos.results / f"tables/{table}.md").read_text()
        assert lacking in text
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
        lines = [dict(zip(rows[0], row, strict=True)) for row in rows[2:]]
        for category, measured in MEASURED.items():
            baseline = next(line for line in lines if line["category"] == category)
            shown = {name.removesuffix("_anomalies") for name in measured[place]}
            for column in columns:
                if column in baseline:
                    assert (baseline[column] != NOT_MEASURED) == (column in shown), (category, column)
                else:
                    assert column not in {
                        name.removesuffix("_anomalies") for of in MEASURED.values() for name in of[place]
                    }
    # So few images validate that no rate can be promised; and `good_only` has no anomaly to be missed.
    points = pd.read_csv(photos.results / "tables/table5_operating_points.csv")
    assert points["wrong"].isna().all() and (points["validation"] < 9).all()
    text = (photos.results / "tables/table5_operating_points.md").read_text()
    assert "not promised: " in text and NOT_MEASURED in text
    defects = pd.read_csv(photos.results / "tables/table6_defects.csv")
    assert set(defects["category"]) == {"spotted"} and set(defects["defect"]) == {"spot"}
    assert dfsc("show", photos.results, "--operating-points").code == 0
    assert "not promised: " in capsys.readouterr().out
    for name in ("table3_quantiles", "table4_readings"):
        assert NOT_MEASURED in (photos.results / f"tables/{name}.html").read_text()
    assert dfsc("show", photos.results).code == 0
    printed = capsys.readouterr().out
    assert NOT_MEASURED in printed and "good_only has no anomalous images" in printed


def test_mlflow_says_what_is_not_measured(photos: Photos) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{photos.checkout.root}/mlflow.db")
    experiment = client.get_experiment_by_name("own")
    assert experiment is not None
    for run in client.search_runs([experiment.experiment_id]):
        auroc, spro = MEASURED[run.data.tags["category"]]
        told = set(run.data.tags["not_measured"].split(", "))
        for metric, names in (("image_auroc", auroc), (SPRO, spro)):
            for name in ("logical_anomalies", "structural_anomalies", "mean"):
                assert (
                    (f"{metric}.{name}" in told) == (name not in names) == (f"{metric}.{name}" not in run.data.metrics)
                )


def test_every_figure_is_drawn(photos: Photos) -> None:
    for name in ("auroc_over_quantile_efficientad-tiny", "score_histograms_dfsc-tiny-q0.9"):
        check_figure(photos.results / "figures" / name)
    for figure in FIGURES:
        for category in MEASURED:
            check_figure(photos.results / f"figures/{figure}_dfsc-tiny-q0.9_{category}")
    for category in MEASURED:
        check_figure(photos.results / category / METHODS[0] / "seed0/curves")


def test_splits_are_in_the_manifests_and_nothing_is_copied(photos: Photos) -> None:
    for category in MEASURED:
        manifest = photos.results / f"manifests/{category}"
        listed = [
            line.split(",")[0].strip('"') for part in ("training", "test") for line in (manifest / f"{part}.csv").open()
        ]
        assert any(path.startswith("validation/good/part 7") for path in listed)
    image = photos.checkout.root / "data/arranged/spotted/test/structural_anomalies/spot_part 7, 0.JPG"
    assert image.samefile(photos.folder / "spotted/spot/part 7, 0.JPG")
    friday = photos.checkout.root / "data/arranged/good_only/test/good"
    assert sorted(file.name for file in friday.iterdir()) == ["part 7, 0.JPG", "part 7, 1.JPG"]


def test_only_what_changed_runs_again(photos: Photos) -> None:
    for image in photos.folder.rglob("*"):
        image.touch()
    assert photos.planned() == {}
    moved = photos.folder.rename(photos.folder.with_name("moved"))
    before = yaml.safe_dump(photos.settings)
    try:
        photos.settings = yaml.safe_load(before.replace(str(photos.folder), str(moved)))
        photos.settings["pretraining"]["folder"] = str(moved / "good_only/good")
        photos.configure()
        assert photos.planned() == {}, "folders may move"
        photos.settings["dataset"]["images"]["unmasked"]["bad"]["gone"]["type"] = "structural"
        photos.configure()
        planned = photos.planned()
        assert (planned["arrange"], planned["manifest"], planned["score"]) == (1, 2, 2) and "train" not in planned
    finally:
        moved.rename(photos.folder)
        photos.settings = yaml.safe_load(before)
        photos.configure()


def test_a_folder_that_is_not_there_is_named_before_anything_runs(photos: Photos) -> None:
    settings = yaml.safe_load(yaml.safe_dump(photos.settings)) | {"benchmark": "mistyped"}
    settings["dataset"]["images"]["spotted"]["good"] = [str(photos.folder / "spotted/goood")]
    (photos.checkout.root / "mistyped.yaml").write_text(yaml.safe_dump(settings))
    run = photos.checkout.snakemake("--configfile", "mistyped.yaml")
    said = f"dfsc: {photos.folder}/spotted/goood: no such folder; correct dataset.images.spotted.good.0\n"
    assert run.returncode == 2 and said in run.stdout
    assert not (photos.checkout.root / "logs/mistyped").exists()


def test_an_image_that_cannot_be_read_is_named_again_at_the_end(photos: Photos) -> None:
    """Its category is not trained, which `dfsc status` says; others go on."""
    settings = yaml.safe_load(yaml.safe_dump(photos.settings)) | {"benchmark": "cut"}
    settings["dataset"]["folder"] = "data/cut"
    cut = photos.folder / "spotted/spot/part 7, 0.JPG"
    before = cut.read_bytes()
    configuration = photos.checkout.root / "cut.yaml"
    configuration.write_text(yaml.safe_dump(settings))
    lists = [f"results/cut/manifests/{category}/test.csv" for category in ("spotted", "unmasked")]
    try:
        cut.unlink()
        cut.write_bytes(before[: len(before) // 2])
        run = photos.checkout.snakemake("--configfile", "cut.yaml", "--", *lists)
    finally:
        cut.unlink()
        cut.write_bytes(before)
    assert run.returncode == 1
    assert [(photos.checkout.root / name).exists() for name in lists] == [False, True]
    said = "dfsc: data/cut/spotted/test/structural_anomalies/spot_part 7, 0.JPG: cannot be read as an image"
    after_all_jobs = run.stdout.rpartition("Exiting because a job execution failed")[2]
    assert said in after_all_jobs, run.stdout
    command, where = ["dfsc", "status", "--configfile", "cut.yaml"], photos.checkout
    status = subprocess.run(command, cwd=where.root, env=where.environment, capture_output=True, text=True, check=True)
    assert status.stdout.count(said) == 1 and "failed" in status.stdout and "waiting" in status.stdout


@pytest.mark.parametrize(
    ("changed", "goes_to", "rerun", "kept"),
    [
        ("spotted/spot masks/part 7, 0.png", "", {"arrange": 1, "manifest": 1, "evaluate": 2}, {"train", "score"}),
        ("unmasked/gone/new.JPG", "", {"arrange": 1, "manifest": 2, "score": 2, "evaluate": 2}, {"train"}),
        ("good_only/friday/part 7, 0.JPG", "", {"arrange": 1, "manifest": 2, "score": 2, "evaluate": 2}, {"train"}),
        ("spotted/good/new.JPG", "test/good", {"arrange": 1, "manifest": 2, "score": 2, "evaluate": 2}, {"train"}),
        ("spotted/good/new.JPG", "train/good", {"arrange": 1, "manifest": 1, "train": 2, "score": 2}, set()),
    ],
)
def test_a_changed_or_added_image_reruns_what_reads_it(
    photos: Photos, changed: str, goes_to: str, rerun: dict[str, int], kept: set[str]
) -> None:
    file, split = photos.folder / changed, SplitSettings(**photos.settings["dataset"]["split"])
    before = file.read_bytes() if file.exists() else b""

    def place_of(content: bytes) -> str:
        shares = {"validation/good": split.validation, "test/good": split.test}
        return split_of(hashlib.sha256(content).hexdigest(), shares, split.seed)

    contents = (before + bytes([number]) for number in range(100))
    try:
        file.write_bytes(next(content for content in contents if goes_to in ("", place_of(content))))
        planned = photos.planned()
    finally:
        file.write_bytes(before) if before else file.unlink()
    assert rerun.items() <= planned.items() and not kept & planned.keys()
    assert photos.planned() == {}
