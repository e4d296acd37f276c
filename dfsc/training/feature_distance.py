"""The feature distance (T' - A)^2 of teacher and autoencoder, and how it changes over a training, of one image."""

import copy
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from dfsc.files import MADE_ANEW, open_archive, reading, written_whole
from dfsc.model.losses import quantile_threshold
from dfsc.model.networks import EfficientAD, normalise_images
from dfsc.training.loop import Progress

DISTANCES = "the feature distances of a training"
SHARES = (0.0, 0.1, 0.3, 1.0)  # of the steps: looked at when training first reports at or after each


@torch.no_grad()
def feature_distance(model: EfficientAD, images: NDArray[np.uint8]) -> torch.Tensor:
    """(T' - A)^2 per element, [n, channels, h, w], of uint8 images [n, s, s, 3], in evaluation mode on the CPU.

    The model is left as it is: a copy computes.
    """
    seen = copy.deepcopy(model).cpu().eval()
    batch = normalise_images(torch.from_numpy(images))
    squared: torch.Tensor = (seen.teacher_features(batch) - seen.autoencoder(batch)).square()
    return squared


def novel_share(squared: torch.Tensor, quantile: float) -> NDArray[np.float32]:
    """Share of the channels that are novel at each position of one image, [h, w] in 0..1.

    `squared` [channels, h, w]; novel are the elements at or above their `quantile`, as in training with batch 1.
    """
    novel = squared >= quantile_threshold(squared, quantile)
    share: NDArray[np.float32] = novel.float().mean(dim=0).numpy()
    return share


class DistanceLog:
    """A progress callback that keeps (T' - A)^2 of one image at a few steps, in a file that outlives interruptions."""

    def __init__(self, model: EfficientAD, image: NDArray[np.uint8], path: Path, progress: Progress) -> None:
        """`image`: uint8 [s, s, 3]; `path`: npz to write; `progress` is called first, as without this."""
        self.model, self.image, self.path, self.progress = model, image, path, progress
        self.kept = read_distances(path) if path.exists() else {}

    def __call__(self, step: int, steps: int, losses: Mapping[str, float]) -> None:
        """Report progress; keep the distance where one of SHARES is reached for the first time."""
        self.progress(step, steps, losses)
        reached = sum(step >= share * steps for share in SHARES)
        if reached > sum(any(kept >= share * steps for kept in self.kept) for share in SHARES):
            self.kept[step] = feature_distance(self.model, self.image[None])[0].half().numpy()
            with written_whole(self.path) as temporary, temporary.open("wb") as stream:
                arrays = {"image": self.image, **{str(step): kept for step, kept in self.kept.items()}}
                np.savez_compressed(stream, allow_pickle=False, **arrays)  # type: ignore[arg-type]


def read_logged_image(path: Path) -> NDArray[np.uint8]:
    """The training image that the distances are of, uint8 [s, s, 3]. Raises UserError naming the file."""
    with reading(path, DISTANCES, MADE_ANEW), open_archive(path) as archive:
        image: NDArray[np.uint8] = archive["image"]
    return image


def read_distances(path: Path) -> dict[int, NDArray[np.float16]]:
    """Step -> (T' - A)^2, float16 [channels, h, w], in the order of the steps. Raises UserError naming the file."""
    with reading(path, DISTANCES, MADE_ANEW), open_archive(path) as archive:
        return {int(name): archive[name] for name in sorted(set(archive.files) - {"image"}, key=int)}
