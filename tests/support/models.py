"""Model files of networks that nothing trained."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from dfsc.model.maps import PADDING_MODES
from dfsc.model.networks import EfficientAD
from dfsc.model.trained import ORIGIN, TrainedModel, save_model
from dfsc.training.calibration import calibrate


def save_network(path: Path, network: EfficientAD, scores: Sequence[float] = (0.0, 1.0, 2.0)) -> None:
    """Save a network as a trained model; `scores`: of its validation images, whatever the padding."""
    kept = dict.fromkeys(PADDING_MODES, torch.tensor(scores, dtype=torch.float32))
    names = [f"validation/good/{number:03}.png" for number in range(len(scores))]
    save_model(path, TrainedModel(network, names, kept, dict.fromkeys(ORIGIN, "a test")))


def save_calibrated(
    path: Path, size: str, image_size: int, scores: Sequence[float] | None = None, seed: int = 0
) -> None:
    """Save a model of random weights, its maps scaled as noise needs it, with scores of noise or those given."""
    torch.manual_seed(seed)
    network = EfficientAD(size, image_size).eval()
    noise = np.random.default_rng(seed).integers(0, 255, (9 if size == "tiny" else 2, image_size, image_size, 3))
    maps = calibrate(network, noise.astype(np.uint8), torch.device("cpu"))
    save_network(path, network, scores or maps.max(axis=(1, 2)).tolist() * (1 if size == "tiny" else 5))
