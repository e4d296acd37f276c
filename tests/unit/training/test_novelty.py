"""The feature distance (T' - A)^2: what is kept of it over training changes no bit, and can be drawn."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from dfsc.data.images import load_images
from dfsc.model.networks import EfficientAD, normalise_images
from dfsc.report.figures.novelty import draw_novelty, draw_novelty_over_training
from dfsc.training.checkpoint import Checkpoint
from dfsc.training.feature_distance import DistanceLog, feature_distance, novel_share, read_distances, read_logged_image
from dfsc.training.loop import LoopOptions, run_steps
from support.figures import check_figure
from support.learners import learner_of
from support.models import save_network
from support.prepared import DFSC, Prepared


def test_keeping_the_distance_changes_no_bit_of_training(prepared: Prepared, tmp_path: Path) -> None:
    weights = []
    for keep in (False, True):
        learner = learner_of(prepared, dfsc=DFSC)
        image = learner.images[0].numpy()
        log = DistanceLog(learner.model, image, tmp_path / "dfsc.npz", lambda *progress: None)
        progress = log if keep else log.progress
        run_steps(learner, 12, Checkpoint(tmp_path, f"{keep}"), LoopOptions(progress=progress))
        weights.append(learner.model.state_dict())
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())

    kept = read_distances(tmp_path / "dfsc.npz")
    assert list(kept) == [1, 2, 4, 12], "at the start, and at 10, 30 and 100 % of the steps"
    assert all(squared.ndim == 3 and (squared >= 0).all() for squared in kept.values())
    np.testing.assert_array_equal(read_logged_image(tmp_path / "dfsc.npz"), image)
    np.testing.assert_array_equal(kept[12], feature_distance(learner.model, image[None])[0].half().numpy())
    assert not np.array_equal(image, image[:, ::-1]) and not np.array_equal(kept[1], kept[2])
    assert DistanceLog(learner.model, image, tmp_path / "dfsc.npz", log.progress).kept.keys() == kept.keys()
    logs = dict.fromkeys(("EfficientAD", "DFSC"), tmp_path / "dfsc.npz")
    draw_novelty_over_training(logs, [0.9, 0.99], tmp_path / "figure", "coin tray")
    check_figure(tmp_path / "figure")


def test_the_novel_set_is_what_the_loss_acts_on() -> None:
    squared = torch.rand(8, 5, 5, generator=torch.Generator().manual_seed(0))
    share = novel_share(squared, 0.9)
    assert share.shape == (5, 5) and share.mean() == np.float32(20 / 200)
    np.testing.assert_array_equal(share, (squared >= torch.quantile(squared, 0.9)).float().mean(dim=0).numpy())


def model_of(seed: int) -> EfficientAD:
    """A model with random weights, its autoencoder's output scaled to differ from seed to seed."""
    torch.manual_seed(seed)
    model = EfficientAD("tiny", 64)
    model.feature_mean.fill_(0.01 * seed)
    model.feature_std.fill_(0.1 * seed)
    return model


