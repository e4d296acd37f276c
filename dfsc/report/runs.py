"""A trained model's files, gathered into what MLflow is told of it."""

import csv
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from dfsc.data.layout import LOCO_TYPES, read_manifest
from dfsc.errors import UserError
from dfsc.files import MADE_ANEW, digest_of, read_json, read_lines, reading, sha256_of, write_json
from dfsc.metrics.summary import HEADLINE_METRICS, flat_metrics
from dfsc.report.tracking import TrackedRun, track_run
from dfsc.settings.grid import CELL_FILES, Cell, teacher_path
from dfsc.settings.training import INACTIVE_BELOW, INSIDE_MARGIN, NOVEL_THRESHOLD

ARTIFACT_FOLDERS = {"model.pt": "model", "curves.csv": "curves", "curves.png": "curves"}  # in MLflow; others: the top
RECORD, CURVE = CELL_FILES["train"]["record"], CELL_FILES["train"]["curve"]
OUTSIDE_RECORD = CELL_FILES["run_method"]["method_record"]
METRICS = CELL_FILES["evaluate"]["metrics"]
# Keys of a record that each run has as tags, by the record's file.
RECORDED = {
    RECORD: (
        *("commit", "teacher_digest", "penalty_digest", "model_digest"),
        *("pretraining_images", "teacher", "hardware"),
    ),
    OUTSIDE_RECORD: ("commit", "hardware"),
}
SHARE_INSIDE = f"constraint.{INSIDE_MARGIN}"  # metric of a run; and its tag `constraint`:
ACTIVE, INACTIVE = "active", "inactive"
TEACHER = "the record of a teacher"
COSTS = ("seconds", "gpu_seconds", "peak_memory_bytes")


def track_model(
    files: Sequence[Path],
    uri: str,
    experiment: str,
    category: str,
    method: str,
    receipt: Path,
    manifests: Sequence[Path] = (),
    protocol: str = "",
) -> None:
    """Track the cell that `files` are of: training.json and training_curve.csv, or method.json; and metrics.json.

    All of them become the run's artifacts; `receipt` is written. `manifests`: of all that the model was trained and
    judged on; without, the run names its training's alone. `protocol`: in what the method deviates from the published
    protocol, if it does: the run's tag says so. Without model.pt among the files, another run has the training's costs.
    Raises UserError naming a file that is missing or damaged, and as `track_run` does.
    """
    by_name = {path.name: path for path in files}
    if twice := [path for path in files if by_name[path.name] != path]:
        raise UserError(f"{twice[0]}: is a second file of that name; a run holds one")
    record = OUTSIDE_RECORD if OUTSIDE_RECORD in by_name else RECORD
    if missing := [name for name in (record, *([CURVE] * (record == RECORD)), METRICS) if name not in by_name]:
        raise UserError(f"{missing[0]}: is not among the files to track; name it too")
    path, what = by_name[record], "the record of a training, or of a run"
    made = read_json(path, what, MADE_ANEW)
    with reading(path, what, MADE_ANEW):
        settings = made["settings"]
        cell = Cell(category, method, settings["seed"])
        quantile = str(settings["dfsc"]["quantile"]) if settings.get("dfsc") else ""
        data_digest = _data_digest(manifests) if manifests else str(made["data_digest"])
        # Tells runs of one grid cell under changed settings, or on changed test images, apart.
        made_from = digest_of([made["fingerprint"], data_digest])
        key = f"{experiment}/{cell.path}/{made_from[:12]}"
        tags = {
            "benchmark": experiment,
            "category": category,
            "method": method,
            "quantile": quantile,
            "seed": str(cell.seed),
            "size": settings["size"] if record == RECORD else "",
            **{name: str(made[name]) for name in RECORDED[record]},
            "data_digest": data_digest,
            "code_digest": str(made["code"]),
            **{f"version.{name}": value for name, value in (_versions(made) if record == RECORD else {}).items()},
        }
        if protocol:
            tags["protocol"] = protocol
        costs = costs_of(made) if record == OUTSIDE_RECORD or CELL_FILES["train"]["model"] in by_name else {}
        times, parameters = _times(made), _flat(settings)
        curve = read_curve(by_name[CURVE], settings["steps"]) if record == RECORD else []
        acted = _constraint(curve) if settings.get("dfsc") else {}
        if acted:
            tags["constraint"] = ACTIVE if acted[SHARE_INSIDE] >= INACTIVE_BELOW else INACTIVE
    measured = read_json(by_name[METRICS], "metrics", MADE_ANEW)
    with reading(by_name[METRICS], "metrics", MADE_ANEW):
        metrics = {**flat_metrics(measured), **acted}
        wanted = (f"{metric}.{name}" for metric in HEADLINE_METRICS for name in (*LOCO_TYPES, "mean"))
        if lacking := [name for name in wanted if name not in metrics]:
            tags["not_measured"] = ", ".join(lacking)
    run = TrackedRun(
        name=cell.path,
        key=key,
        tags=tags,
        parameters=parameters,
        curve=curve,
        metrics=metrics,
        artifacts={path: ARTIFACT_FOLDERS.get(name, "") for name, path in by_name.items()},
        costs=costs,
        **times,
    )
    write_json(receipt, track_run(uri, experiment, run))


