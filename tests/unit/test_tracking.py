"""Tracking on a real SQLite store: one run per key, and tables that refuse what was tampered with."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dfsc.errors import UserError
from dfsc.files import write_json
from dfsc.tables import COLUMNS, layout, runs_frame, summarise, write_tables
from dfsc.tracking import read_runs, track_run, tracking_client

METHODS = ("efficientad", "dfsc-q0.9")
CATEGORIES = ("coin_tray", "picture_wall")
Grid = tuple[str, list[Path]]


def metrics_of(value: float) -> dict[str, float]:
    """Metrics of a run: logical `value`, structural 0.1 more."""
    values = (value, value + 0.1, value + 0.05)
    return {
        f"{metric}.{column}": number
        for metric in ("image_auroc", "au_spro_0.05")
        for column, number in zip(COLUMNS, values, strict=True)
    }


def track(uri: str, category: str, method: str, seed: int, value: float) -> dict[str, str]:
    """Track one run of a made-up value."""
    tags = {"category": category, "method": method, "seed": str(seed), "size": "tiny", "commit": "c"}
    return track_run(
        uri,
        "benchmark",
        f"{category} {method} {seed}",
        f"{category}/{method}/{seed}",
        tags={**tags, "pretraining_images": "generated (3 images)"},
        parameters={"steps": 3},
        curve=[{"step": 1, "hard": 2.0}, {"step": 2, "hard": 1.0}],
        metrics=metrics_of(value),
        artifacts={},
    )


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose tables are made, to be copied: making them takes seconds."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    with tracking_client(f"sqlite:///{path}"):
        pass
    return path


@pytest.fixture
def uri(empty_store: Path, tmp_path: Path) -> str:
    """A store of the test's own."""
    (tmp_path / "mlflow.db").write_bytes(empty_store.read_bytes())
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


@pytest.fixture
def grid(uri: str, tmp_path: Path) -> Grid:
    """Two categories, two methods, two seeds: DFSC is 0.02 better with seed 0 and 0.04 with seed 1."""
    receipts = []
    for number, category in enumerate(CATEGORIES):
        for method in METHODS:
            for seed in (0, 1):
                value = 0.6 + 0.1 * number + 0.05 * seed + (0.02 * (seed + 1) if method != "efficientad" else 0)
                receipts.append(tmp_path / f"{category}-{method}-{seed}.json")
                write_json(receipts[-1], track(uri, category, method, seed, value))
    return uri, receipts


def runs_with(uri: str, key: str) -> list[Any]:
    """All live runs of a key."""
    with tracking_client(uri) as client:
        experiment = client.get_experiment_by_name("benchmark")
        assert experiment is not None
        return list(client.search_runs([experiment.experiment_id], f"tags.key = '{key}'"))


def test_a_retry_finds_the_run(uri: str) -> None:
    first, second = (track(uri, "coin_tray", "efficientad", 0, 0.7) for _ in range(2))
    assert first == second
    (run,) = runs_with(uri, first["key"])
    assert run.info.status == "FINISHED" and run.data.params == {"steps": "3"}
    with tracking_client(uri) as client:
        history = client.get_metric_history(run.info.run_id, "loss/hard")
    assert [(point.step, point.value) for point in history] == [(1, 2.0), (2, 1.0)]


def test_a_run_cut_short_is_written_anew(uri: str) -> None:
    receipt = track(uri, "coin_tray", "efficientad", 0, 0.7)
    with tracking_client(uri) as client:
        client.set_terminated(receipt["run_id"], "FAILED")
    again = track(uri, "coin_tray", "efficientad", 0, 0.7)
    (run,) = runs_with(uri, receipt["key"])
    assert run.info.run_id == again["run_id"] != receipt["run_id"]


def test_changed_results_replace_the_run(uri: str) -> None:
    receipt = track(uri, "coin_tray", "efficientad", 0, 0.7)
    track(uri, "coin_tray", "efficientad", 0, 0.8)
    (run,) = runs_with(uri, receipt["key"])
    assert run.data.metrics["image_auroc.mean"] == pytest.approx(0.85)


