"""The tracking store: copied, moved, damaged, out of reach or read only; and no password in what is printed."""

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dfsc.errors import UserError
from dfsc.files import write_json
from dfsc.report.store import artifacts_of, masked, tracking_client
from dfsc.report.tracking import TRACK_AGAIN, read_runs, read_scores
from support.tracked_store import NAMES, URI, receipts, run_ids, track


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout's folder with three tracked runs and their receipts."""
    folder = tmp_path_factory.mktemp("tracked") / "with space, é"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in NAMES:
            write_json(Path(f"{name}.json"), track(URI, name))
    return folder


@pytest.fixture
def checkout(tracked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, in which one is."""
    copied = Path(shutil.copytree(tracked, tmp_path / "copy"))
    monkeypatch.chdir(copied)
    return copied


def seen_by_mlflow(database: Path, run_id: str) -> set[str]:
    """The artifacts that MLflow's interface would list, and can read, in a fresh process elsewhere."""
    program = (
        "import sys; from pathlib import Path; from mlflow import MlflowClient\n"
        "client, run = MlflowClient(sys.argv[1]), sys.argv[2]\n"
        "print(*[f.path for d in (None, 'model') for f in client.list_artifacts(run, d)])\n"
        "Path(client.download_artifacts(run, 'scores.csv')).read_text()\n"
    )
    command = [sys.executable, "-c", program, f"sqlite:///{database}", run_id]
    return set(subprocess.run(command, capture_output=True, text=True, check=True, cwd="/").stdout.split())


def state_of(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file of a folder, with its length and time of change."""
    return {
        str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_copy_writes_to_itself(tracked: Path, checkout: Path) -> None:
    before = state_of(tracked)
    assert track(URI, "first")["run_id"] == run_ids()["first"]
    fourth = track(URI, "fourth")
    write_json(Path("fourth.json"), fourth)
    assert len(read_scores(URI, read_runs(URI, [*receipts(), Path("fourth.json")]))) == 4
    assert state_of(tracked) == before
    assert (checkout / "mlartifacts/benchmark" / fourth["run_id"] / "artifacts/scores.csv").exists()
    assert seen_by_mlflow(checkout / "mlflow.db", fourth["run_id"]) == {"scores.csv", "model", "model/model.pt"}


def test_a_moved_checkout_reads_and_shows_what_it_tracked(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tracking_client(URI):  # the paths recorded are now the copy's, which goes away
        pass
    moved = checkout.rename(tmp_path / "moved")
    monkeypatch.chdir(moved)
    assert set(read_scores(URI, read_runs(URI, receipts()))) == set(run_ids().values())
    assert seen_by_mlflow(moved / "mlflow.db", run_ids()["second"]) == {"scores.csv", "model", "model/model.pt"}


def test_a_database_without_its_artifacts_is_tracked_again_into_its_own_folder(tracked: Path, checkout: Path) -> None:
    shutil.rmtree(checkout / "mlartifacts")
    before = state_of(tracked)
    again = track(URI, "first")
    assert state_of(tracked) == before
    assert (checkout / "mlartifacts/benchmark" / again["run_id"] / "artifacts/model/model.pt").exists()


def lose_artifacts(checkout: Path, artifacts: Path) -> None:
    shutil.rmtree(artifacts)


def cut_scores(checkout: Path, artifacts: Path) -> None:
    (artifacts / "scores.csv").write_text("path,image_score\ntest/good/000.png,5")


def empty_scores(checkout: Path, artifacts: Path) -> None:
    (artifacts / "scores.csv").write_bytes(b"")


@pytest.mark.parametrize("damage", [lose_artifacts, cut_scores, empty_scores], ids=lambda f: f.__name__)
def test_one_command_tracks_all_again_that_is_missing(
    tracked: Path, checkout: Path, damage: Callable[[Path, Path], None]
) -> None:
    with tracking_client(URI):
        pass
    for name in ("first", "third"):
        damage(checkout, checkout / "mlartifacts/benchmark" / run_ids()[name] / "artifacts")
    with pytest.raises(UserError) as refused:
        read_scores(URI, read_runs(URI, receipts()))
    assert "of 2 runs" in str(refused.value) and "first, third" in str(refused.value)
    assert TRACK_AGAIN in str(refused.value) and "snakemake" in TRACK_AGAIN
    assert {name: track(URI, name)["run_id"] for name in NAMES} == run_ids(), "what is in MLflow is kept"
    assert len(read_scores(URI, read_runs(URI, receipts()))) == 3
    for run_id in run_ids().values():
        assert (checkout / "mlartifacts/benchmark" / run_id / "artifacts/model/model.pt").exists()


def test_other_scores_of_equal_length_are_tracked_again(checkout: Path) -> None:
    with tracking_client(URI):
        pass
    scores = checkout / "mlartifacts/benchmark" / run_ids()["first"] / "artifacts/scores.csv"
    told = scores.read_text()
    scores.write_text(told.replace(",5.5", ",6.5"))
    assert scores.read_text() != told and track(URI, "first")["run_id"] == run_ids()["first"]
    assert scores.read_text() == told


def test_a_run_tracked_under_other_tags_is_tracked_anew(checkout: Path) -> None:
    anew = track(URI, "first", teacher="another")
    assert anew["run_id"] != run_ids()["first"]
    assert track(URI, "first", teacher="another") == anew


def newer(database: Path) -> None:
    connection = sqlite3.connect(database)
    connection.execute("UPDATE alembic_version SET version_num = 'ffff0000ffff'")
    connection.commit()
    connection.close()


def a_folder(database: Path) -> None:
    database.unlink()
    database.mkdir()


def a_pipe(database: Path) -> None:
    database.unlink()
    os.mkfifo(database)


DAMAGED: dict[str, Callable[[Path], object]] = {
    "something else": lambda path: path.write_bytes(b"no database" * 999),
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:9999]),
    "newer MLflow": newer,
    "folder": a_folder,
    "pipe": a_pipe,
}


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED.keys())
@pytest.mark.parametrize("reading", [False, True], ids=["writing", "reading"])
def test_a_database_that_cannot_be_opened_is_one_line_within_seconds(
    checkout: Path, damage: Callable[[Path], object], reading: bool
) -> None:
    damage(checkout / "mlflow.db")
    assert_refused_at_once(URI, reading, "mlflow.db")


@pytest.mark.parametrize(
    "uri",
    [
        "postgresql://lab:se:cret@127.0.0.1:9/runs",
        "postgresql+psycopg2://lab:s@cret@127.0.0.1:9/runs?password=secret",
        "postgresql+asyncpg://lab:secret@127.0.0.1:9/runs",
        "http://lab:secret@127.0.0.1:9",
        "mysql://lab:secret@127.0.0.1:9/runs",
        "http://lab:se/cret@127.0.0.1:9",
        "sqlite:/mlflow.db",
    ],
)
def test_a_store_out_of_reach_is_one_line_without_its_password(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert_refused_at_once(uri, False, "tracking store")


def assert_refused_at_once(uri: str, reading: bool, named: str) -> None:
    """Refused within 20 seconds of a busy machine; MLflow's own retries take longer than 100."""
    start = time.monotonic()
    with pytest.raises(UserError, match=named) as refused, tracking_client(uri, reading) as client:
        client.search_experiments()
    assert time.monotonic() - start < 20
    assert "\n" not in str(refused.value) and "cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://me:pa:s/s@@host:5432/db", "postgresql://me:***@host:5432/db"),
        ("failed for https://me:token@host/api, again", "failed for https://me:***@host/api, again"),
        (
            "postgresql://host/db?sslmode=require&password=x&a=b",
            "postgresql://host/db?sslmode=require&password=***&a=b",
        ),
        ("postgresql://me@host/db", "postgresql://me@host/db"),
        ("sqlite:///a:b@c.db", "sqlite:///a:b@c.db"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
    ],
)
def test_passwords_are_masked(address: str, shown: str) -> None:
    assert masked(address) == shown


