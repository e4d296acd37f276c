"""Runs of a name and two artifacts, tracked in the store of the folder that one is in."""

import json
from pathlib import Path

from dfsc.report.tracking import TrackedRun, track_run

URI = "sqlite:///mlflow.db"  # as in the configuration: of the folder that one is in
NAMES = ("first", "second", "third")


def track(uri: str, name: str, **tags: str) -> dict[str, str]:
    """Track a run with an artifact at the top and one in a folder, from files in the folder that one is in."""
    Path("scores.csv").write_text(f"path,image_score\ntest/good/000.png,{len(name)}.5\n")
    Path("model.pt").write_text(name * 9)
    artifacts = {Path("scores.csv"): "", Path("model.pt"): "model"}
    run = TrackedRun(name, f"key of {name}", tags, {}, [], {"image_auroc.mean": 0.5}, artifacts)
    return track_run(uri, "benchmark", run)


def receipts() -> list[Path]:
    """The receipts of the folder that one is in."""
    return [Path(f"{name}.json") for name in NAMES]


def run_ids() -> dict[str, str]:
    """Name -> run id, from these."""
    return {path.stem: json.loads(path.read_text())["run_id"] for path in receipts()}
