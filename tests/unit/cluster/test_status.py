"""The state of a grid, from the files that its stages leave."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dfsc.cluster.status import Model, print_status, read_grid, read_teachers, seconds_left
from dfsc.errors import UserError
from dfsc.settings.reading import read_configuration
from dfsc.training.progress import ProgressFile, plain_progress
from support.checkout import CHECKOUT
from support.command_line import dfsc
from support.prepared import Prepared

CONFIG = {
    "benchmark": "grid",
    "dataset": {"categories": ["coin_tray"]},
    "training": {"sizes": ["tiny"], "seeds": [0, 1]},
    "dfsc": {"quantiles": [0.9], "headline_quantile": 0.9},
}


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The configuration of two methods and two seeds, in an empty project."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config/config.yaml").write_text((CHECKOUT / "config/config.yaml").read_text())
    (tmp_path / "grid.yaml").write_text(json.dumps(CONFIG))
    monkeypatch.chdir(tmp_path)
    return read_configuration([Path("grid.yaml")])


def leave(method: str, seed: int, *, log: str = "", stage: str = "train", files: tuple[str, ...] = ()) -> Path:
    """Leave a log, and empty results; returns the log."""
    place = Path("grid/coin_tray", method, f"seed{seed}")
    for root in ("logs", "results"):
        (root / place).mkdir(parents=True, exist_ok=True)
    for name in files:
        (Path("results") / place / name).touch()
    if "model.pt" in files:
        (Path("results") / place / "training.json").write_text('{"seconds": 100}')
    path = Path("logs") / place / f"{stage}.log"
    path.write_text(log)
    return path


def progress_of(log: Path) -> Path:
    """Where the training with that log keeps its progress."""
    return log.with_suffix(".progress.json")


def at_work(log: Path, step: int, **told: object) -> None:
    """Leave the progress of a training of 400 steps that has reported one."""
    kept = ProgressFile(progress_of(log)).__enter__()
    kept.beside(lambda step, steps, losses: None)(step, 400, {"hard": 1.2})
    written = json.loads(progress_of(log).read_text())
    progress_of(log).write_text(json.dumps({**written, **told}))


def states(config: dict[str, Any]) -> list[str]:
    """The states, in the grid's order."""
    return [model.state for model in read_grid(config)]


