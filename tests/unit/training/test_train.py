"""Training: the same bits whether interrupted or not, and baseline and DFSC alike but for the constraint."""

import os
import signal
import sys
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from multiprocessing import get_context
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from dfsc import cli
from dfsc.errors import Interrupted, RunFailed
from dfsc.files import read_json, sha256_of
from dfsc.model.saved import load_tensors
from dfsc.training.checkpoint import Checkpoint
from dfsc.training.feature_distance import read_distances
from dfsc.training.loop import CURVE_POINTS, LoopOptions, TrainingLog, run_steps
from dfsc.training.record import cost
from support.command_line import dfsc
from support.learners import learner_of
from support.prepared import DFSC, Prepared


def test_training_is_reproducible_bit_for_bit(prepared: Prepared, tmp_path: Path) -> None:
    for name in ("first", "second"):
        assert dfsc(*prepared.train_arguments(tmp_path / name)).code == 0
    assert sha256_of(tmp_path / "first/model.pt") == sha256_of(tmp_path / "second/model.pt")
    assert not list((tmp_path / "first/checkpoints").iterdir())


def test_weight_zero_over_all_elements_is_the_baseline_bit_for_bit(prepared: Prepared, tmp_path: Path) -> None:
    neutral = {**DFSC, "novel_weight": 0.0, "autoencoder_loss_over": "all"}
    for name, chosen in (("baseline", None), ("neutral", neutral), ("dfsc", DFSC)):
        assert dfsc(*prepared.train_arguments(tmp_path / name, dfsc=chosen)).code == 0
    baseline, neutral_weights, other = (
        load_tensors(tmp_path / name / "model.pt", "a model")["weights"] for name in ("baseline", "neutral", "dfsc")
    )
    assert all(torch.equal(value, neutral_weights[name]) for name, value in baseline.items())
    assert any(not torch.equal(value, other[name]) for name, value in baseline.items())


def test_baseline_and_dfsc_of_a_seed_share_everything_random(prepared: Prepared) -> None:
    baseline, variant = learner_of(prepared), learner_of(prepared, dfsc=DFSC)
    for name, value in baseline.model.state_dict().items():
        assert torch.equal(value, variant.model.state_dict()[name]), name
    for step in range(8):
        ours, theirs = baseline.draw(step), variant.draw(step)
        assert (ours.numbers, ours.jitters) == (theirs.numbers, theirs.jitters)
        assert (ours.penalty == theirs.penalty).all()
    other_seed = learner_of(prepared, seed=1)
    assert any(baseline.draw(step).numbers != other_seed.draw(step).numbers for step in range(8))


def test_every_epoch_shows_every_image_once(prepared: Prepared) -> None:
    found = learner_of(prepared)
    for epoch in range(3):
        assert sorted(found.draw(6 * epoch + step).numbers[0] for step in range(6)) == list(range(6))


def test_learning_rate_drops_after_its_share_of_the_steps(prepared: Prepared) -> None:
    found = learner_of(prepared, steps=20)
    rates = []
    for step in range(20):
        found.update(step, found.draw(step))
        rates.append(found.optimizer.param_groups[0]["lr"])
    assert rates == [1e-3] * 19 + [pytest.approx(1e-4)]


def test_teacher_statistics_normalise_the_training_features(prepared: Prepared) -> None:
    from dfsc.model.networks import normalise_images

    found = learner_of(prepared)
    features = found.model.teacher_features(normalise_images(found.images)).double()
    torch.testing.assert_close(features.mean(dim=(0, 2, 3)), torch.zeros(64, dtype=torch.float64), atol=1e-5, rtol=0)
    deviation = features.std(dim=(0, 2, 3), unbiased=False)
    torch.testing.assert_close(deviation, torch.ones(64, dtype=torch.float64), atol=1e-5, rtol=0)


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    """Where processes come from that need not import torch again."""
    found = get_context("forkserver")
    found.set_forkserver_preload(["dfsc.training.student", "dfsc.cli", "dfsc.commands.models"])
    return found


def command(*arguments: str) -> None:
    """The command line, in a process of its own."""
    sys.argv = ["dfsc", *arguments]
    cli.main()