def track_teacher(teacher: Path, uri: str, benchmark: str, receipt: Path) -> None:
    """Track a pretrained teacher, with its loss curve, in an experiment beside the benchmark's; write its receipt.

    Raises UserError naming a file that is missing or damaged, and as `track_run` does.
    """
    path = teacher.with_suffix(".json")
    made = read_json(path, TEACHER, MADE_ANEW)
    with reading(path, TEACHER, MADE_ANEW):
        size, steps = made["settings"]["size"], made["settings"]["steps"]
        curve = read_curve(teacher.with_suffix(".csv"), steps)
        run = TrackedRun(
            name=f"teacher {size}",
            key=f"{benchmark}/{teacher_path(size)}/{made['fingerprint'][:12]}",
            tags={
                **{name: str(made[name]) for name in ("teacher", "digest", "commit", "hardware")},
                "code_digest": str(made["code"]),
                **{f"version.{name}": value for name, value in _versions(made).items()},
            },
            parameters=_flat(made["settings"]),
            curve=curve,
            metrics={"distillation": curve[-1]["distillation"]},
            artifacts={teacher: "model", path: ""},
            costs=costs_of(made),
            **_times(made),
        )
    write_json(receipt, track_run(uri, f"{benchmark}-teachers", run))


def _data_digest(manifests: Sequence[Path]) -> str:
    for path in manifests:
        read_manifest(path)  # refuses what is none, and a damaged one
    return digest_of(sorted(map(sha256_of, manifests)))


def _versions(made: dict[str, Any]) -> dict[str, str]:
    return {"python": made["python"], **made["versions"]}


def _times(made: dict[str, Any]) -> dict[str, int]:
    """When a training began and ended, in milliseconds since 1970; before starts were recorded, `seconds` tell."""
    finished = _milliseconds(made["finished"])
    started = _milliseconds(made["started"]) if "started" in made else finished - round(1000 * made["seconds"])
    return {"started": started, "finished": finished}


def _milliseconds(time: str) -> int:
    return round(1000 * datetime.strptime(time, "%Y-%m-%dT%H:%M:%S%z").timestamp())


def costs_of(made: dict[str, Any]) -> dict[str, float]:
    """What a training cost: seconds, interrupted attempts included, those on a GPU, and the largest memory held."""
    return {name: float(made[name]) for name in COSTS}


def _constraint(curve: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Metrics of DFSC's constraint: the mean share inside the margin over all steps, and the threshold at the end."""
    steps = [row["step"] for row in curve]
    spans = [step - before for before, step in zip([0.0, *steps], steps, strict=False)]
    inside = sum(row[INSIDE_MARGIN] * span for row, span in zip(curve, spans, strict=True)) / steps[-1]
    return {SHARE_INSIDE: inside, f"constraint.{NOVEL_THRESHOLD}": curve[-1][NOVEL_THRESHOLD]}


def read_curve(path: Path, steps: int | None = None) -> list[dict[str, float]]:
    """The rows of a training curve, `step` and a column per loss. Raises UserError if it does not end at `steps`."""
    with reading(path, "a training curve", MADE_ANEW):
        rows = csv.DictReader(read_lines(path).splitlines())
        curve = [{name: float(value) for name, value in row.items()} for row in rows]
        if not curve or (steps is not None and curve[-1]["step"] != steps):
            raise ValueError(f"it does not end at step {steps}")
        return curve


def _flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat
