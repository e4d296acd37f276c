"""EfficientAD as it is usually written: eager, every network whole, a sorted quantile, images decoded at each step.

What ours is held against. Straight from Batzner et al. 2024 and its widely used re-implementation; of `dfsc` it uses
the networks alone.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from dfsc.model.networks import IMAGENET_MEAN, IMAGENET_STD, EfficientAD

NORMALISE = transforms.Compose([transforms.ToTensor(), transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD)])


Sample = TypeVar("Sample")


class TrainingImages(Dataset[tuple[Tensor, Tensor]]):
    """An image and its jittered view, normalised, each [3, size, size]; decoded when asked for."""

    def __init__(self, paths: list[Path], size: int) -> None:
        self.paths = paths
        self.resize = transforms.Resize((size, size))
        kinds = ("brightness", "contrast", "saturation")
        self.jitter = transforms.RandomChoice([transforms.ColorJitter(**{kind: 0.2}) for kind in kinds])

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        image = self.resize(Image.open(self.paths[number]).convert("RGB"))
        return NORMALISE(image), NORMALISE(self.jitter(image))


class PenaltyImages(Dataset[Tensor]):
    """Pretraining images as the penalty loss takes them, [3, size, size]."""

    def __init__(self, paths: list[Path], size: int) -> None:
        self.paths = paths
        twice = transforms.Resize((2 * size, 2 * size))
        self.view = transforms.Compose([twice, transforms.RandomGrayscale(0.3), transforms.CenterCrop(size), NORMALISE])

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> Tensor:
        view: Tensor = self.view(Image.open(self.paths[number]).convert("RGB"))
        return view


def endless(dataset: Dataset[Sample], workers: int) -> Iterator[Sample]:
    """Batches of one, shuffled, for ever."""
    pinned, kept = torch.cuda.is_available(), workers > 0
    loader = DataLoader(
        dataset, batch_size=1, shuffle=True, num_workers=workers, pin_memory=pinned, persistent_workers=kept
    )
    while True:
        yield from loader


def plain_losses(model: EfficientAD, image: Tensor, jittered: Tensor, penalty: Tensor) -> dict[str, Tensor]:
    """The baseline's four losses of normalised images, each [n, 3, s, s]."""
    channels = model.feature_mean.shape[1]
    with torch.no_grad():
        teacher = (model.teacher(image) - model.feature_mean) / model.feature_std
        teacher_jittered = (model.teacher(jittered) - model.feature_mean) / model.feature_std
    distance = (teacher - model.student(image)[:, :channels]) ** 2
    hard = torch.quantile(distance, q=0.999)
    autoencoder = model.autoencoder(jittered)
    student_jittered = model.student(jittered)[:, channels:]
    return {
        "hard": torch.mean(distance[distance >= hard]),
        "penalty": torch.mean(model.student(penalty)[:, :channels] ** 2),
        "autoencoder": torch.mean((teacher_jittered - autoencoder) ** 2),
        "student_autoencoder": torch.mean((autoencoder - student_jittered) ** 2),
    }


@torch.no_grad()
def plain_scores(model: EfficientAD, images: Tensor) -> Tensor:
    """Image scores [n] of normalised images [n, 3, s, s]: the maximum of the padded map at the images' size."""
    channels = model.feature_mean.shape[1]
    teacher = (model.teacher(images) - model.feature_mean) / model.feature_std
    student, autoencoder = model.student(images), model.autoencoder(images)
    distances = ((teacher - student[:, :channels]) ** 2, (autoencoder - student[:, channels:]) ** 2)
    anomaly_map = torch.zeros(1, device=images.device)
    for distance, (lower, upper) in zip(distances, model.map_quantiles, strict=True):
        anomaly_map = anomaly_map + 0.5 * 0.1 * (torch.mean(distance, dim=1, keepdim=True) - lower) / (upper - lower)
    anomaly_map = F.interpolate(F.pad(anomaly_map, (4, 4, 4, 4)), images.shape[-2:], mode="bilinear")
    return anomaly_map.amax(dim=(1, 2, 3))
