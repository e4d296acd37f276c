"""Costs in MLflow and in their table; and that they have no part in telling runs apart."""

from pathlib import Path

import pandas as pd
import pytest

from dfsc.files import write_json
from dfsc.report.cost import write_cost_table
from dfsc.report.tracking import TrackedRun, read_runs, track_run


def track(uri: str, method: str, seed: int, seconds: float) -> dict[str, str]:
    """Track a run that took so long."""
    run = TrackedRun(
        f"{method} {seed}",
        f"{method}/{seed}",
        tags={
            "size": "tiny",
            "category": "coin_tray",
            "method": method,
            "seed": str(seed),
            "pretraining_images": "generated (3 images)",
        },
        parameters={},
        curve=[],
        metrics={"image_auroc.mean": 0.7},
        artifacts={},
        costs={"seconds": seconds, "gpu_seconds": seconds / 2, "peak_memory_bytes": seconds * 2**30},
    )
    return track_run(uri, "benchmark", run)


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store of these tests' own."""
    return f"sqlite:///{tmp_path_factory.mktemp('store') / 'mlflow.db'}"


def test_costs_are_summed_over_seeds_and_in_all(uri: str, tmp_path: Path) -> None:
    receipts = []
    for method, seed, seconds in (
        ("efficientad-tiny", 0, 3.0),
        ("efficientad-tiny", 1, 5.0),
        ("dfsc-tiny-q0.9", 0, 2.0),
    ):
        receipts.append(tmp_path / f"{method}{seed}.json")
        write_json(receipts[-1], track(uri, method, seed, seconds))
    write_cost_table(read_runs(uri, receipts), tmp_path)
    table = pd.read_csv(tmp_path / "cost.csv").set_index("method")
    assert table.loc["efficientad-tiny", ["trainings", "seconds", "gpu_seconds"]].tolist() == [2, 8, 4]
    assert table.loc["dfsc-tiny-q0.9", ["trainings", "seconds", "gpu_seconds"]].tolist() == [1, 2, 1]
    assert table.loc["all", ["trainings", "seconds", "gpu_seconds"]].tolist() == [3, 10, 5]
    assert table.loc["all", "peak_memory_bytes"] == 5 * 2**30
    assert "peak memory, GiB" in (tmp_path / "cost.md").read_text()


def test_a_retry_that_cost_more_finds_the_same_run(uri: str) -> None:
    assert track(uri, "dfsc-tiny-q0.99", 0, 1.0) == track(uri, "dfsc-tiny-q0.99", 0, 9.0)
