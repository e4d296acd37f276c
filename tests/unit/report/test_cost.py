"""Costs in MLflow and in their table; and that they have no part in telling runs apart."""

from pathlib import Path

import pandas as pd
import pytest

from dfsc.errors import UserError
from dfsc.files import write_json
from dfsc.report.cost import read_speeds, write_cost_table
from dfsc.report.tables import NOT_MEASURED
from dfsc.report.tracking import TrackedRun, read_runs, track_run
from support.read_tables import from_markdown


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
    write_cost_table(read_runs(uri, receipts), tmp_path, {})
    table = pd.read_csv(tmp_path / "cost.csv").set_index("method")
    assert table.loc["efficientad-tiny", ["trainings", "seconds", "gpu_seconds"]].tolist() == [2, 8, 4]
    assert table.loc["dfsc-tiny-q0.9", ["trainings", "seconds", "gpu_seconds"]].tolist() == [1, 2, 1]
    assert table.loc["all", ["trainings", "seconds", "gpu_seconds"]].tolist() == [3, 10, 5]
    assert table.loc["all", "peak_memory_bytes"] == 5 * 2**30
    text = (tmp_path / "cost.md").read_text()
    assert "peak memory, GiB" in text and f"Measured on: {NOT_MEASURED}." in text
    assert text.count(NOT_MEASURED) == 1 + 2 * 2  # of each method, its latency and its images per second


def test_a_retry_that_cost_more_finds_the_same_run(uri: str) -> None:
    assert track(uri, "dfsc-tiny-q0.99", 0, 1.0) == track(uri, "dfsc-tiny-q0.99", 0, 9.0)


def test_a_speed_is_of_all_methods_of_its_size(tmp_path: Path) -> None:
    """And reruns nothing: neither a receipt nor a run has it."""
    sizes = {"efficientad-S": "S", "dfsc-S-q0.9": "S", "efficientad-M": "M", "theirs": ""}
    costs = {"seconds": 1.0, "gpu_seconds": 0.0, "peak_memory_bytes": 1.0}
    runs = [
        {"tags": {"category": "coins", "method": name, "seed": "0", "size": size}, "costs": costs}
        for name, size in sizes.items()
    ]
    assert read_speeds(tmp_path, runs) == {}
    measured = {"latency_ms": 2.25, "images_per_second": 614.0, "measured_on": "a card, float16, 256 px"}
    write_json(tmp_path / "speed/S.json", measured)
    found = read_speeds(tmp_path, runs)
    assert found == {"S": measured}
    write_cost_table(runs, tmp_path, found)
    table = pd.read_csv(tmp_path / "cost.csv").set_index("method")
    for method, size in sizes.items():
        row = table.loc[method, list(measured)]
        assert row.tolist() == list(measured.values()) if size == "S" else row.isna().all(), method
    assert table.loc["all", list(measured)].isna().all() and table.loc["all", "trainings"] == 4
    text, (headings, *rows) = from_markdown(tmp_path / "cost.md")
    assert "Measured on: S: a card, float16, 256 px." in text
    shown = {row[1]: dict(zip(headings, row, strict=True)) for row in rows}
    for method, size in [*sizes.items(), ("all", "all")]:
        wanted = {"S": ["2.2", "614.0"], "all": ["", ""]}.get(size, [NOT_MEASURED] * 2)
        assert [shown[method][name] for name in ("latency, ms", "images/s")] == wanted, method

    write_json(tmp_path / "speed/M.json", {"latency_ms": 1})
    with pytest.raises(UserError, match=r"M\.json: cannot be read as a measured speed"):
        read_speeds(tmp_path, runs)
