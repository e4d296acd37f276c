"""A trained model's files, gathered into what MLflow is told of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from dfsc.config import quantile_of
from dfsc.files import digest_of, read_json, sha256_of, write_json
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


RECORDED = ("commit", "teacher_digest", "model_digest", "pretraining_images", "teacher", "hardware")


def track_model(
    folder: Path, uri: str, experiment: str, category: str, method: str, receipt: Path, manifests: Sequence[Path] = ()
) -> None:
    """Track the model in `folder` (model.pt, training.json, training_curve.csv, metrics.json) and write its receipt.

    `manifests`: of all that the model was trained and judged on; without, the run names its training's alone.
    """
    training, measured = read_json(folder / "training.json"), read_json(folder / "metrics.json")
    settings = training["settings"]
    size, seed = settings["size"], settings["seed"]
    metrics = flat_metrics(measured)
    data_digest = digest_of(sorted(map(sha256_of, manifests))) if manifests else training["data_digest"]
    # Tells runs of one grid cell under changed settings, or on changed test images, apart.
    made_from = digest_of([training["fingerprint"], data_digest])
    key = f"{experiment}/{size}/{category}/{method}/seed{seed}/{made_from[:12]}"
    quantile = quantile_of(method)
    tags = {
        "benchmark": experiment,
        "category": category,
        "method": method,
        "quantile": "" if quantile is None else str(quantile),
        "seed": str(seed),
        "size": size,
        **{name: str(training[name]) for name in RECORDED},
        "data_digest": data_digest,
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
    made = read_json(teacher.with_suffix(".json"))
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
    return {name: float(made[name]) for name in ("seconds", "gpu_seconds", "peak_memory_bytes")}


def _read_curve(path: Path) -> list[dict[str, float]]:
    curve = pd.read_csv(path)
    return [dict(zip(curve.columns, map(float, row), strict=True)) for row in curve.itertuples(index=False)]


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
