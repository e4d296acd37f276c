"""Teacher pretraining: a PDN learns to describe patches as PatchCore's features of a deep backbone do.

Source: Batzner et al. 2024, appendix; the target is computed as in `dfsc.backbone`.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from dfsc.backbone import TeacherTarget, backbone_features
from dfsc.checkpoint import Checkpoint, load_tensors
from dfsc.device import computing
from dfsc.errors import UserError
from dfsc.loop import Progress, TrainingLog, run_steps
from dfsc.networks import SIZES, normalise_images, pdn
from dfsc.pretraining_images import PretrainingImages, prefetched, to_grey
from dfsc.randomness import generator, shuffled_index, torch_seed
from dfsc.settings.teacher import TeacherSettings

Views = tuple[NDArray[np.uint8], NDArray[np.uint8]]  # the backbone's [2s, 2s, 3] and the PDN's [s, s, 3]


class _Distillation:
    """The loop's learner: mean squared error between the padded PDN and the normalised target."""

    def __init__(
        self, settings: TeacherSettings, images: PretrainingImages, backbone: nn.Module, device: torch.device
    ) -> None:
        self.settings, self.images, self.device = settings, images, device
        torch.manual_seed(torch_seed(settings.seed, "teacher's initial weights"))
        size = SIZES[settings.size]
        self.modules = pdn(size, size.output, padding=True).to(device)
        self.optimizer = torch.optim.Adam(
            self.modules.parameters(), settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.backbone = backbone.to(device)
        with torch.no_grad(), computing(device, settings.precision):
            probe = backbone_features(self.backbone, torch.zeros(1, 3, 64, 64, device=device))
        self.target = TeacherTarget(probe[0].shape[1], probe[1].shape[1], size.output).to(device)
        self.mean, self.std = torch.zeros(1, device=device), torch.ones(1, device=device)

    def views(self, number: int, grey: bool) -> Views:
        """Both views of one image; both turn grey together."""
        image, size = self.images.image(number), self.settings.image_size
        large, small = (np.asarray(image.resize((side, side), Image.Resampling.BILINEAR)) for side in (2 * size, size))
        return (to_grey(large), to_grey(small)) if grey else (large, small)

    def draw(self, step: int) -> list[Views]:
        """The step's views, `batch_size` of them."""
        settings = self.settings
        grey = generator(settings.seed, "teacher's grey images", step).random(settings.batch_size)
        return [
            self.views(
                shuffled_index(settings.seed, len(self.images), step * settings.batch_size + number),
                bool(grey[number] < settings.grey_probability),
            )
            for number in range(settings.batch_size)
        ]

    def features(self, views: list[Views]) -> Tensor:
        """Normalised targets [n, channels, s/4, s/4] of the large views."""
        large = torch.from_numpy(np.stack([view[0] for view in views])).to(self.device)
        with torch.no_grad(), computing(self.device, self.settings.precision):
            layer2, layer3 = backbone_features(self.backbone, normalise_images(large))
        target: Tensor = self.target(layer2.float(), layer3.float())
        return (target - self.mean) / self.std

    def measure_normalisation(self, workers: int) -> None:
        """Set the target's channel mean and standard deviation from `normalisation_images` images."""
        batch = self.settings.batch_size
        count = min(self.settings.normalisation_images, len(self.images))
        total = square = torch.zeros(())
        positions = 0

        def load(start: int) -> list[Views]:
            return [
                self.views(shuffled_index(self.settings.seed + 1, len(self.images), number), False)
                for number in range(start, min(start + batch, count))
            ]

        for views in prefetched(load, range(0, count, batch), workers):
            features = self.features(views).double()
            total = total + features.sum(dim=(0, 2, 3)).cpu()
            square = square + features.square().sum(dim=(0, 2, 3)).cpu()
            positions += features[:, 0].numel()
        mean = total / positions
        std = (square / positions - mean.square()).clamp_min(1e-12).sqrt()
        self.mean, self.std = (value.float().to(self.device).reshape(1, -1, 1, 1) for value in (mean, std))

    def update(self, step: int, drawn: list[Views]) -> dict[str, Tensor]:
        """One step of Adam on the mean squared error."""
        small = torch.from_numpy(np.stack([views[1] for views in drawn])).to(self.device)
        target = self.features(drawn)
        with computing(self.device, self.settings.precision):
            output = self.modules(normalise_images(small))
        loss = (output.float() - target).square().mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return {"distillation": loss.detach()}


def pretrain_teacher(
    settings: TeacherSettings,
    images: PretrainingImages,
    backbone: nn.Module,
    device: torch.device,
    checkpoint: Checkpoint,
    *,
    workers: int,
    checkpoint_seconds: float,
    progress: Progress,
) -> tuple[dict[str, Any], TrainingLog]:
    """Distil the backbone into a PDN; return the teacher's state, to be saved, and the training's log."""
    learner = _Distillation(settings, images, backbone, device)
    learner.measure_normalisation(workers)
    log = run_steps(
        learner, settings.steps, checkpoint, checkpoint_seconds=checkpoint_seconds, workers=workers, progress=progress
    )
    weights = {name: value.cpu() for name, value in learner.modules.state_dict().items()}
    return {"size": settings.size, "weights": weights}, log


def load_teacher(path: Path, size: str) -> dict[str, Tensor]:
    """The weights of a saved teacher. Raises UserError naming the file if it is none, or one of another size."""
    state = load_tensors(path, "a teacher")
    if state.get("size") != size:
        raise UserError(f"{path}: is a teacher of size {state.get('size', 'unknown')}, but size {size} is asked for")
    network = pdn(SIZES[size], SIZES[size].output)
    expected = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in state["weights"].items()}
    if found != expected:
        raise UserError(f"{path}: its weights do not fit a teacher of size {size}; pretrain it again")
    weights: dict[str, Tensor] = state["weights"]
    return weights
