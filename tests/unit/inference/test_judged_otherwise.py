"""Models judged otherwise than published, against numbers worked out by hand."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from dfsc.data.images import load_images
from dfsc.data.layout import images_of, read_manifest
from dfsc.errors import UserError
from dfsc.inference.image_scores import read_scores
from dfsc.inference.maps import read_maps
from dfsc.inference.protocols import Judged, best_on_test, mean_auroc, recalibrate
from dfsc.model.networks import normalise_images
from dfsc.model.trained import Snapshot, TrainedModel, load_model
from support.command_line import Outcome, dfsc
from support.models import save_calibrated
from support.prepared import Prepared


@pytest.fixture(scope="module")
def model(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the prepared category that keeps checkpoints."""
    folder = tmp_path_factory.mktemp("model")
    outcome = dfsc(*prepared.train_arguments(folder, steps=12, protocol={"checkpoints": 4}))
    assert outcome.code == 0, outcome.errors
    return folder / "model.pt"


def score(prepared: Prepared, model: Path, output: Path, **settings: object) -> Outcome:
    """Score the test images."""
    given = json.dumps({"padding": "zero", "precision": "float32", **settings})
    validation = ("--validation", prepared.manifest()) if "calibration_images" in settings else ()
    return dfsc(
        *("score", "--model", model, "--settings", given, "--dataset", prepared.dataset, "--device", "cpu"),
        *("--category", prepared.category, "--manifest", prepared.manifest(), *validation),
        *("--scores", output / "scores.csv", "--maps", output / "maps.npz"),
    )


@pytest.mark.parametrize("count", [1, 2])
def test_the_first_images_alone_scale_the_maps(prepared: Prepared, model: Path, tmp_path: Path, count: int) -> None:
    """Raw maps by hand, their quantiles over the first images, and the map of every image from these."""
    outcome = score(prepared, model, tmp_path, calibration_images=count)
    assert outcome.code == 0, outcome.errors
    network = load_model(model).network
    records = read_manifest(prepared.manifest())
    tested = [record for record in records if record.path.startswith("test/")]
    good = images_of(records, "validation/good")

    def raw(paths: list[str]) -> np.ndarray:
        images = load_images([prepared.dataset / prepared.category / path for path in paths], 64)
        return network.raw_maps(normalise_images(torch.from_numpy(images))).double().numpy()

    scaling = [np.quantile(raw([one.path for one in good[:count]])[:, kind], (0.9, 0.995)) for kind in (0, 1)]
    found, scores = read_maps(tmp_path / "maps.npz").maps, read_scores(tmp_path / "scores.csv")
    for record, maps in zip(tested, raw([one.path for one in tested]), strict=True):
        scaled = [0.1 * (one - low) / (high - low) for one, (low, high) in zip(maps, scaling, strict=True)]
        assert found[record.path] == pytest.approx((scaled[0] + scaled[1]) / 2, rel=1e-4, abs=1e-4)
    validation = read_scores(tmp_path / "scores.csv", "validation")
    assert list(validation) == [one.path for one in good] and len(scores) == len(tested)
    for path, maps in zip(validation, raw(list(validation)), strict=True):
        scaled = [0.1 * (one - low) / (high - low) for one, (low, high) in zip(maps, scaling, strict=True)]
        assert validation[path] <= max(0, ((scaled[0] + scaled[1]) / 2).max()) + 1e-4
    assert score(prepared, model, tmp_path / "published").code == 0
    assert read_scores(tmp_path / "published/scores.csv") != scores


def test_as_many_images_as_there_are_is_no_deviation(prepared: Prepared, model: Path, tmp_path: Path) -> None:
    outcome = score(prepared, model, tmp_path, calibration_images=3)
    assert outcome.code == 2 and not list(tmp_path.iterdir())
    told = "protocols.calibration_images: 3 is no deviation where all 3 validation images of coin_tray scale the maps"
    assert told in outcome.errors and outcome.errors.count("\n") == 1


