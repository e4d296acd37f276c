"""Training of one model, baseline or DFSC: they differ by the autoencoder's loss that `dfsc.losses` injects.

Source: Batzner et al. 2024, algorithm 1, and its widely used re-implementation.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torchvision.transforms.functional as image_operations
from numpy.typing import NDArray
from torch import Tensor

from dfsc.checkpoint import Checkpoint
from dfsc.device import Precision, computing
from dfsc.loop import Progress, TrainingLog, run_steps
from dfsc.losses import DfscSettings, autoencoder_loss, hard_loss, penalty_loss, student_autoencoder_loss
from dfsc.networks import EfficientAD, normalise_images, standardise
from dfsc.pretraining_images import PretrainingImages
from dfsc.randomness import generator, shuffled_index, torch_seed

JITTERS = (image_operations.adjust_brightness, image_operations.adjust_contrast, image_operations.adjust_saturation)
MAP_QUANTILES = (0.9, 0.995)  # of the validation maps, scaled to 0 and 0.1 (Batzner et al. 2024)
INFERENCE_BATCH = 16


@dataclass(frozen=True)
class TrainingSettings:
    """Everything, beside images, teacher and code, that shapes a model's weights."""

    size: str  # key of networks.SIZES
    image_size: int  # pixels
    steps: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    learning_rate_drop_after: float  # share of the steps, 0..1
    learning_rate_drop_factor: float
    hard_quantile: float  # of L_hard, 0..1
    jitter: float  # brightness, contrast or saturation is scaled by U(1 - jitter, 1 + jitter)
    penalty_grey_probability: float
    precision: Precision
    seed: int
    dfsc: DfscSettings | None  # None is the baseline


class Draw(NamedTuple):
    """One step's random choices."""

    images: list[int]
    jitters: list[tuple[int, float]]  # which of JITTERS, and its factor
    penalty: NDArray[np.uint8]  # [n, size, size, 3]


