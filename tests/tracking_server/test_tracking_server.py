"""Many jobs tracking at once on PostgreSQL; and a server that goes away in the middle of a workflow."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.checkout import Checkout
from support.tracking_server import PASSWORD, Server

PROCESSES, RUNS_EACH = 16, 3
TRACK = """
import sys
from dfsc.report.tracking import TrackedRun, track_run
uri, first, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
for number in range(first, last):
    run = TrackedRun(
        f"run {number}", f"key-{number}", tags={}, parameters={"number": number},
        curve=[{"step": step, "hard": step / 7} for step in range(50)], metrics={"score": number / 3}, artifacts={},
    )
    track_run(uri, "crowd", run)
"""


def runs_of(uri: str, experiment: str) -> list[Any]:
    """All live runs of an experiment."""
    from dfsc.report.store import tracking_client

    with tracking_client(uri) as client:
        found = client.get_experiment_by_name(experiment)
        return list(client.search_runs([found.experiment_id], max_results=1000)) if found else []


def test_sixteen_processes_lose_and_double_nothing(server: Server) -> None:
    starts = range(0, PROCESSES * RUNS_EACH, RUNS_EACH)
    processes = [
        subprocess.Popen([sys.executable, "-c", TRACK, server.uri, str(start), str(start + RUNS_EACH)])
        for start in starts
    ]
    assert [process.wait(timeout=300) for process in processes] == [0] * PROCESSES
    runs = runs_of(server.uri, "crowd")
    assert sorted(int(run.data.params["number"]) for run in runs) == list(range(PROCESSES * RUNS_EACH))
    for run in runs:
        assert run.info.status == "FINISHED" and run.data.metrics["score"] == int(run.data.params["number"]) / 3
    from dfsc.report.store import tracking_client

    with tracking_client(server.uri) as client:
        for run in runs[:5]:
            history = client.get_metric_history(run.info.run_id, "loss/hard")
            assert [point.value for point in history] == [step / 7 for step in range(50)]


def test_a_secured_server_takes_runs_from_its_users_alone(
    secured_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dfsc.errors import UserError
    from dfsc.planning.machine import store_found
    from dfsc.report.tracking import TrackedRun, track_run

    run = TrackedRun("run", "key", tags={}, parameters={}, curve=[], metrics={"score": 0.5}, artifacts={})
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
    with pytest.raises(UserError, match="certificate verify failed"):
        track_run(secured_server.uri, "secured", run)
    monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(secured_server.trusted))
    track_run(secured_server.uri, "secured", run)
    assert store_found(secured_server.uri) == f"{secured_server.uri}: answers"
    (tracked,) = runs_of(secured_server.uri, "secured")
    assert tracked.info.status == "FINISHED" and tracked.data.metrics == {"score": 0.5}
    assert (secured_server.folder / "basic_auth.db").stat().st_mode & 0o077 == 0
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "another")
    with pytest.raises(UserError, match="not authenticated"):
        track_run(secured_server.uri, "secured", run)
    with pytest.raises(UserError, match=r"not authenticated.*; see .* MLFLOW_TRACKING_PASSWORD are right"):
        store_found(secured_server.uri)


@pytest.fixture(scope="module")
def checkout(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout whose configuration names the server."""
    checkout = Checkout.new(tmp_path_factory.mktemp("checkout"))
    (checkout.root / "server.yaml").write_text(json.dumps({"tracking": {"uri": server.uri}}))
    return checkout


def test_what_a_stopped_server_missed_is_tracked_once_by_the_next_run(server: Server, checkout: Checkout) -> None:
    run: Callable[..., subprocess.CompletedProcess[str]] = lambda *more: checkout.smallest("server.yaml", *more)  # noqa: E731
    first = str(checkout.model("efficientad-tiny").relative_to(checkout.root) / "run.json")
    started = run("--", first)
    assert started.returncode == 0, started.stdout
    server.stop()

    without = run()
    assert without.returncode != 0 and "results stay on disk, run again to track them" in without.stdout
    for method in ("efficientad-tiny", "dfsc-tiny-q0.9"):
        assert (checkout.model(method) / "metrics.json").exists()
    assert not (checkout.model("dfsc-tiny-q0.9") / "run.json").exists()

    server.start()
    again = run("--", "tables")
    assert again.returncode == 0, again.stdout
    assert "rule train:" not in again.stdout
    runs = runs_of(server.uri, "smallest")
    assert sorted(run.data.tags["method"] for run in runs) == ["dfsc-tiny-q0.9", "efficientad-tiny"]
    assert {run.info.status for run in runs} == {"FINISHED"}


def test_a_run_cut_short_is_written_anew(server: Server, checkout: Checkout) -> None:
    from dfsc.report.store import tracking_client

    receipt: Path = checkout.model("efficientad-tiny") / "run.json"
    before = json.loads(receipt.read_text())
    with tracking_client(server.uri) as client:
        client.update_run(before["run_id"], status="RUNNING")  # as if tracking had been killed before its last call
    receipt.unlink()
    assert checkout.smallest("server.yaml", "--", str(receipt.relative_to(checkout.root))).returncode == 0
    (run,) = [run for run in runs_of(server.uri, "smallest") if run.data.tags["key"] == before["key"]]
    assert run.info.status == "FINISHED" and run.info.run_id != before["run_id"]
