"""Model files of networks that nothing trained."""

from collections.abc import Sequence
from pathlib import Path

import torch

from dfsc.model.maps import PADDING_MODES
from dfsc.model.networks import EfficientAD
from dfsc.model.trained import ORIGIN, TrainedModel, save_model


def save_network(path: Path, network: EfficientAD, scores: Sequence[float] = (0.0, 1.0, 2.0)) -> None:
    """Save a network as a trained model; `scores`: of its validation images, whatever the padding."""
    kept = dict.fromkeys(PADDING_MODES, torch.tensor(scores, dtype=torch.float32))
    names = [f"validation/good/{number:03}.png" for number in range(len(scores))]
    save_model(path, TrainedModel(network, names, kept, dict.fromkeys(ORIGIN, "a test")))
