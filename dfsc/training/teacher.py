"""Teacher pretraining: a PDN learns to describe patches as PatchCore's features of a deep backbone do.

Source: Batzner et al. 2024, appendix; the target is computed as in `dfsc.model.target`.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from dfsc.data.pretraining_images import PretrainingImages, prefetched, to_grey
from dfsc.errors import UserError
from dfsc.files import digest_of, sha256_of, write_json
from dfsc.model.backbone import Backbone, load_backbone
from dfsc.model.networks import SIZES, normalise_images, pdn
from dfsc.model.packaged_weights import PACKAGED
from dfsc.model.saved import save_tensors
from dfsc.model.target import TeacherTarget
from dfsc.provenance import code_digest, provenance
from dfsc.settings.teacher import TeacherSettings
from dfsc.training.checkpoint import Checkpoint
from dfsc.training.device import computing, describe_device
from dfsc.training.loop import LoopOptions, TrainingLog, run_steps
from dfsc.training.randomness import generator, shuffled_index, torch_seed
from dfsc.training.record import cost, write_curve

Views = tuple[NDArray[np.uint8], NDArray[np.uint8]]  # the backbone's [2s, 2s, 3] and the PDN's [s, s, 3]


class _TeacherLearner:
    """The loop's learner: mean squared error between the padded PDN and the normalised target."""

    def __init__(
        self, settings: TeacherSettings, images: PretrainingImages, backbone: Backbone, device: torch.device
    ) -> None:
        self.settings, self.images, self.device = settings, images, device
        torch.manual_seed(torch_seed(settings.seed, "teacher's initial weights"))
        size = SIZES[settings.size]
        self.model = pdn(size, size.output, padding=True).to(device)
        self.optimizer = torch.optim.Adam(
            self.model.parameters(), settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.backbone = backbone.to(device)
        self.target = TeacherTarget(*backbone.channels, size.output).to(device)
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
            first, second = self.backbone(large)
        target: Tensor = self.target(first.float(), second.float())
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
            output = self.model(normalise_images(small))
        loss = (output.float() - target).square().mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return {"distillation": loss.detach()}


def pretrain_teacher(
    settings: TeacherSettings,
    images: PretrainingImages,
    backbone: Backbone,
    device: torch.device,
    checkpoint: Checkpoint,
    options: LoopOptions,
) -> tuple[dict[str, Any], TrainingLog]:
    """Distil the backbone into a PDN; return the teacher's state, to be saved, and the training's log."""
    learner = _TeacherLearner(settings, images, backbone, device)
    learner.measure_normalisation(options.workers)
    log = run_steps(learner, settings.steps, checkpoint, options)
    weights = {name: value.cpu() for name, value in learner.model.state_dict().items()}
    return {"size": settings.size, "weights": weights}, log


class TeacherFiles(NamedTuple):
    """What pretraining writes."""

    teacher: Path
    curve: Path
    record: Path


def run_pretraining(
    settings: TeacherSettings,
    index: Path,
    pretraining_folder: Path,
    backbone_weights: Path | None,
    files: TeacherFiles,
    checkpoints: Path,
    device: torch.device,
    options: LoopOptions,
) -> None:
    """Pretrain a teacher; write `files`.

    Raises UserError as `load_backbone` does; and if there is a file for weights that the settings call random or that
    come with a package, or none for others.
    """
    packaged = PACKAGED.get(settings.backbone) if settings.backbone_weights == "imagenet" else None
    if (settings.backbone_weights == "random" or packaged is not None) != (backbone_weights is None):
        needed = "no file" if backbone_weights else "their file"
        of = f"{settings.backbone_weights}" + (f" from the package {packaged.package}" if packaged else "")
        raise UserError(f"--backbone-weights: `backbone_weights` is {of}; pass {needed}")
    images = PretrainingImages(index, pretraining_folder)
    backbone, weights = load_backbone(settings.backbone, packaged or backbone_weights, settings.seed)
    inputs = {
        "settings": asdict(settings),
        "pretraining_images": {"source": images.source, "digest": images.digest, "count": len(images)},
        "backbone_weights": weights,
        "code": code_digest("teacher pretrain"),
    }
    checkpoint = Checkpoint(checkpoints, digest_of(inputs))
    state, log = pretrain_teacher(settings, images, backbone, device, checkpoint, options)
    save_tensors(files.teacher, state)
    write_curve(files.curve, log)
    teacher = f"pretrained {settings.steps} steps on {images.source}, {settings.backbone} with {weights}"
    made = {"teacher": teacher, "digest": sha256_of(files.teacher), "fingerprint": digest_of(inputs)}
    cost_and_origin = {**cost(log, device), **provenance(describe_device(device))}
    write_json(files.record, {**made, **inputs, **cost_and_origin})
    checkpoint.remove()