@pytest.fixture(scope="module")
def undisturbed(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training that nothing ended before its time."""
    folder = tmp_path_factory.mktemp("undisturbed")
    assert dfsc(*prepared.train_arguments(folder, steps=60, dfsc=DFSC)).code == 0
    return folder


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM])
def test_a_training_ended_by_a_signal_goes_on_to_the_same_bits(
    prepared: Prepared, undisturbed: Path, tmp_path: Path, processes: ForkServerContext, ending: signal.Signals
) -> None:
    arguments = prepared.train_arguments(tmp_path, steps=60, dfsc=DFSC)
    endings = 0
    for _ in range(3):
        process = processes.Process(target=command, args=[*map(str, arguments), "--checkpoint-seconds", "0.05"])
        folder = tmp_path / "checkpoints"
        seen = max((path.stat().st_mtime_ns for path in folder.glob("*.pt")), default=0)
        process.start()
        while process.is_alive() and max((p.stat().st_mtime_ns for p in folder.glob("*.pt")), default=0) == seen:
            time.sleep(0.01)
        assert process.pid is not None
        if process.is_alive():
            os.kill(process.pid, ending)
        process.join()
        endings += process.exitcode in (-signal.SIGKILL, 143)
    assert endings >= 2, "the training ended before it could be disturbed"
    assert dfsc(*arguments).code == 0
    assert sha256_of(tmp_path / "model.pt") == sha256_of(undisturbed / "model.pt")
    assert (tmp_path / "training_curve.csv").read_text() == (undisturbed / "training_curve.csv").read_text()


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_training_says_when_its_first_attempt_began_and_counts_all(
    prepared: Prepared, tmp_path: Path, ending: signal.Signals
) -> None:
    """Each of two attempts works for half a second, and is ended; the third is not."""
    learner, checkpoint = learner_of(prepared), Checkpoint(tmp_path, "interrupted")

    def stop(step: int, steps: int, losses: Mapping[str, float]) -> None:
        time.sleep(0.5)
        os.kill(os.getpid(), ending)

    began, in_attempts, ended = time.time(), 0.0, []
    for _ in range(2):
        start = time.monotonic()
        with pytest.raises(Interrupted):
            run_steps(learner, 12, checkpoint, LoopOptions(progress=stop))
        in_attempts += time.monotonic() - start
        ended.append(time.time())
    time.sleep(0.5)  # in no attempt
    start = time.monotonic()
    log = run_steps(learner, 12, checkpoint, LoopOptions())
    assert began <= log.started <= ended[0]
    assert 1 <= log.seconds <= in_attempts + time.monotonic() - start
    assert [row["step"] for row in log.curve] == list(range(1, 13))


def test_a_training_cost_what_the_machine_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ended now, however long it was interrupted, and in UTC; its memory is in bytes."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    began, before = time.time() - 7200, time.time()
    try:
        found = cost(TrainingLog([], 59.96, began), torch.device("cpu"))
    finally:
        monkeypatch.undo()
        time.tzset()
    assert (found["seconds"], found["gpu_seconds"]) == (60.0, 0.0)
    started, finished = (datetime.fromisoformat(found[name]).timestamp() for name in ("started", "finished"))
    assert started == int(began) and int(before) <= finished <= time.time()
    (held,) = (line.split() for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0.99 * 1024 * int(held[1]) <= found["peak_memory_bytes"] <= memory


def test_a_stale_checkpoint_is_never_resumed(prepared: Prepared, tmp_path: Path, processes: ForkServerContext) -> None:
    other = prepared.train_arguments(tmp_path / "run", steps=5000, learning_rate=0.01)
    started = processes.Process(target=command, args=[*map(str, other), "--checkpoint-seconds", "0"])
    started.start()
    while not list((tmp_path / "run/checkpoints").glob("*.pt")):
        time.sleep(0.01)
    started.kill()
    started.join()
    assert dfsc(*prepared.train_arguments(tmp_path / "fresh")).code == 0
    assert dfsc(*prepared.train_arguments(tmp_path / "run")).code == 0
    assert sha256_of(tmp_path / "run/model.pt") == sha256_of(tmp_path / "fresh/model.pt")


def test_a_loss_that_is_no_number_stops_and_keeps_the_checkpoint(prepared: Prepared, tmp_path: Path) -> None:
    outcome = dfsc(*prepared.train_arguments(tmp_path, learning_rate=1e30, steps=300), "--checkpoint-seconds", "0")
    assert outcome.code == 1
    assert outcome.errors.count("\n") == 1 and "became infinite or no number" in outcome.errors
    assert not (tmp_path / "model.pt").exists()
    (kept,) = (tmp_path / "checkpoints").glob("*.pt")
    assert str(kept) in outcome.errors
    state = load_tensors(kept, "a checkpoint")
    assert all(torch.isfinite(value).all() for value in state["model"].values())


def test_losses_that_grow_without_end_stop_the_training(prepared: Prepared, tmp_path: Path) -> None:
    pushing = {**DFSC, "margin": 1.5, "margin_unit": "threshold", "split_unit": "position"}
    outcome = dfsc(*prepared.train_arguments(tmp_path, dfsc=pushing, steps=300))
    assert outcome.code == 1 and not (tmp_path / "model.pt").exists()
    assert outcome.errors.count("\n") == 1 and "the training diverged: by step" in outcome.errors, outcome.errors
    assert dfsc(*prepared.train_arguments(tmp_path, dfsc={**pushing, "margin_unit": "absolute"}, steps=60)).code == 0


class Growing:
    """A learner of two losses: one is 1 at each step, the other ten times what it was."""

    def __init__(self) -> None:
        self.model = nn.Linear(1, 1)
        self.optimizer = torch.optim.Adam(self.model.parameters())

    def draw(self, step: int) -> None:
        """Nothing is drawn."""

    def update(self, step: int, drawn: None) -> dict[str, Tensor]:
        """Its losses."""
        return {"steady": torch.ones(()), "growing": torch.tensor(10.0**step), "shrinking": torch.tensor(0.1**step)}


def test_the_loss_that_grew_is_named(tmp_path: Path) -> None:
    """3 at first; 10,001 at step 5, not 10,000 times as much, and 100,001 at step 6."""
    said = r"by step 6, the losses are 3e\+04 times those of the first steps \(`growing` is 1e\+05\)"
    with pytest.raises(RunFailed, match=said):
        run_steps(Growing(), 100, Checkpoint(tmp_path, "growing"), LoopOptions())


class Ruined(Growing):
    """Whose weights are no numbers from step 3 on, though its loss is one."""

    def update(self, step: int, drawn: None) -> dict[str, Tensor]:
        """Its loss."""
        if step == 2:
            self.model.weight.data.fill_(float("nan"))
        return {"steady": torch.ones(())}


def test_weights_that_are_no_numbers_are_in_no_checkpoint(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path, "ruined")
    with pytest.raises(RunFailed, match="`weight` became infinite or no number by step 3"):
        run_steps(Ruined(), 9, checkpoint, LoopOptions(checkpoint_seconds=0))
    assert load_tensors(checkpoint.path, "a checkpoint")["step"] == 2


class Counting(Growing):
    """A loss that is the step's number; the first attempt is asked to stop in step 4."""

    asked = False

    def update(self, step: int, drawn: None) -> dict[str, Tensor]:
        """Its loss."""
        if step == 4 and not self.asked:
            self.asked = True
            os.kill(os.getpid(), signal.SIGTERM)
        return {"number": torch.tensor(float(step))}


def test_a_point_of_the_curve_is_the_mean_since_the_last_also_of_steps_before_an_interruption(tmp_path: Path) -> None:
    learner, checkpoint, steps = Counting(), Checkpoint(tmp_path, "counting"), 2 * CURVE_POINTS
    with pytest.raises(Interrupted, match="stopped at step 5 "):
        run_steps(learner, steps, checkpoint, LoopOptions())
    log = run_steps(learner, steps, checkpoint, LoopOptions())
    assert log.curve == [{"step": step, "number": step - 1.5} for step in range(2, steps + 1, 2)]


def test_what_could_not_be_written_is_written_by_the_next_attempt(prepared: Prepared, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    arguments = [*prepared.train_arguments(tmp_path / "run"), "--checkpoint-seconds", "0"]
    outcome = dfsc(*arguments, "--record", tmp_path / "file/training.json")
    assert outcome.code == 2 and "training.json" in outcome.errors and not (tmp_path / "run/training.json").exists()
    assert dfsc(*arguments).code == 0
    assert list(read_distances(tmp_path / "run/feature_distances.npz")) == [1, 2, 4, 12]
    assert read_json(tmp_path / "run/training.json")["model_digest"] == sha256_of(tmp_path / "run/model.pt")
    assert not list((tmp_path / "run/checkpoints").iterdir())


def test_each_file_is_written_where_it_is_told(prepared: Prepared, tmp_path: Path) -> None:
    assert dfsc(*prepared.train_arguments(tmp_path / "together")).code == 0
    options = {"output": "model.pt", "curve": "training_curve.csv", "distances": "feature_distances.npz",
               "record": "training.json"}  # fmt: skip
    apart = [part for option in options for part in (f"--{option}", tmp_path / option / "its own name")]
    assert dfsc(*prepared.train_arguments(tmp_path / "unused"), *apart).code == 0
    for option, name in options.items():
        if option != "record":  # it has the times
            assert (tmp_path / option / "its own name").read_bytes() == (tmp_path / "together" / name).read_bytes()
    assert read_json(tmp_path / "record/its own name")["model_digest"] == sha256_of(tmp_path / "together/model.pt")
    assert not [path for path in (tmp_path / "unused").rglob("*") if path.is_file()]


def test_progress_is_labelled_as_the_cell(
    prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cell = "coin_tray/dfsc-tiny-q0.9/seed0"
    (tmp_path / cell).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / cell)
    for output in (tmp_path / cell, Path()):
        assert dfsc(*prepared.train_arguments(output, steps=2)).code == 0
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == 2 and all(line.startswith(f"{cell}: step ") for line in lines)


def test_a_model_says_what_it_was_made_from(prepared: Prepared, tmp_path: Path) -> None:
    assert dfsc(*prepared.train_arguments(tmp_path)).code == 0
    made = read_json(tmp_path / "training.json")
    assert made["pretraining_images"] == "generated (12 images)"
    assert made["data_digest"] == sha256_of(prepared.manifest())
    assert made["teacher_digest"] == sha256_of(prepared.root / "teacher.pt")
    assert made["teacher"] == "pretrained 3 steps on generated, resnet18 with random weights, seed 0"
    assert {"commit", "versions", "hardware", "seconds", "peak_memory_bytes", "settings"} <= made.keys()
    for record in (made, read_json(prepared.root / "teacher.json")):
        started, finished = (datetime.strptime(record[name], "%Y-%m-%dT%H:%M:%SZ") for name in ("started", "finished"))
        assert timedelta(0) <= finished - started <= timedelta(seconds=record["seconds"] + 60)
