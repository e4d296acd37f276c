"""The state of a grid, from the files that its stages leave."""

import json
import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from dfsc.errors import UserError
from dfsc.settings.reading import read_configuration
from dfsc.stages import plain_progress
from dfsc.status import Model, print_status, read_grid, read_teachers, seconds_left

CHECKOUT = Path(__file__).parents[2]
STEP = "coin_tray, EfficientAD, seed 0: step {} of 400 (10%), hard 1.2, {} s left\n"
CONFIG = {
    "benchmark": "grid",
    "dataset": {"categories": ["coin_tray"]},
    "training": {"sizes": ["tiny"], "seeds": [0, 1]},
    "dfsc": {"quantiles": [0.9], "headline_quantile": 0.9},
}


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """The configuration of two methods and two seeds, in an empty project."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config/config.yaml").write_text((CHECKOUT / "config/config.yaml").read_text())
    (tmp_path / "grid.yaml").write_text(json.dumps(CONFIG))
    monkeypatch.chdir(tmp_path)
    return read_configuration([Path("grid.yaml")])


def leave(method: str, seed: int, *, log: str = "", stage: str = "train", files: tuple[str, ...] = ()) -> Path:
    """Leave a log, and empty results."""
    place = Path("grid/tiny/coin_tray", method, f"seed{seed}")
    for root in ("logs", "results"):
        (root / place).mkdir(parents=True, exist_ok=True)
    for name in files:
        (Path("results") / place / name).touch()
    if "model.pt" in files:
        (Path("results") / place / "training.json").write_text('{"seconds": 100}')
    path = Path("logs") / place / f"{stage}.log"
    path.write_text(log)
    return path


def states(config: dict[str, object]) -> list[str]:
    """The states, in the grid's order."""
    return [model.state for model in read_grid(config)]


def test_each_state_is_told(config: dict[str, object], capsys: pytest.CaptureFixture[str]) -> None:
    assert states(config) == ["waiting"] * 4
    leave("efficientad", 0, log=STEP.format(40, 90))
    leave("efficientad", 1, log=STEP.format(40, 90) + "dfsc: stopped at step 44 of 400 as asked; run again\n")
    leave("dfsc-q0.9", 0, log="Traceback\nMemoryError: no more\n")
    assert states(config) == ["running", "stopped", "failed", "waiting"]
    silent = leave("dfsc-q0.9", 1, log=STEP.format(40, 90))
    os.utime(silent, (time.time() - 3600,) * 2)
    assert states(config)[3] == "silent"
    print_status(config)
    shown = capsys.readouterr().out
    assert "MemoryError: no more" in shown and "running 10%" in shown and "about 6 minutes left" in shown


def test_the_teacher_that_all_wait_for_is_shown(config: dict[str, object], capsys: pytest.CaptureFixture[str]) -> None:
    assert [teacher.state for teacher in read_teachers(config)] == ["waiting"]
    log = Path("logs/grid/tiny/teacher.log")
    log.parent.mkdir(parents=True)
    log.write_text("teacher tiny: step 300 of 400 (75%), distillation 0.1, 7200 s left\n")
    print_status(config)
    shown = capsys.readouterr().out
    assert "running 75%" in shown and "teacher tiny: about 2.0 hours left" in shown and "4 waiting" in shown
    log.write_text("dfsc: 000.jpg: image cannot be read\n")
    print_status(config)
    assert "000.jpg: image cannot be read" in capsys.readouterr().out
    teacher = Path("results/grid/tiny/teacher.pt")
    teacher.parent.mkdir(parents=True)
    teacher.touch()
    assert [teacher.state for teacher in read_teachers(config)] == ["done"]


def test_a_model_is_done_when_it_is_tracked(config: dict[str, object]) -> None:
    files = ("model.pt", "maps.npz", "metrics.json", "heatmaps.png")
    leave("efficientad", 0, files=(*files, "run.json"), log=STEP.format(400, 0))
    leave("efficientad", 1, files=files, stage="track", log="dfsc: tracking store http://x: cannot be reached\n")
    leave("dfsc-q0.9", 0, files=files[:1], stage="score")
    assert states(config) == ["done", "failed", "trained", "waiting"]


def test_time_left_counts_what_runs_at_once() -> None:
    name = ("tiny", "coin_tray", "efficientad", 0)
    running = [Model(name, "running", 0.5, seconds_left=50) for _ in range(2)]
    done, waiting = Model(name, "done", 1, seconds=100), Model(name, "waiting")
    assert seconds_left([*running, done, waiting]) == pytest.approx(100)
    assert seconds_left([waiting]) is None
    # A resumed training that has not shown its pace yet runs all the same, and has its share left to do.
    assert seconds_left([*running, Model(name, "running", 0.5), done, waiting]) == pytest.approx(250 / 3)


def test_the_time_left_of_a_resumed_training_is_told_by_the_steps_since(
    config: dict[str, object], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seconds = iter([0.0, 5.0, 45.0])
    monkeypatch.setattr("dfsc.stages.time", SimpleNamespace(monotonic=lambda: next(seconds)))
    report, lines = plain_progress("coin_tray, EfficientAD, seed 0"), []
    for step in (60_000, 60_400):
        report(step, 70_000, {"hard": 1.0})
        lines.append(capsys.readouterr().out)
    leave("efficientad", 0, log=lines[0])
    leave("efficientad", 1, log="".join(lines))
    first, second = read_grid(config)[:2]
    assert first.state == second.state == "running"
    assert first.seconds_left is None and second.seconds_left == 960  # 9,600 steps at 40 s for 400


def test_an_overlay_with_a_wrong_key_is_refused(config: dict[str, object], tmp_path: Path) -> None:
    Path("wrong.yaml").write_text("training: {stepps: 3}")
    with pytest.raises(UserError, match="stepps"):
        read_configuration([Path("grid.yaml"), Path("wrong.yaml")])