READ_ONLY = """
import json, sys
from pathlib import Path
from dfsc.errors import UserError
from dfsc.report.store import is_writable
from dfsc.report.tracking import read_runs, read_scores, record_differences
from support.tracked_store import URI, receipts, run_ids, track
assert not is_writable(URI)
runs = read_runs(URI, receipts())
assert len(runs) == len(read_scores(URI, runs)) == 3
record_differences(URI, runs, {run_ids()["first"]: (run_ids()["second"], {"image_auroc.mean": 0.1})})
from dfsc.report.store import tracking_client
try:
    with tracking_client(URI) as client:
        client.set_tag(run_ids()["first"], "a", "b")
except UserError as error:
    print(error)
"""


@pytest.mark.parametrize("file_only", [True, False], ids=["file", "file and folder"])
def test_a_store_that_is_read_only_is_still_read(checkout: Path, file_only: bool) -> None:
    # Moved as well: what is read are the artifacts beside the database, though their paths cannot be recorded.
    (checkout / "mlflow.db").chmod(0o444)
    (checkout / "mlflow.db.lock").unlink(missing_ok=True)
    if not file_only:
        checkout.chmod(0o555)
    command = [sys.executable, "-c", READ_ONLY]
    if os.getuid() == 0:  # who may do anything, unless this is taken away
        command = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", *command]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    before = state_of(checkout)
    run = subprocess.run(command, capture_output=True, text=True, env=environment)
    checkout.chmod(0o755)
    assert run.returncode == 0, run.stderr
    assert "is read only, so its runs are not given their differences" in run.stderr
    assert run.stdout.startswith("tracking store sqlite:///mlflow.db: ") and run.stdout.count("\n") == 1, run.stdout
    changed = {name for name, state in state_of(checkout).items() if before.get(name) != state}
    assert changed <= {"mlflow.db.lock"}


def test_artifacts_are_those_of_the_store_that_is_asked(tracked: Path, checkout: Path) -> None:
    """Of two stores with the same runs, in one process."""
    run_id = run_ids()["first"]
    for folder in (tracked, checkout):
        uri = f"sqlite:///{folder}/mlflow.db"
        with tracking_client(uri) as client:
            place = artifacts_of(str(client.get_run(run_id).info.artifact_uri), uri)
        assert Path(place.download_artifacts("scores.csv")).is_relative_to(folder)
