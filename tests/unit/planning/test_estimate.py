"""What a benchmark will take: told from steps of the real loop, of the kinds of training that the grid has."""

import os
import re
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook

from dfsc.data.images import load_images
from dfsc.data.pretraining_images import CACHE_BYTES
from dfsc.errors import Interrupted
from dfsc.planning.disk import checkpoint_bytes, model_bytes
from dfsc.planning.estimate import TEACHER_THREADS, Estimate, Kind, kinds_of_models, print_estimate
from dfsc.planning.pace import WARMING_STEPS, Budget, Pace, Stopwatch
from dfsc.planning.stand_ins import IMAGES, penalty_images, teacher_weights, training_images
from dfsc.settings.grid import TRAINED, Grid
from dfsc.settings.reading import read_configuration
from dfsc.training.loop import run_steps
from support.checkout import CHECKOUT
from support.command_line import dfsc
from support.prepared import Prepared

CPU = torch.device("cpu")


class Sleeper:
    """A learner whose steps take the seconds that it is told: the first ones others than the rest."""

    def __init__(self, first: float, rest: float) -> None:
        self.seconds, self.done = (first, rest), 0
        self.model = nn.Linear(1, 1)
        self.optimizer = torch.optim.Adam(self.model.parameters())

    def draw(self, step: int) -> None:
        """Nothing is drawn."""

    def update(self, step: int, drawn: None) -> dict[str, Tensor]:
        """Sleep; returns a loss."""
        self.done += 1
        time.sleep(self.seconds[step >= WARMING_STEPS])
        return {"loss": torch.ones(())}


def measured(learner: Sleeper, budget: Budget) -> Pace:
    """The learner's pace."""
    stopwatch = Stopwatch(budget)
    with stopwatch.running() as checkpoint:
        run_steps(learner, stopwatch.steps(CPU), checkpoint, stopwatch.options())
    return stopwatch.pace


def test_a_step_is_timed_after_those_that_warm_up() -> None:
    learner = Sleeper(0.05, 0.01)
    pace = measured(learner, Budget(20, 60, 0))
    assert (pace.steps, learner.done) == (20, WARMING_STEPS + 20)
    assert 0.01 <= pace.step_seconds < 0.04, "a busy machine wakes a sleeper late, but not by that much on average"
    assert WARMING_STEPS * 0.05 <= pace.start_seconds < 2


@pytest.mark.parametrize("workers", [0, 2])
def test_images_are_prepared_by_as_many_threads_as_a_training_would(workers: int) -> None:
    class Drawing(Sleeper):
        def draw(self, step: int) -> None:
            drawn_by.add(threading.get_ident())
            time.sleep(0.01)

    drawn_by = set[int]()
    measured(Drawing(0.02, 0.02), Budget(20, 60, workers))
    assert (threading.get_ident() in drawn_by) == (workers == 0) and len(drawn_by) == max(1, workers)


@pytest.mark.parametrize(("seconds", "steps"), [(0.0, 1), (0.45, 1), (0.75, 4)])
def test_slow_steps_end_with_the_time_limit_and_are_counted(seconds: float, steps: int) -> None:
    pace = measured(Sleeper(0.1, 0.1), Budget(200, seconds, 0))
    assert 1 <= pace.steps <= steps and pace.step_seconds >= 0.1


def test_a_gpu_is_asked_for_the_time_after_many_steps_only() -> None:
    stopwatch = Stopwatch(Budget(200, 60, 0))
    # The loop reports every two hundredth of the steps that it is asked for, at which a GPU has to be waited for.
    assert stopwatch.steps(torch.device("cuda")) // 200 == 50 and stopwatch.steps(CPU) // 200 == 1
    assert Stopwatch(Budget(20_000, 60, 0)).steps(CPU) > 20_000 + WARMING_STEPS


