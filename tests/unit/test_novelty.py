"""The difference of teacher and autoencoder: what is kept of it over training changes no bit, and can be drawn."""

from pathlib import Path

import numpy as np
import torch
from conftest import DFSC, Prepared
from test_train import trainer

from dfsc.checkpoint import Checkpoint
from dfsc.difference_log import DifferenceLog, novel_share, read_differences
from dfsc.loop import run_steps
from dfsc.novelty import draw_novelty_over_training


def test_keeping_the_difference_changes_no_bit_of_training(prepared: Prepared, tmp_path: Path) -> None:
    weights = []
    for keep in (False, True):
        learner = trainer(prepared, dfsc=DFSC)
        image = learner.images[0].numpy()
        log = DifferenceLog(learner.modules, image, tmp_path / "dfsc.npz", lambda *progress: None)
        progress = log if keep else log.progress
        run_steps(learner, 12, Checkpoint(tmp_path, f"{keep}"), progress=progress)
        weights.append(learner.modules.state_dict())
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())

    kept = read_differences(tmp_path / "dfsc.npz")
    assert list(kept) == [1, 2, 4, 12], "at the start, and at 10, 30 and 100 % of the steps"
    assert all(squared.ndim == 3 and (squared >= 0).all() for squared in kept.values())
    assert DifferenceLog(learner.modules, image, tmp_path / "dfsc.npz", log.progress).kept.keys() == kept.keys()
    draw_novelty_over_training([tmp_path / "dfsc.npz"] * 2, [0.9, 0.99], tmp_path / "figure", "coin tray")
    assert (tmp_path / "figure.pdf").stat().st_size > 1000 and (tmp_path / "figure.png").stat().st_size > 1000


def test_the_novel_set_is_what_the_loss_acts_on() -> None:
    squared = torch.rand(8, 5, 5, generator=torch.Generator().manual_seed(0))
    share = novel_share(squared, 0.9)
    assert share.shape == (5, 5) and share.mean() == np.float32(20 / 200)
    np.testing.assert_array_equal(share, (squared >= torch.quantile(squared, 0.9)).float().mean(dim=0).numpy())