def test_several_processes_at_once_on_a_fresh_store(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[3]); import test_tracking as t;"
        "t.track(sys.argv[1], 'coin_tray', 'efficientad', int(sys.argv[2]), 0.5)"
    )
    fresh = f"sqlite:///{tmp_path}/fresh.db"
    started = [
        subprocess.Popen([sys.executable, "-c", code, fresh, str(seed), str(Path(__file__).parent)], cwd=tmp_path)
        for seed in range(3)
    ]
    assert [process.wait() for process in started] == [0, 0, 0]
    assert [len(runs_with(fresh, f"coin_tray/efficientad/{seed}")) for seed in range(3)] == [1, 1, 1]


def test_tables_hold_means_spreads_and_paired_differences(grid: Grid, tmp_path: Path) -> None:
    frame = runs_frame(read_runs(*grid))
    summary = summarise(frame, "image_auroc").set_index(["category", "method", "anomaly_type"])
    row = summary.loc[("coin_tray", "dfsc-q0.9", "logical_anomalies")]
    assert row["value"] == pytest.approx((0.62 + 0.69) / 2)
    assert row["difference"] == pytest.approx(0.03)
    assert row["difference_std"] == pytest.approx(0.02 / 2**0.5)
    assert row["seeds"] == 2
    everything = summary.loc[("mean of categories", "efficientad", "mean")]
    assert everything["value"] == pytest.approx((0.65 + 0.70 + 0.75 + 0.80) / 4)
    assert everything["difference"] == 0

    write_tables(frame, tmp_path / "tables")
    markdown = (tmp_path / "tables/image_auroc.md").read_text()
    assert "generated (3 images)" in markdown and "+3.0 ± 1.4" in markdown
    assert r"\toprule" in (tmp_path / "tables/image_auroc.tex").read_text()
    assert list(layout(summarise(frame, "image_auroc"))["method"])[:2] == ["EfficientAD", "DFSC τ'=0.9"]


def test_one_seed_has_no_spread(grid: Grid) -> None:
    uri, receipts = grid
    frame = runs_frame(read_runs(uri, [path for path in receipts if path.stem.endswith("-0")]))
    assert "±" not in layout(summarise(frame, "image_auroc")).to_string()


def damage_delete(uri: str, receipt: Path) -> None:
    with tracking_client(uri) as client:
        client.delete_run(json.loads(receipt.read_text())["run_id"])


def damage_edit(uri: str, receipt: Path) -> None:
    with tracking_client(uri) as client:
        client.log_metric(json.loads(receipt.read_text())["run_id"], "image_auroc.mean", 0.99)


def damage_double(uri: str, receipt: Path) -> None:
    with tracking_client(uri) as client:
        run = client.get_run(json.loads(receipt.read_text())["run_id"])
        double = client.create_run(run.info.experiment_id, tags={"key": run.data.tags["key"]})
        client.set_terminated(double.info.run_id, "FINISHED")


def damage_unfinish(uri: str, receipt: Path) -> None:
    with tracking_client(uri) as client:
        client.update_run(json.loads(receipt.read_text())["run_id"], status="RUNNING")


def damage_key(uri: str, receipt: Path) -> None:
    with tracking_client(uri) as client:
        client.set_tag(json.loads(receipt.read_text())["run_id"], "key", "another")


@pytest.mark.parametrize(
    "damage", [damage_delete, damage_edit, damage_double, damage_unfinish, damage_key], ids=lambda f: f.__name__
)
def test_tampering_is_refused_by_name(grid: Grid, damage: Callable[[str, Path], None]) -> None:
    uri, receipts = grid
    damage(uri, receipts[3])
    with pytest.raises(UserError, match=receipts[3].name):
        read_runs(uri, receipts)


def test_gaps_and_doubles_are_refused(grid: Grid) -> None:
    uri, receipts = grid
    with pytest.raises(UserError, match=r"no run of .*picture_wall.*dfsc-q0.9.*1"):
        runs_frame(read_runs(uri, receipts[:-1]))
    with pytest.raises(UserError, match=r"two runs of .*coin_tray"):
        runs_frame(read_runs(uri, [*receipts, receipts[0]]))
    receipts[0].unlink()
    with pytest.raises(UserError, match=receipts[0].name):
        read_runs(uri, receipts)


def test_an_unreachable_server_is_one_line() -> None:
    with pytest.raises(UserError, match=r"http://127.0.0.1:9.*results stay on disk"):
        track("http://127.0.0.1:9", "coin_tray", "efficientad", 0, 0.5)