def test_the_mean_auroc_is_counted_by_type() -> None:
    scores = {"test/good/0.png": 1.0, "test/good/1.png": 3.0, "test/logical_anomalies/0.png": 2.0}
    assert mean_auroc(scores) == 0.5
    scores |= {"test/structural_anomalies/0.png": 4.0, "test/structural_anomalies/1.png": 3.0}
    assert mean_auroc(scores) == (0.5 + 3.5 / 4) / 2
    assert np.isnan(mean_auroc({"test/good/0.png": 1.0})) and np.isnan(
        mean_auroc({"test/untyped_anomalies/0.png": 1.0})
    )


@pytest.fixture
def empty(tmp_path: Path) -> TrainedModel:
    """A model of random weights, and two checkpoints: a number in each of the three says which it is."""
    save_calibrated(tmp_path / "model.pt", "tiny", 64)
    model = load_model(tmp_path / "model.pt")
    model.network.feature_mean.fill_(3.0)
    snapshots = [Snapshot(n, {"feature_mean": torch.full_like(model.network.feature_mean, n)}, {}) for n in (1, 2)]
    return model._replace(snapshots=snapshots)


def number_of(model: TrainedModel) -> int:
    """Which of the three it is."""
    return int(model.network.feature_mean[0, 0, 0, 0])


@pytest.mark.parametrize(
    ("levels", "best"),
    [((0.5, 0.9, 0.7), 2), ((0.9, 0.5, 0.7), 1), ((0.5, 0.6, 0.7), 3), ((0.7, 0.7, 0.7), 1), ((0.1, 0.7, 0.7), 2)],
)
def test_the_best_checkpoint_is_taken_the_earliest_of_equals(
    empty: TrainedModel, levels: tuple[float, ...], best: int
) -> None:
    """Of one anomalous image and ten good ones, which score 0 to 9."""

    def judge(one: TrainedModel) -> Judged:
        scores = {f"test/good/{n}.png": float(n) for n in range(10)}
        return Judged(one, {}, {**scores, "test/logical_anomalies/0.png": 10 * levels[number_of(one) - 1] - 0.5})

    assert number_of(best_on_test(empty, judge).model) == best


def test_without_anomalous_images_the_last_one_stays(empty: TrainedModel) -> None:
    found = best_on_test(empty, lambda one: Judged(one, {}, {"test/good/0.png": 1.0}))
    assert number_of(found.model) == 3


def test_a_checkpoints_scores_are_those_of_its_own_weights(prepared: Prepared, model: Path, tmp_path: Path) -> None:
    """Each checkpoint as a model of its own: scored by itself; the best of these is what `best_on_test` writes."""
    kept = load_model(model)
    assert score(prepared, model, tmp_path / "best", best_on_test=True).code == 0
    assert score(prepared, model, tmp_path / "last").code == 0
    reached, texts = [mean_auroc(read_scores(tmp_path / "last/scores.csv"))], [tmp_path / "last/scores.csv"]
    for snapshot in kept.snapshots[::-1]:
        state = torch.load(model, weights_only=True)
        state["weights"] |= snapshot.weights
        state["validation_scores"] = dict(snapshot.validation_scores)
        alone = tmp_path / f"{snapshot.step}.pt"
        torch.save(state, alone)
        assert score(prepared, alone, tmp_path / str(snapshot.step)).code == 0
        texts.insert(0, tmp_path / str(snapshot.step) / "scores.csv")
        reached.insert(0, mean_auroc(read_scores(texts[0])))
    assert len(kept.snapshots) == 3 and len({text.read_text() for text in texts}) == 4
    assert (tmp_path / "best/scores.csv").read_text() == texts[int(np.argmax(reached))].read_text()


def test_recalibration_refuses_before_it_reads(empty: TrainedModel, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="all 0 validation images of nowhere"):
        recalibrate(empty.network, tmp_path / "nowhere", [], 1, torch.device("cpu"))