def test_who_stops_it_is_told_that_nothing_is_kept() -> None:
    class Stopped(Sleeper):
        def update(self, step: int, drawn: None) -> dict[str, Tensor]:
            os.kill(os.getpid(), signal.SIGTERM)
            return super().update(step, drawn)

    with pytest.raises(Interrupted, match=r"^stopped as asked; nothing is kept of what was measured$"):
        measured(Stopped(0.01, 0.01), Budget(200, 60, 0))


def test_hours_are_of_all_steps_and_starts() -> None:
    assert Kind("S", 3, 1000, Pace(5, 0.36, 36.0)).hours == pytest.approx(3 * (36 + 360) / 3600)


@pytest.mark.parametrize("overlay", [[], ["config/protocols.yaml"], ["config/ablations.yaml"], ["config/methods.yaml"]])
def test_every_training_of_the_grid_is_of_one_kind(overlay: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CHECKOUT)
    grid = Grid.from_config(read_configuration(list(map(Path, overlay))))
    trained = sum(grid.method(cell.method).origin == TRAINED for cell in grid.cells())
    found = {method.family: trainings for method, trainings in kinds_of_models(grid)}
    assert sum(found.values()) == trained and all(found.values()), "nothing else is measured"
    if not overlay:
        assert found == {"EfficientAD-S": 15, "DFSC-S": 90, "EfficientAD-M": 15, "DFSC-M": 90}


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The smallest configuration, in an empty project."""
    shutil.copytree(CHECKOUT / "config", tmp_path / "config")
    shutil.copy(CHECKOUT / "tests/smallest.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return read_configuration([Path("smallest.yaml")])


def test_what_is_not_there_is_stood_in_for(config: dict[str, Any], tmp_path: Path) -> None:
    images, own_images = training_images(config)
    weights, own_teacher = teacher_weights(config, "tiny")
    penalty, own_penalty = penalty_images(config, tmp_path / "work")
    assert not (own_images or own_teacher or own_penalty) and images.shape == (IMAGES, 64, 64, 3) and weights
    # Six images will be drawn: all of them would be kept in memory, so few are listed, which soon are.
    assert len(penalty) == IMAGES and penalty.image(0).size == (500, 375)
    config["pretraining"] = {"images": "imagenet", "folder": "none"}
    penalty, _ = penalty_images(config, tmp_path / "more")
    crop = penalty.penalty_crop(0, 64, grey=False)
    assert len(penalty) * crop.nbytes > CACHE_BYTES, "as of ImageNet, no crop is kept"


def test_what_is_there_is_used(config: dict[str, Any], tmp_path: Path, prepared: Prepared) -> None:
    config["dataset"]["folder"] = str(prepared.dataset)
    config["pretraining"]["folder"] = str(prepared.dataset / "pretraining")
    teacher = Path("results/smallest/teachers/tiny/teacher.pt")
    teacher.parent.mkdir(parents=True)
    shutil.copy(prepared.root / "teacher.pt", teacher)
    images, own_images = training_images(config)
    penalty, own_penalty = penalty_images(config, tmp_path / "work")
    assert own_images and own_penalty and teacher_weights(config, "tiny")[1]
    files = sorted((prepared.dataset / "coin_tray/train/good").iterdir())[:IMAGES]
    assert np.array_equal(images, load_images(files, 64))
    assert penalty.folder == prepared.dataset / "pretraining" and len(penalty) == IMAGES


def test_the_estimate_is_printed(config: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(Path().rglob("*"))
    assert dfsc("estimate", "--configfile", "smallest.yaml", "--steps", 2, "--device", "cpu").code == 0
    shown = capsys.readouterr().out
    assert "smallest: 3 trainings, 12 steps" in shown  # two models of five steps, a teacher of two
    for kind, steps in (("EfficientAD-tiny", 5), ("DFSC-tiny", 5), ("teacher tiny", 2)):
        assert re.search(rf"{kind} +│ +1 │ +{steps} │ +[12] │ +[\d,.]+ │ +[\d.]+ │", shown), kind
    assert "in place of: training images, penalty images, teacher tiny; no time depends" in shown
    assert "float32" in shown and "CPU hours" in shown and "GPU hours" not in shown
    assert sorted(Path().rglob("*")) == before, "nothing is left"


@pytest.mark.parametrize(("steps", "seconds", "measured"), [(30, 0, 1), (3, 600, 3)])
def test_as_many_steps_are_measured_as_there_is_time_for(
    config: dict[str, Any], capsys: pytest.CaptureFixture[str], steps: int, seconds: int, measured: int
) -> None:
    arguments = ("--configfile", "smallest.yaml", "--steps", steps, "--seconds", seconds, "--device", "cpu")
    assert dfsc("estimate", *arguments).code == 0
    found = re.findall(r"([\w-]+ ?[\w-]+) +│ +1 │ +\d+ │ +(\d+) │", capsys.readouterr().out)
    assert dict(found) == dict.fromkeys(("EfficientAD-tiny", "DFSC-tiny", "teacher tiny"), str(measured))


def test_disk_is_that_of_all_models_and_of_a_checkpoint_each(
    config: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the smallest grid with 50 seeds: 100 models of each size, one of which is there, a baseline of size S."""
    config["training"] |= {"sizes": ["S", "M"], "seeds": list(range(50)), "image_size": 256}
    there = Path("results/smallest/coin_tray/efficientad-S/seed7/model.pt")
    there.parent.mkdir(parents=True)
    there.touch()
    print_estimate(config, Estimate([Kind("S", 3, 1000, Pace(5, 0.36, 36.0))], [], CPU))
    shown = capsys.readouterr().out
    for size in ("S", "M"):
        model = model_bytes(size, 256)
        each = 2 * model + 4 * 384 * 56 * 56 * 2  # a copy is tracked; four feature distances in half precision
        assert (
            f"disk, models of size {size}: {100 * each / 1e9:,.2f} GB: 100 of {each / 1e6:,.1f} MB, of which the "
            f"tracking store {model / 1e6:,.1f} (computed" in shown
        )
        assert f"and {checkpoint_bytes(size, 256) / 1e6:,.1f} MB for the checkpoint of each training" in shown
    assert shown.count("of them are trained") == 1 and "  1 of them are trained" in shown