class Trainer:
    """The loop's learner: student and autoencoder of one model."""

    def __init__(
        self,
        settings: TrainingSettings,
        images: NDArray[np.uint8],
        penalty: PretrainingImages,
        teacher: dict[str, Tensor],
        device: torch.device,
    ) -> None:
        """`images`: training images, uint8 [n, size, size, 3]; `teacher`: the weights of a pretrained teacher."""
        self.settings, self.penalty, self.device = settings, penalty, device
        torch.manual_seed(torch_seed(settings.seed, "initial weights"))
        self.modules = EfficientAD(settings.size, settings.image_size).to(device)
        self.modules.teacher.load_state_dict(teacher)
        self.autoencoder_loss = autoencoder_loss(settings.dfsc)
        learned = [parameter for parameter in self.modules.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.Adam(
            learned, settings.learning_rate, weight_decay=settings.weight_decay, fused=True
        )
        self.images = torch.from_numpy(images).to(device)
        self._set_feature_statistics()

    def _set_feature_statistics(self) -> None:
        # Two passes: a difference of squares would lose digits, and keeping all features would take gigabytes.
        mean = self._channel_mean(lambda features: features)
        variance = self._channel_mean(lambda features: (features - mean).square())
        self.modules.feature_mean.copy_(mean)
        self.modules.feature_std.copy_(variance.sqrt())

    def _channel_mean(self, function: Callable[[Tensor], Tensor]) -> Tensor:
        total, positions = torch.zeros((), dtype=torch.float64, device=self.device), 0
        for batch in self.images.split(INFERENCE_BATCH):
            with torch.no_grad():
                features = function(self.modules.teacher(normalise_images(batch)).double())
            total = total + features.sum(dim=(0, 2, 3), keepdim=True)
            positions += features[:, 0].numel()
        return total / positions

    def draw(self, step: int) -> Draw:
        """Choices of the step: equal for baseline and DFSC of one seed."""
        settings = self.settings
        numbers = range(step * settings.batch_size, (step + 1) * settings.batch_size)
        jitter = generator(settings.seed, "jitter", step)
        penalty = generator(settings.seed, "penalty", step)
        return Draw(
            [shuffled_index(settings.seed, len(self.images), number) for number in numbers],
            [
                (int(jitter.integers(len(JITTERS))), float(jitter.uniform(1 - settings.jitter, 1 + settings.jitter)))
                for _ in numbers
            ],
            np.stack(
                [
                    self.penalty.penalty_crop(
                        int(penalty.integers(len(self.penalty))),
                        settings.image_size,
                        bool(penalty.random() < settings.penalty_grey_probability),
                    )
                    for _ in numbers
                ]
            ),
        )

    def losses(self, drawn: Draw) -> dict[str, Tensor]:
        """The four losses of one batch, whose sum is minimised."""
        model, count = self.modules, len(drawn.images)
        images = self.images[drawn.images].permute(0, 3, 1, 2).float() / 255
        jittered = torch.stack(
            [JITTERS[kind](image, factor) for image, (kind, factor) in zip(images, drawn.jitters, strict=True)]
        )
        penalty = torch.from_numpy(drawn.penalty).to(self.device).permute(0, 3, 1, 2).float() / 255
        batch = standardise(torch.cat([jittered, images, penalty]))

        with computing(self.device, self.settings.precision):
            teacher_jittered, teacher = model.teacher_features(batch[: 2 * count]).float().split(count)
            autoencoder = model.autoencoder(batch[:count]).float()
            trunk = model.student.trunk(batch)
            student, student_penalty = model.student.teacher_half(trunk[count:]).float().split(count)
            student_jittered = model.student.autoencoder_half(trunk[:count]).float()
        return {
            "hard": hard_loss(teacher, student, self.settings.hard_quantile),
            "penalty": penalty_loss(student_penalty),
            "autoencoder": self.autoencoder_loss(teacher_jittered, autoencoder),
            "student_autoencoder": student_autoencoder_loss(autoencoder, student_jittered),
        }

    def update(self, step: int, drawn: Draw) -> dict[str, Tensor]:
        """One step of Adam on the sum of the losses."""
        settings = self.settings
        dropped = step >= int(settings.learning_rate_drop_after * settings.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = settings.learning_rate * (settings.learning_rate_drop_factor if dropped else 1)
        torch.manual_seed(torch_seed(settings.seed, "dropout", step))
        losses = self.losses(drawn)
        self.optimizer.zero_grad()
        sum(losses.values(), torch.zeros((), device=self.device)).backward()
        self.optimizer.step()
        return {name: loss.detach() for name, loss in losses.items()}


def train(
    trainer: Trainer,
    validation: NDArray[np.uint8],
    checkpoint: Checkpoint,
    *,
    workers: int,
    checkpoint_seconds: float,
    progress: Progress,
) -> TrainingLog:
    """Train the trainer's model and set its map quantiles from `validation`, uint8 [n, size, size, 3].

    The model is then `trainer.modules`, in evaluation mode.
    """
    log = run_steps(
        trainer,
        trainer.settings.steps,
        checkpoint,
        checkpoint_seconds=checkpoint_seconds,
        workers=workers,
        progress=progress,
    )
    model = trainer.modules.eval()
    with computing(trainer.device, trainer.settings.precision):
        maps = torch.cat(
            [
                model.raw_maps(normalise_images(batch.to(trainer.device))).float().cpu()
                for batch in torch.from_numpy(validation).split(INFERENCE_BATCH)
            ]
        )
    quantiles = np.quantile(maps.transpose(0, 1).flatten(1).double().numpy(), MAP_QUANTILES, axis=1).T
    model.map_quantiles.copy_(torch.from_numpy(quantiles))
    return log


def model_state(model: EfficientAD) -> dict[str, object]:
    """The model as it is saved: self-contained, equal bits for equal weights."""
    weights = {name: value.cpu() for name, value in model.state_dict().items()}
    return {"size": model.size_name, "image_size": model.image_size, "weights": weights}
