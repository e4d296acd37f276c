"""A trained model's files, gathered into what MLflow is told of it."""

import csv
from pathlib import Path
from typing import Any

from dfsc.config import quantile_of
from dfsc.files import MADE_ANEW, read_json, read_lines, read_record, reading, write_json
from dfsc.tracking import TrackedRun, track_run

ARTIFACT_FILES = {
    "model.pt": "model",
    "training.json": "",
    "training_curve.csv": "",
    "scores.csv": "",
    "metrics.json": "",
    "curves.csv": "curves",
    "curves.png": "curves",
    "heatmaps.png": "",
}


TRAINING = "the record of a training"
COSTS = ("seconds", "gpu_seconds", "peak_memory_bytes")
RECORDED = ("commit", "data_digest", "teacher_digest", "model_digest", "pretraining_images", "teacher", "hardware")


def track_model(folder: Path, uri: str, experiment: str, category: str, method: str, receipt: Path) -> None:
    """Track the model in `folder` (model.pt, training.json, training_curve.csv, metrics.json) and write its receipt."""
    training = read_record(folder / "training.json", TRAINING, ("settings", "fingerprint", "code", *RECORDED, *COSTS))
    settings = training["settings"]
    size, seed = settings["size"], settings["seed"]
    with reading(folder / "metrics.json", "metrics of `dfsc evaluate`", MADE_ANEW):
        metrics = flat_metrics(read_json(folder / "metrics.json"))
    # The model's fingerprint tells runs of one grid cell under changed settings apart.
    key = f"{experiment}/{size}/{category}/{method}/seed{seed}/{training['fingerprint'][:12]}"
    quantile = quantile_of(method)
    tags = {
        "benchmark": experiment,
        "category": category,
        "method": method,
        "quantile": "" if quantile is None else str(quantile),
        "seed": str(seed),
        "size": size,
        **{name: str(training[name]) for name in RECORDED},
        "code_digest": str(training["code"]),
        **{f"version.{name}": value for name, value in training["versions"].items()},
    }
    run = TrackedRun(
        name=f"{category} {method} seed{seed} {size}",
        key=key,
        tags=tags,
        parameters=_flat(settings),
        curve=_read_curve(folder / "training_curve.csv"),
        metrics=metrics,
        artifacts={folder / name: target for name, target in ARTIFACT_FILES.items() if (folder / name).exists()},
        costs=costs_of(training),
    )
    write_json(receipt, track_run(uri, experiment, run))


def track_teacher(teacher: Path, uri: str, benchmark: str, receipt: Path) -> None:
    """Track a pretrained teacher, with its loss curve, in an experiment beside the benchmark's; write its receipt."""
    made = read_record(teacher.with_suffix(".json"), TRAINING, ("settings", "fingerprint", "digest", *COSTS))
    size, curve = made["settings"]["size"], _read_curve(teacher.with_suffix(".csv"))
    run = TrackedRun(
        name=f"teacher {size}",
        key=f"{benchmark}/{size}/teacher/{made['fingerprint'][:12]}",
        tags={name: str(made[name]) for name in ("teacher", "digest", "commit", "hardware")},
        parameters=_flat(made["settings"]),
        curve=curve,
        metrics={"distillation": curve[-1]["distillation"]},
        artifacts={teacher: "model", teacher.with_suffix(".json"): ""},
        costs=costs_of(made),
    )
    write_json(receipt, track_run(uri, f"{benchmark}-teachers", run))


def costs_of(made: dict[str, Any]) -> dict[str, float]:
    """What a training cost: seconds, interrupted attempts included, those on a GPU, and the largest memory held."""
    return {name: float(made[name]) for name in COSTS}


def _read_curve(path: Path) -> list[dict[str, float]]:
    with reading(path, "a training curve", MADE_ANEW):
        rows = csv.DictReader(read_lines(path).splitlines())
        curve = [{name: float(value) for name, value in row.items()} for row in rows]
        if not curve or not all("step" in row for row in curve):
            raise ValueError("it has no step")
        return curve


def flat_metrics(measured: dict[str, Any]) -> dict[str, float]:
    """metrics.json under the names that MLflow and the tables use: 'image_auroc.mean', 'au_spro_0.05.mean'..."""
    flat = {f"image_auroc.{name}": value for name, value in measured["classification"]["auc_roc"].items()}
    for name, by_limit in measured["localization"]["auc_spro"].items():
        flat |= {f"au_spro_{limit}.{name}": value for limit, value in by_limit.items()}
    for kind, defects in measured["localization"]["auc_spro_per_defect"].items():
        flat |= {f"au_spro_0.05.{kind}.{defect}": by_limit["0.05"] for defect, by_limit in defects.items()}
    return flat


def _flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat
