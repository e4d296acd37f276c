"""One training step as it is usually written: eager, every network whole, a sorted quantile. What ours is held against.

Straight from Batzner et al. 2024 and its widely used re-implementation; no code of `dfsc` beside the networks.
"""

import torch
from torch import Tensor

from dfsc.networks import EfficientAD


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
