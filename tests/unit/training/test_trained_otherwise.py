"""What a training does otherwise than published: no L_penalty, other penalty images, checkpoints that are kept."""

import csv
import json
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from dfsc.data.images import load_images
from dfsc.data.layout import images_of, read_manifest
from dfsc.data.pretraining_images import PretrainingImages
from dfsc.errors import Interrupted
from dfsc.files import read_json
from dfsc.model.maps import PADDING_MODES
from dfsc.model.networks import normalise_images
from dfsc.model.trained import TrainedModel, load_model
from dfsc.training.checkpoint import Checkpoint
from dfsc.training.loop import LoopOptions, run_steps
from dfsc.training.snapshots import SnapshotLog
from support.command_line import dfsc
from support.learners import learner_of
from support.prepared import Prepared

STEPS, COUNT = 12, 5  # marks at 2.4, 4.8, 7.2 and 9.6 steps
AT = [3, 5, 8, 10]


def trained(prepared: Prepared, folder: Path, **settings: object) -> TrainedModel:
    """A model of the prepared category."""
    outcome = dfsc(*prepared.train_arguments(folder, **settings))
    assert outcome.code == 0, outcome.errors
    return load_model(folder / "model.pt")


def test_without_penalty_the_rest_is_minimised_alone(prepared: Prepared) -> None:
    """One step of Adam on the other three losses, from the same weights and images as the baseline's."""
    found, by_hand = learner_of(prepared, protocol={"penalty": False}), learner_of(prepared)
    losses = found.update(0, found.draw(0))
    assert list(losses) == ["hard", "autoencoder", "student_autoencoder"]
    drawn = by_hand.draw(0)
    views, teacher = by_hand.views(drawn)
    torch.manual_seed(0)  # dropout: of the update's own seed, which is set there
    baseline = learner_of(prepared).update(0, drawn)
    assert list(baseline) == ["hard", "penalty", "autoencoder", "student_autoencoder"]
    for name, value in losses.items():
        assert torch.equal(value, baseline[name]), name
    with pytest.MonkeyPatch.context() as patch:  # the published losses with a penalty that is 0 whatever the student
        patch.setattr("dfsc.training.student.penalty_loss", lambda student: 0 * student.sum())
        by_hand.update(0, drawn)
    for (name, ours), theirs in zip(found.model.named_parameters(), by_hand.model.parameters(), strict=True):
        assert torch.equal(ours, theirs), name
    assert views.shape[0] == 3 * len(teacher)


def test_a_training_without_penalty_says_so(prepared: Prepared, tmp_path: Path) -> None:
    plain = trained(prepared, tmp_path / "plain")
    without = trained(prepared, tmp_path / "without", protocol={"penalty": False})
    assert any(
        not torch.equal(value, without.network.state_dict()[name]) for name, value in plain.network.state_dict().items()
    )
    assert read_json(tmp_path / "without/training.json")["settings"]["protocol"] == {"penalty": False, "checkpoints": 1}
    with (tmp_path / "without/training_curve.csv").open(newline="") as stream:
        assert next(csv.reader(stream)) == ["step", "hard", "autoencoder", "student_autoencoder"]


def test_an_index_of_the_first_images(prepared: Prepared, tmp_path: Path) -> None:
    folder = prepared.dataset / "pretraining"
    (tmp_path / "photos/a").mkdir(parents=True)
    for place in ("b.png", "a/9.png", "c.png"):
        (tmp_path / "photos" / place).symlink_to(folder / "00000.png")
    (tmp_path / "photos/a/notes.txt").touch()
    for first, paths in ((1, ["a/9.png"]), (2, ["a/9.png", "b.png"]), (9, ["a/9.png", "b.png", "c.png"])):
        output = tmp_path / f"{first}.index"
        where = ("--folder", tmp_path / "photos", "--source", "few", "--output", output)
        assert dfsc("index", *where, "--first", first).code == 0
        assert PretrainingImages(output, tmp_path / "photos").paths == paths
    assert dfsc("index", *where, "--first", 0).code == 2


def test_checkpoints_are_kept_and_change_nothing(prepared: Prepared, tmp_path: Path) -> None:
    """The weights of each mark, as a training that is looked at by hand there; the result is the baseline's."""
    plain = trained(prepared, tmp_path / "plain", steps=STEPS)
    keeping = trained(prepared, tmp_path / "keeping", steps=STEPS, protocol={"checkpoints": COUNT})
    for name, value in plain.network.state_dict().items():
        assert torch.equal(value, keeping.network.state_dict()[name]), name
    assert plain.snapshots == [] and [one.step for one in keeping.snapshots] == AT
    assert not list((tmp_path / "keeping/checkpoints").iterdir())
    by_hand, records = learner_of(prepared, steps=STEPS), read_manifest(prepared.manifest())
    good = images_of(records, "validation/good")
    validation = load_images([prepared.dataset / prepared.category / record.path for record in good], 64)
    snapshots = {one.step: one for one in keeping.snapshots}
    for step in range(STEPS):
        by_hand.update(step, by_hand.draw(step))
        if step + 1 not in snapshots:
            continue
        kept = snapshots[step + 1]
        state = by_hand.model.state_dict()
        assert kept.weights.keys() == {name for name in state if not name.startswith("teacher.")}
        for name, value in kept.weights.items():
            assert name == "map_quantiles" or torch.equal(value, state[name]), name
        by_hand.model.eval()
        raw = by_hand.model.raw_maps(normalise_images(torch.from_numpy(validation))).numpy()
        by_hand.model.train()
        for maps, quantiles in zip(raw.swapaxes(0, 1), kept.weights["map_quantiles"].numpy(), strict=True):
            assert quantiles == pytest.approx(np.quantile(maps, (0.9, 0.995)), rel=1e-4)
        assert kept.validation_scores.keys() == set(PADDING_MODES)
        assert all(len(scores) == len(good) for scores in kept.validation_scores.values())
    scores = [one.validation_scores["zero"].tolist() for one in keeping.snapshots]
    assert len({tuple(one) for one in scores}) == len(AT), "no snapshot is another's"


def test_checkpoints_outlive_an_interruption(prepared: Prepared, tmp_path: Path) -> None:
    """Stopped between two marks and resumed: those kept before are not written again, and all are as without."""

    def kept(folder: Path, stops: list[int]) -> list[bytes]:
        learner = learner_of(prepared, steps=STEPS)
        checkpoint = Checkpoint(folder, "f" * 64)

        def progress(step: int, steps: int, losses: object) -> None:
            if stops and step == stops[0]:
                stops.pop()
                signal.raise_signal(signal.SIGTERM)

        log = SnapshotLog(learner.model, COUNT, checkpoint.path, progress)
        run_steps(learner, STEPS, checkpoint, LoopOptions(progress=log))
        return [path.read_bytes() for path in log.paths]

    whole = kept(tmp_path / "whole", [])
    stops = [6]
    with pytest.raises(Interrupted):
        kept(tmp_path / "stopped", stops)
    early = sorted((tmp_path / "stopped").glob("*.snapshot*.pt"))
    assert len(early) == 2
    times = [path.stat().st_mtime_ns for path in early]
    assert kept(tmp_path / "stopped", stops) == whole
    assert [path.stat().st_mtime_ns for path in early] == times


def test_more_checkpoints_than_steps_are_as_many_as_there_are(prepared: Prepared, tmp_path: Path) -> None:
    found = trained(prepared, tmp_path, steps=2, protocol={"checkpoints": 4})
    assert [one.step for one in found.snapshots] == [1]
    json.loads(found.origin["settings"])
