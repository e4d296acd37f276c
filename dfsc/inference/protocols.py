"""Two deviations that judge a trained model otherwise than published, as public code does: for Table 7 alone.

docs/why_is_my_number_another.md says what is compared there.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from dfsc.data.images import load_images
from dfsc.data.layout import FileRecord
from dfsc.errors import UserError
from dfsc.metrics.auroc import auroc
from dfsc.model.networks import EfficientAD
from dfsc.model.trained import TrainedModel
from dfsc.training.calibration import calibrate


class Judged(NamedTuple):
    """A model, and what it says of the test images."""

    model: TrainedModel
    maps: dict[str, NDArray[np.float32]]  # 'test/good/000.png' -> small anomaly map
    scores: dict[str, float]  # 'test/good/000.png' -> image score


Judge = Callable[[TrainedModel], Judged]


def recalibrate(
    network: EfficientAD, folder: Path, good: Sequence[FileRecord], count: int, device: torch.device
) -> None:
    """Take the quantiles that scale a network's maps from the first `count` of its validation images alone.

    `good`: all of them, below the category's `folder`. Raises UserError if there are not more, and as `calibrate`.
    """
    if len(good) <= count:
        raise UserError(
            f"protocols.calibration_images: {count} is no deviation where all {len(good)} validation images of "
            f"{folder.name} scale the maps; choose fewer"
        )
    images = load_images([folder / record.path for record in good[:count]], network.image_size)
    calibrate(network.to(device), images, device)


def best_on_test(model: TrainedModel, judge: Judge) -> Judged:
    """Of a model and its snapshots the one with the highest mean AUROC of the test images, the earliest if several.

    Where test images are not good and anomalous, the model itself.
    """
    judged = [judge(earlier) for earlier in _earlier(model)] + [judge(model)]
    reached = [mean_auroc(one.scores) for one in judged]
    if np.isnan(reached).any():
        return judged[-1]
    steps = [f"step {snapshot.step}" for snapshot in model.snapshots] + ["the end"]
    for step, value in zip(steps, reached, strict=True):
        print(f"{step}: mean image AUROC of the test images {value:.4f}")
    return judged[int(np.argmax(reached))]


def _earlier(model: TrainedModel) -> list[TrainedModel]:
    found = []
    for snapshot in model.snapshots:
        network = EfficientAD(model.network.size_name, model.network.image_size)
        network.load_state_dict({**model.network.state_dict(), **snapshot.weights})
        scores = snapshot.validation_scores
        found.append(model._replace(network=network.eval().requires_grad_(False), validation_scores=scores))
    return found


def mean_auroc(scores: Mapping[str, float]) -> float:
    """The benchmark's headline of one category, from image scores by path; NaN without good or anomalous images."""
    by_folder: dict[str, list[float]] = {}
    for path, score in scores.items():
        by_folder.setdefault(path.split("/")[1], []).append(score)
    good = by_folder.pop("good", [])
    if not good or not by_folder:
        return float("nan")
    return float(np.mean([auroc(good, anomalous) for anomalous in by_folder.values()]))