def test_each_state_is_told(config: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert states(config) == ["waiting"] * 4
    at_work(leave("efficientad-tiny", 0), 40, seconds_left=90)
    at_work(silent := leave("efficientad-tiny", 1), 40)
    os.utime(progress_of(silent), (time.time() - 3600,) * 2)
    leave(
        "dfsc-tiny-q0.9",
        0,
        log="bash: dfsc: command not found\nTraceback (most recent call last)\nMemoryError: no more\n",
    )
    assert states(config) == ["running", "silent", "failed", "waiting"]
    print_status(config)
    shown = capsys.readouterr().out
    assert "MemoryError: no more" in shown and "running 10%" in shown and "about 6 minutes left" in shown


@pytest.mark.parametrize("columns", ["10", "20", "79"])
def test_every_state_is_shown_on_a_narrow_terminal(
    config: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    config["training"]["seeds"] = list(range(12))
    print_status(config)
    rows = [line for line in capsys.readouterr().out.splitlines() if "efficientad" in line]
    assert [row.count("waiting") for row in rows] == [12]


def broken(prepared: Prepared, output: Path) -> list[object]:
    """A training whose manifest is missing."""
    return [*prepared.train_arguments(output), "--manifest", output / "missing.csv"]


def diverging(prepared: Prepared, output: Path) -> list[object]:
    """A training whose losses become infinite."""
    return [*prepared.train_arguments(output, learning_rate=1e30, steps=300), "--checkpoint-seconds", "0"]


@pytest.mark.parametrize(("arguments", "words"), [(broken, "missing.csv"), (diverging, "became infinite or no number")])
def test_a_failed_training_is_told_with_its_words_whatever_its_log_ends_in(
    prepared: Prepared,
    config: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
    arguments: Callable[[Prepared, Path], list[object]],
    words: str,
) -> None:
    log = leave("efficientad-tiny", 0, log="slurmstepd: task 0 was here\n")
    outcome = dfsc(*arguments(prepared, Path.cwd()), "--progress", progress_of(log))
    assert outcome.code in (1, 2)
    assert states(config)[0] == "failed"
    capsys.readouterr()
    print_status(config)
    assert words in capsys.readouterr().out


WARNINGS = (
    "UserWarning: an operator is slow",
    "dfsc: not compiled, so slower (BackendCompilerFailed)",
    "Traceback (most",
)


@pytest.mark.parametrize(("ending", "state"), [(signal.SIGTERM, "stopped"), (signal.SIGKILL, "silent")])
def test_a_training_at_work_is_running_whatever_its_log_says(
    prepared: Prepared, config: dict[str, Any], ending: signal.Signals, state: str
) -> None:
    log = leave("efficientad-tiny", 0)
    arguments = [*prepared.train_arguments(Path.cwd(), steps=20_000), "--progress", progress_of(log)]
    process = subprocess.Popen([sys.executable, "-m", "dfsc.cli", *map(str, arguments)], stdout=subprocess.DEVNULL)
    try:
        while not progress_of(log).exists() or not json.loads(progress_of(log).read_text())["steps"]:
            assert process.poll() is None
            time.sleep(0.05)
        for line in WARNINGS:
            log.write_text(f"{line}\n")
            (model, *_) = read_grid(config)
            assert model.state == "running" and 0 < model.share < 1
    finally:
        process.send_signal(ending)
        process.wait()
    os.utime(progress_of(log), (time.time() - 3600,) * 2)
    assert states(config)[0] == state


def test_a_slow_training_is_not_called_silent_between_two_reports(config: dict[str, Any]) -> None:
    log = leave("efficientad-tiny", 0)
    for interval, state in ((10, "silent"), (1500, "running")):
        at_work(log, 40, seconds_between_reports=interval)
        os.utime(progress_of(log), (time.time() - 1800,) * 2)
        assert states(config)[0] == state


def test_progress_that_cannot_be_written_stops_no_training_and_changes_no_bit(
    prepared: Prepared, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    for name, place in (("with", tmp_path / "progress.json"), ("without", tmp_path / "file/progress.json")):
        assert dfsc(*prepared.train_arguments(tmp_path / name), "--progress", place).code == 0
    assert (tmp_path / "with/model.pt").read_bytes() == (tmp_path / "without/model.pt").read_bytes()
    assert json.loads((tmp_path / "progress.json").read_text())["state"] == "done"


def test_a_full_log_stops_no_training(prepared: Prepared, tmp_path: Path) -> None:
    arguments = [sys.executable, "-m", "dfsc.cli", *map(str, prepared.train_arguments(tmp_path))]
    with Path("/dev/full").open("w") as full:
        subprocess.run(arguments, stdout=full, stderr=full, check=False)
    assert (tmp_path / "training.json").exists()


@pytest.mark.parametrize("damage", ["", '{"seconds":', "[]", '{"second": 1}'])
@pytest.mark.parametrize("name", ["training.json", "train.progress.json"])
def test_a_damaged_file_is_named(config: dict[str, Any], name: str, damage: str) -> None:
    log = leave("efficientad-tiny", 0, files=("model.pt",) if name == "training.json" else ())
    path = (Path("results", *log.parts[1:-1]) if name == "training.json" else log.parent) / name
    path.write_text(damage)
    with pytest.raises(UserError, match=rf"^{path}: cannot be read as .*; delete it"):
        read_grid(config)


def test_the_teacher_that_all_wait_for_is_shown(config: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert [teacher.state for teacher in read_teachers(config)] == ["waiting"]
    log = Path("logs/grid/teachers/tiny/teacher.log")
    log.parent.mkdir(parents=True)
    at_work(log, 300, seconds_left=7200)
    print_status(config)
    shown = capsys.readouterr().out
    assert "running 75%" in shown and "teacher tiny: about 2.0 hours left" in shown and "4 waiting" in shown
    progress_of(log).unlink()  # as of a published teacher, whose import has none
    log.write_text("dfsc: 000.jpg: image cannot be read\n")
    print_status(config)
    assert "000.jpg: image cannot be read" in capsys.readouterr().out
    teacher = Path("results/grid/teachers/tiny/teacher.pt")
    teacher.parent.mkdir(parents=True)
    teacher.touch()
    assert [teacher.state for teacher in read_teachers(config)] == ["done"]
    config["training"]["sizes"] = ["S", "tiny"]
    assert [(teacher.method, teacher.state) for teacher in read_teachers(config)] == [
        *(("teacher S", "waiting"), ("teacher tiny", "done"))
    ]


def test_images_that_are_refused_are_told_until_they_are_listed(
    config: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    log = Path("logs/grid/manifests/coin_tray/test.log")
    log.parent.mkdir(parents=True)
    log.write_text("dfsc: 007.png: cannot be read as an image; replace the file\n")
    at_work(leave("efficientad-tiny", 0), 40, seconds_left=90)
    leave("efficientad-tiny", 1, files=("model.pt",), stage="score")
    assert states(config) == ["running", "failed", "failed", "failed"]
    print_status(config)
    assert capsys.readouterr().out.count("dfsc: 007.png: cannot be read as an image; replace the file") == 1
    manifest = Path("results/grid/manifests/coin_tray/test.csv")
    manifest.parent.mkdir(parents=True)
    manifest.touch()
    assert states(config) == ["running", "trained", "waiting", "waiting"]
    refused = Path("logs/grid/arrange/coin_tray/training.log")
    refused.parent.mkdir(parents=True)
    refused.write_text("dfsc: part/good: holds no image\n")
    assert states(config) == ["running", "failed", "failed", "failed"]
    config["dataset"]["categories"] = ["picture_wall"]
    assert states(config) == ["waiting"] * 4, "of another category"


def test_no_terminal_obeys_what_a_log_holds(config: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    leave("efficientad-tiny", 0, log="dfsc: \x1b[2Jgone\n")
    print_status(config)
    shown = capsys.readouterr().out
    assert "dfsc: \\x1b[2Jgone" in shown and "\x1b[2J" not in shown


def test_a_training_whose_model_was_taken_away_waits(config: dict[str, Any]) -> None:
    log = leave("efficientad-tiny", 0)
    with ProgressFile(progress_of(log)) as told:
        told.beside(lambda step, steps, losses: None)(400, 400, {"hard": 1.2})
    assert json.loads(progress_of(log).read_text())["state"] == "done"
    assert states(config) == ["waiting"] * 4


def test_a_model_is_done_when_it_is_tracked(config: dict[str, Any]) -> None:
    files = ("model.pt", "maps.npz", "metrics.json", "curves.png", "heatmaps.png")
    leave("efficientad-tiny", 0, files=(*files, "run.json"), log="step 400 of 400\n")
    leave("efficientad-tiny", 1, files=files, stage="track", log="dfsc: tracking store http://x: cannot be reached\n")
    leave("dfsc-tiny-q0.9", 0, files=files[:1], stage="score")
    assert states(config) == ["done", "failed", "trained", "waiting"]


def test_a_stage_is_done_with_the_last_of_its_files(config: dict[str, Any]) -> None:
    files = ("model.pt", "maps.npz", "metrics.json", "heatmaps.png", "run.json")
    leave("efficientad-tiny", 0, files=files, stage="evaluate", log="dfsc: curves.pdf: cannot be written\n")
    leave("efficientad-tiny", 1, files=(*files, "curves.png"), stage="evaluate", log="dfsc: an earlier attempt's\n")
    assert states(config)[:2] == ["failed", "done"]


def test_time_left_counts_what_runs_at_once() -> None:
    name = ("coin_tray", "efficientad-tiny")
    running = [Model(*name, "running", 0.5, seconds_left=50) for _ in range(2)]
    done, waiting = Model(*name, "done", 1, seconds=100), Model(*name, "waiting")
    assert seconds_left([*running, done, waiting]) == pytest.approx(100)
    assert seconds_left([waiting]) is None
    assert seconds_left([done, done]) is None, "nothing is left"
    # A resumed training that has not shown its pace yet runs all the same, and has its share left to do.
    assert seconds_left([*running, Model(*name, "running", 0.5), done, waiting]) == pytest.approx(250 / 3)


def test_a_warning_in_a_stages_log_is_no_failure(config: dict[str, Any]) -> None:
    log = leave("efficientad-tiny", 0, files=("model.pt",), stage="score", log="UserWarning: an operator is slow\n")
    assert states(config)[0] == "trained"
    log.write_text("UserWarning: an operator is slow\ndfsc: 003.png: cannot be read as an image\n")
    assert states(config)[0] == "failed"


def test_the_time_left_of_a_resumed_training_is_told_by_the_steps_since(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seconds = iter([0.0, 5.0, 5.0, 45.0, 45.0])
    monkeypatch.setattr("dfsc.training.progress.time", SimpleNamespace(monotonic=lambda: next(seconds)))
    report = plain_progress("coin_tray/efficientad-tiny/seed0")
    report(60_000, 70_000, {"hard": 1.0})
    assert " left" not in capsys.readouterr().out
    report(60_400, 70_000, {"hard": 1.0})
    assert capsys.readouterr().out.endswith(", 960 s left\n")  # 9,600 steps at 40 s for 400


def test_what_a_training_tells_is_renewed_with_its_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, told = [0.0], []
    monkeypatch.setattr("dfsc.training.progress.time", SimpleNamespace(monotonic=lambda: now[0]))
    with ProgressFile(tmp_path / "progress.json") as kept:
        report = kept.beside(lambda step, steps, losses: None)
        for now[0], step in ((2.0, 100), (5.0, 110), (13.0, 200), (14.0, 210), (24.0, 300)):
            report(step, 400, {})
            found = json.loads((tmp_path / "progress.json").read_text())
            told.append((found["step"], found["seconds_left"], found["seconds_between_reports"]))
    # Of 400 steps, 100 in the 11 seconds to the third report; written every ten seconds at most.
    assert told == [first := (100, None, None), first, third := (200, 22, 8), third, (300, 11, 10)]


def test_an_overlay_with_a_wrong_key_is_refused(config: dict[str, Any], tmp_path: Path) -> None:
    Path("wrong.yaml").write_text("training: {stepps: 3}")
    with pytest.raises(UserError, match="stepps"):
        read_configuration([Path("grid.yaml"), Path("wrong.yaml")])


def test_a_method_from_outside_is_waiting_running_failed_or_done(config: dict[str, Any]) -> None:
    grid = {**config, "controls": ["random", "oracle"]}
    shown = [(model.method, model.state) for model in read_grid(grid)][4:]
    assert shown == [("random", "waiting"), ("random", "waiting"), ("oracle", "waiting")]
    leave("random", 0, stage="run_method", log="loading\n")
    leave(
        "random", 1, stage="run_method", log="loading\ndfsc: methods/x/run: ended with exit code 3; its last lines: x\n"
    )
    done = Path("results/grid/coin_tray/oracle/seednone")
    done.mkdir(parents=True)
    for name in ("scores.csv", "maps.npz", "curves.png", "heatmaps.png", "run.json"):
        (done / name).touch()
    (done / "method.json").write_text('{"seconds": 3}')
    found = read_grid(grid)[4:]
    assert [model.state for model in found] == ["running", "failed", "done"]
    assert found[1].words[0].endswith("random/seed1/run_method.log") and "exit code 3" in found[1].words[-1]
    silent = Path("logs/grid/coin_tray/random/seed0/run_method.log")
    os.utime(silent, (time.time() - 9999,) * 2)
    assert read_grid(grid)[4].state == "silent"