def test_the_distance_is_of_the_model_without_dropout_and_leaves_it_as_it_is() -> None:
    model = model_of(1).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    torch.manual_seed(3)
    expected_next = torch.rand(1)
    torch.manual_seed(3)
    squared = feature_distance(model, images)
    assert torch.rand(1) == expected_next, "a random number was drawn"
    assert all(module.training for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not squared.requires_grad and all(parameter.grad is None for parameter in model.parameters())

    views = normalise_images(torch.from_numpy(images))
    teacher = (model.teacher(views) - model.feature_mean) / model.feature_std
    expected = (teacher - model.autoencoder.eval()(views)) ** 2
    torch.testing.assert_close(squared, expected.detach())


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that would be saved."""
    figures: list[Figure] = []
    monkeypatch.setattr("dfsc.report.figures.novelty.save_figure", lambda figure, path: figures.append(figure))
    return figures


def shown(figure: Figure) -> tuple[list[str], list[str], list[list[np.ndarray]]]:
    """Titles of the columns, labels of the rows, and what each cell shows."""
    grid = figure.axes[0].get_gridspec()
    assert grid is not None
    columns = grid.ncols
    rows = [figure.axes[start : start + columns] for start in range(0, len(figure.axes), columns)]
    cells = [[np.asarray(axis.images[0].get_array()) for axis in row] for row in rows]
    return [axis.get_title() for axis in rows[0]], [row[0].get_ylabel() for row in rows], cells


def test_each_cell_is_of_its_row_and_column(prepared: Prepared, tmp_path: Path, drawn: list[Figure]) -> None:
    models = [model_of(1), model_of(2)]
    paths = {"EfficientAD": tmp_path / "baseline.pt", "DFSC-tiny τ'=0.9": tmp_path / "dfsc.pt"}
    for model, path in zip(models, paths.values(), strict=True):
        save_network(path, model)
    category = prepared.dataset / prepared.category
    draw_novelty(paths, category, [0.9, 0.99], tmp_path / "figure", "generated")

    titles, labels, cells = shown(drawn[0])
    assert titles == ["image", "ground truth", "(T' − A)²", "novel, τ'=0.9", "novel, τ'=0.99"]
    folders = ["train/good", "test/logical_anomalies", "test/structural_anomalies"]
    assert labels == [f"{method}\n{folder}" for folder in folders for method in paths]
    for number, row in enumerate(cells):
        (image,) = load_images([category / folders[number // 2] / "000.png"], 64)
        squared = feature_distance(models[number % 2], image[None])[0]
        np.testing.assert_array_equal(row[0], image)
        np.testing.assert_allclose(row[2], squared.mean(dim=0), rtol=1e-5)
        for share, quantile in zip(row[3:], (0.9, 0.99), strict=True):
            expected = (squared >= torch.quantile(squared, quantile)).float().mean(dim=0)
            np.testing.assert_allclose(share, expected, atol=2 / 64)  # an element at the threshold's rounding
        assert row[1].any() == (number // 2 > 0), "the ground truth is empty for a good image alone"


def test_each_row_over_training_is_of_its_method_and_step(tmp_path: Path, drawn: list[Figure]) -> None:
    image = np.full((64, 64, 3), 7, np.uint8)
    kept = {(which, step): np.full((4, 8, 8), 10 * which + step, np.float16) for which in (1, 2) for step in (3, 12)}
    for (which, step), squared in kept.items():
        squared[0, which, step % 8] += 1  # the one element above all others
    for which in (1, 2):
        arrays: dict[str, Any] = {str(step): squared for (of, step), squared in kept.items() if of == which}
        np.savez(tmp_path / f"{which}.npz", image=image, **arrays)
    logs = {"EfficientAD": tmp_path / "1.npz", "DFSC-tiny τ'=0.9": tmp_path / "2.npz"}
    draw_novelty_over_training(logs, [0.5, 0.999], tmp_path / "figure", "tray")

    titles, labels, cells = shown(drawn[0])
    assert titles == ["image", "(T' − A)²", "novel, τ'=0.5", "novel, τ'=0.999"]
    assert labels == [f"{method}\nstep {step}" for method in logs for step in (3, 12)]
    for row, squared in zip(cells, kept.values(), strict=True):
        np.testing.assert_array_equal(row[0], image)
        np.testing.assert_allclose(row[1], squared.astype(float).mean(axis=0))
        np.testing.assert_array_equal(row[2], np.ones((8, 8)))
        np.testing.assert_array_equal(row[3], 0.25 * (squared[0] == squared.max()))


def test_what_is_kept_is_of_that_step_and_image(prepared: Prepared, tmp_path: Path) -> None:
    learner = learner_of(prepared)
    image = learner.images[1].numpy()
    log = DistanceLog(learner.model, image, tmp_path / "log.npz", lambda *progress: None)
    expected = []
    for step in (1, 2):
        learner.update(step, learner.draw(step))
        expected.append(feature_distance(learner.model, image[None])[0].half())
        log(step, 2, {})
    for found, squared in zip(read_distances(tmp_path / "log.npz").values(), expected, strict=True):
        np.testing.assert_array_equal(found, squared)
