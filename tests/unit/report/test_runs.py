"""What MLflow is told of a model that was really trained: every tag that runs are compared by, and its own times."""

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dfsc.data.layout import read_manifest, write_manifest
from dfsc.metrics.summary import metric_name
from dfsc.provenance import RECORDED_VERSIONS, code_digest
from dfsc.report.compare import SAME, runs_frame
from dfsc.report.paper import provenance
from dfsc.report.store import tracking_client
from dfsc.report.tracking import read_runs
from dfsc.settings.grid import Grid, Method
from support.command_line import dfsc
from support.prepared import Prepared

TRACKED = ("model.pt", "training.json", "training_curve.csv", "metrics.json", "scores.csv")
BASELINE = "efficientad-tiny"
INFERENCE = {"padding": "zero", "precision": "float32"}


@pytest.fixture(scope="module")
def model(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that `dfsc track` reads of a model."""
    folder = tmp_path_factory.mktemp("model")
    common = ["--dataset", prepared.dataset, "--category", prepared.category]
    maps = folder / "maps.npz"
    for arguments in (
        prepared.train_arguments(folder, steps=2),
        [
            *("score", "--model", folder / "model.pt", "--settings", json.dumps(INFERENCE), *common, "--maps", maps),
            *("--manifest", prepared.manifest(), "--scores", folder / "scores.csv", "--device", "cpu"),
        ],
        ["evaluate", *common, "--maps", maps, "--output", folder / "metrics.json"],
    ):
        outcome = dfsc(*arguments)
        assert outcome.code == 0, outcome.errors
    return folder


def track_arguments(folder: Path, uri: str) -> list[object]:
    """Arguments of `dfsc track`."""
    return [
        *("track", *(folder / name for name in TRACKED), "--uri", uri, "--experiment", "real"),
        *("--category", "coin_tray", "--method", BASELINE, "--output", folder / "run.json"),
    ]


@pytest.fixture(scope="module")
def uri(model: Path) -> str:
    """A store in which it is tracked, and its teacher."""
    uri = f"sqlite:///{model}/mlflow.db"
    outcome = dfsc(*track_arguments(model, uri))
    assert outcome.code == 0, outcome.errors
    return uri


def test_each_tag_that_runs_are_compared_by_is_recorded(model: Path, uri: str) -> None:
    runs = read_runs(uri, [model / "run.json"])
    (tags,) = (run["tags"] for run in runs)
    for name in (*SAME, "commit", "hardware", "teacher"):
        assert tags[name], name
    training = json.loads((model / "training.json").read_text())
    assert tags["code_digest"] == code_digest("train") and tags["penalty_digest"] == training["penalty_digest"]
    assert {f"version.{name}" for name in (*RECORDED_VERSIONS, "python")} <= tags.keys()
    assert {"scipy", "scikit-image", "dfsc"} <= set(RECORDED_VERSIONS)

    baseline = Method(BASELINE, "EfficientAD-tiny", "EfficientAD-tiny", BASELINE, "tiny")
    frame = runs_frame(runs, Grid("real", "generated", ["coin_tray"], [baseline], [0], []))
    shown = provenance(runs, frame)
    assert not (shown["value"] == "").any(), shown
    assert training["commit"] in set(shown["value"]) and training["teacher"] in set(shown["value"])


def test_a_run_on_other_images_is_another_run(model: Path, prepared: Prepared, tmp_path: Path) -> None:
    """Whichever of its manifests lists others, and in whatever order they are named."""
    uri, manifests = f"sqlite:///{tmp_path}/mlflow.db", [tmp_path / f"{name}.csv" for name in ("training", "test")]
    copied = Path(shutil.copytree(model, tmp_path / "model"))
    records = read_manifest(prepared.manifest())

    def tracked(*lengths: int, backwards: bool = False) -> tuple[str, str]:
        """Run and digest, of manifests of so many files."""
        for path, length in zip(manifests, lengths, strict=True):
            write_manifest(path, records[:length])
        named = [f"--manifest={path}" for path in (manifests[::-1] if backwards else manifests)]
        outcome = dfsc(*track_arguments(copied, uri), *named)
        assert outcome.code == 0, outcome.errors
        (run,) = read_runs(uri, [copied / "run.json"])
        return run["run_id"], run["tags"]["data_digest"]

    first = tracked(3, 4)
    assert tracked(3, 4) == tracked(3, 4, backwards=True) == first
    others = [tracked(2, 4), tracked(3, 5)]
    assert len({run for run, _ in (first, *others)}) == len({digest for _, digest in (first, *others)}) == 3
    with tracking_client(uri) as client:
        experiment = client.get_experiment_by_name("real")
        assert experiment is not None
        kept = {run.info.run_id for run in client.search_runs([experiment.experiment_id])}
    assert kept == {run for run, _ in (first, *others)}, "none replaced another"


def test_a_run_lasts_as_long_as_its_training(model: Path, uri: str) -> None:
    training = json.loads((model / "training.json").read_text())
    with tracking_client(uri) as client:
        info = client.get_run(json.loads((model / "run.json").read_text())["run_id"]).info
    finished = datetime.fromisoformat(training["finished"]).astimezone(UTC)
    assert info.end_time == finished.timestamp() * 1000
    assert info.end_time - info.start_time == pytest.approx(1000 * training["seconds"], abs=2000)


def test_a_start_that_was_recorded_is_the_runs_start(model: Path, uri: str, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(model, tmp_path / "model"))
    training = json.loads((copied / "training.json").read_text())
    training |= {"started": "2026-03-01T10:00:00Z", "finished": "2026-03-02T12:00:00Z", "fingerprint": "f" * 64}
    (copied / "training.json").write_text(json.dumps(training))
    assert dfsc(*track_arguments(copied, uri)).code == 0
    with tracking_client(uri) as client:
        info = client.get_run(json.loads((copied / "run.json").read_text())["run_id"]).info
    assert info.start_time == datetime(2026, 3, 1, 10, tzinfo=UTC).timestamp() * 1000
    assert info.end_time - info.start_time == 26 * 3600 * 1000


def without(name: str) -> Callable[[str], str]:
    return lambda text: json.dumps({key: value for key, value in json.loads(text).items() if key != name})


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("training.json", lambda text: text[:99]),
        ("training.json", lambda text: ""),
        ("training.json", without("teacher_digest")),
        ("training.json", without("finished")),
        ("training.json", lambda text: "[]"),
        ("metrics.json", lambda text: text[: len(text) // 2]),
        ("metrics.json", without("localization")),
        ("training_curve.csv", lambda text: text[:-3]),
        ("training_curve.csv", lambda text: text.replace("1", "x")),
        ("training_curve.csv", lambda text: "".join(text.splitlines(keepends=True)[:-1])),  # of fewer steps
    ],
)
def test_a_file_cut_short_or_damaged_is_named(
    model: Path, uri: str, tmp_path: Path, file: str, damage: Callable[[str], str]
) -> None:
    copied = Path(shutil.copytree(model, tmp_path / "model"))
    (copied / "run.json").unlink()
    (copied / file).write_text(damage((copied / file).read_text()))
    outcome = dfsc(*track_arguments(copied, uri))
    assert outcome.code == 2 and outcome.errors.count("\n") == 1, outcome.errors
    assert f"{copied / file}: " in outcome.errors and "delete it and run the workflow again" in outcome.errors
    assert not (copied / "run.json").exists()


@pytest.mark.parametrize("file", ["training.json", "training_curve.csv", "metrics.json"])
def test_a_file_that_is_not_named_is_asked_for(model: Path, uri: str, tmp_path: Path, file: str) -> None:
    arguments = [argument for argument in track_arguments(model, uri) if argument != model / file]
    outcome = dfsc(*arguments[:-1], tmp_path / "run.json")
    assert outcome.code == 2 and outcome.errors.count("\n") == 1, outcome.errors
    assert f"{file}: is not among the files to track" in outcome.errors
    assert not (tmp_path / "run.json").exists()


def test_a_second_file_of_one_name_is_refused(model: Path, uri: str, tmp_path: Path) -> None:
    shutil.copy(model / "scores.csv", tmp_path / "scores.csv")
    outcome = dfsc(*track_arguments(model, uri), tmp_path / "scores.csv", "--output", tmp_path / "run.json")
    assert outcome.code == 2 and outcome.errors.count("\n") == 1, outcome.errors
    assert "scores.csv: is a second file of that name" in outcome.errors
    assert not (tmp_path / "run.json").exists()


def test_a_defect_of_any_name_can_be_tracked(model: Path, uri: str, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(model, tmp_path / "model"))
    metrics = json.loads((copied / "metrics.json").read_text())
    of_type = metrics["localization"]["auc_spro_per_defect"]["logical_anomalies"]
    names = ["cut & bent", "cut _x26_ bent", "100 % <new>", "a/../b", "Röhre #2", "."]
    of_type |= {name: {"0.05": 0.5 + number / 100} for number, name in enumerate(names)}
    (copied / "metrics.json").write_text(json.dumps(metrics))
    outcome = dfsc(*track_arguments(copied, uri))
    assert outcome.code == 0, outcome.errors
    (run,) = read_runs(uri, [copied / "run.json"])
    tracked = [run["metrics"][f"au_spro_0.05.logical_anomalies.{metric_name(name)}"] for name in names]
    assert tracked == [0.5 + number / 100 for number in range(len(names))]