def test_runs_from_outside_are_counted_with_their_own_time_limit(
    config: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    config["training"]["seeds"] = [0, 1, 2]
    config["methods"] = {
        "short": {"label": "Short", "command": "methods/short/run", "runtime": 7},
        "plain": {"label": "Plain", "command": "methods/plain/run", "seeds": False},
        "theirs": {"label": "Theirs", "maps": "maps"},
    }
    print_estimate(config, Estimate([Kind("tiny", 6, 5, Pace(5, 0.36, 36.0))], [], CPU))
    shown = capsys.readouterr().out
    assert "short: 3 runs from outside, not measured; each is stopped after 7 minutes" in shown
    assert "plain: 1 runs from outside, not measured; each is stopped after 60 minutes" in shown
    assert "theirs" not in shown, "which is run elsewhere"


def test_a_teacher_is_measured_with_the_threads_of_its_rule(config: dict[str, Any]) -> None:
    threads, seen = torch.get_num_threads(), list[int]()
    hook = register_module_forward_pre_hook(lambda *call: seen.append(torch.get_num_threads()))
    try:
        assert dfsc("estimate", "--configfile", "smallest.yaml", "--steps", 2, "--device", "cpu").code == 0
    finally:
        hook.remove()
        torch.set_num_threads(threads)
    assert seen == sorted(seen) and {*seen} == {1, TEACHER_THREADS}, "models first, with one"
    rule = (CHECKOUT / "workflow/rules/teacher.smk").read_text()
    assert f"--threads {TEACHER_THREADS} " in rule
    assert "--threads" not in (CHECKOUT / "workflow/rules/train.smk").read_text(), "which leaves it one"
