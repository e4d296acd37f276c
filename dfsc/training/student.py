"""Training of one model, baseline or DFSC: they differ by the autoencoder's loss that `dfsc.model.losses` injects.

Source: Batzner et al. 2024, algorithm 1, and its widely used re-implementation.
"""

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torchvision.transforms.functional as image_operations
from numpy.typing import NDArray
from torch import Tensor

from dfsc.data.decoded import CategoryImages
from dfsc.data.layout import images_of, read_manifest
from dfsc.data.pretraining_images import PretrainingImages
from dfsc.errors import UserError
from dfsc.files import digest_of, read_record, sha256_of, write_json, written_whole
from dfsc.model.losses import (
    Watched,
    autoencoder_loss,
    hard_elements,
    hard_loss,
    penalty_loss,
    student_autoencoder_loss,
)
from dfsc.model.networks import EfficientAD, standardise
from dfsc.model.saved import load_teacher
from dfsc.model.trained import TrainedModel, save_model
from dfsc.provenance import code_digest, provenance
from dfsc.settings.training import TrainingProtocol, TrainingSettings
from dfsc.training.calibration import calibrate, validation_scores
from dfsc.training.checkpoint import Checkpoint
from dfsc.training.compiled_code import CompiledCode, compiled_code
from dfsc.training.device import compiled, computed_on, computing, describe_device, placed
from dfsc.training.feature_distance import DistanceLog
from dfsc.training.feature_statistics import feature_statistics, kept_statistics
from dfsc.training.loop import LoopOptions, run_steps
from dfsc.training.randomness import generator, shuffled_index, torch_seed
from dfsc.training.record import cost, write_curve
from dfsc.training.replay import Replay
from dfsc.training.snapshots import SnapshotLog

JITTERS = (image_operations.adjust_brightness, image_operations.adjust_contrast, image_operations.adjust_saturation)
KEPT_FEATURES_BYTES = 4 * 2**30  # LOCO's largest category takes 1.8 GB at 256 pixels


class Draw(NamedTuple):
    """One step's random choices."""

    numbers: list[int]  # of training images
    jitters: list[tuple[int, float]]  # which of JITTERS, and its factor
    penalty: Tensor  # uint8 [n, size, size, 3]


class ModelLearner:
    """The loop's learner: student and autoencoder of one model."""

    def __init__(
        self,
        settings: TrainingSettings,
        images: NDArray[np.uint8],
        penalty: PretrainingImages,
        teacher: dict[str, Tensor],
        device: torch.device,
        code: CompiledCode | None = None,
        statistics: Path | None = None,
    ) -> None:
        """`images`: training images, uint8 [n, size, size, 3]; `teacher`: the weights of a pretrained teacher.

        `code`, `statistics`: where compiled code, and the teacher's statistics on these images, are kept, if they are.
        """
        self.settings, self.penalty, self.device = settings, penalty, device
        self.protocol = settings.protocol or TrainingProtocol()
        torch.manual_seed(torch_seed(settings.seed, "initial weights"))
        self.model = placed(EfficientAD(settings.size, settings.image_size), device)
        self.model.teacher.load_state_dict(teacher)
        self.autoencoder_loss = autoencoder_loss(settings.dfsc)
        learned = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.Adam(
            learned, settings.learning_rate, weight_decay=settings.weight_decay, fused=True
        )
        self.replay = Replay()
        self.images = torch.from_numpy(images).to(device)
        self._kept_features: dict[int, Tensor] = {}
        self._compiles = compiles(settings, device)
        self._compute = compiled(self.losses) if self._compiles else self.losses
        self._names: list[str] = []  # of what a step returns, in its order
        self._code = code
        found = kept_statistics(
            statistics, lambda: feature_statistics(self.model.teacher, self.images, settings.precision), device
        )
        self.model.feature_mean.copy_(found.mean)
        self.model.feature_std.copy_(found.spread)

    def draw(self, step: int) -> Draw:
        """Choices of the step: equal for baseline and DFSC of one seed."""
        settings = self.settings
        numbers = range(step * settings.batch_size, (step + 1) * settings.batch_size)
        jitter = generator(settings.seed, "jitter", step)
        penalty = generator(settings.seed, "penalty", step)
        crops = [
            self.penalty.penalty_crop(
                int(penalty.integers(len(self.penalty))),
                settings.image_size,
                bool(penalty.random() < settings.penalty_grey_probability),
            )
            for _ in numbers
        ]
        jitters = [
            (int(jitter.integers(len(JITTERS))), float(jitter.uniform(1 - settings.jitter, 1 + settings.jitter)))
            for _ in numbers
        ]
        chosen = [shuffled_index(settings.seed, len(self.images), number) for number in numbers]
        stacked = torch.from_numpy(np.stack(crops))
        return Draw(chosen, jitters, stacked.pin_memory() if self.device.type == "cuda" else stacked)

    def views(self, drawn: Draw) -> tuple[Tensor, Tensor]:
        """The step's images, normalised [3 n, 3, s, s]: jittered, as they are, of the penalty; and T' of the second."""
        # One by one: a list of numbers would go to the GPU, which waits until all work there is done.
        images = torch.stack([self.images[number] for number in drawn.numbers]).permute(0, 3, 1, 2).float() / 255
        jittered = torch.stack(
            [JITTERS[kind](image, factor) for image, (kind, factor) in zip(images, drawn.jitters, strict=True)]
        )
        penalty = drawn.penalty.to(self.device, non_blocking=True).permute(0, 3, 1, 2).float() / 255
        views = standardise(torch.cat([jittered, images, penalty]))
        numbered = zip(drawn.numbers, views.chunk(3)[1], strict=True)
        return views, torch.cat([self._teacher_features(number, image[None]) for number, image in numbered])

    def losses(self, views: Tensor, teacher: Tensor) -> tuple[dict[str, Tensor], Watched]:
        """The losses of one batch, as `views` gives it, whose sum is minimised; and what is watched beside."""
        model, jittered = self.model, views.chunk(3)[0]
        teacher_jittered = model.teacher_features(jittered).float()
        autoencoder = model.autoencoder(jittered).float()
        trunk_jittered, trunk, trunk_penalty = model.student.trunk(views).chunk(3)
        student_jittered = model.student.autoencoder_half(trunk_jittered).float()
        of_autoencoder, watched = self.autoencoder_loss(teacher_jittered, autoencoder)
        losses = {
            "hard": self._hard_loss(teacher, trunk),
            "penalty": penalty_loss(model.student.teacher_half(trunk_penalty).float()),
            "autoencoder": of_autoencoder,
            "student_autoencoder": student_autoencoder_loss(autoencoder, student_jittered),
        }
        if not self.protocol.penalty:
            del losses["penalty"]
        return losses, watched

    def _teacher_features(self, number: int, image: Tensor) -> Tensor:
        """T' of a training image as it is, [1, channels, h, w], computed once and kept while there is room."""
        kept = self._kept_features.get(number)
        if kept is not None:
            return kept
        with computing(self.device, self.settings.precision):
            features = self.model.teacher_features(image).float()
        if len(self._kept_features) * features.nbytes < KEPT_FEATURES_BYTES:
            self._kept_features[number] = features
        return features

    def _hard_loss(self, teacher: Tensor, trunk: Tensor) -> Tensor:
        """L_hard. Its gradient is that of the few hard elements, so the last convolution is done again at these alone.

        Not on CUDA, which would have to wait to learn how many they are.
        """
        student, quantile = self.model.student, self.settings.hard_quantile
        if self.device.type == "cuda":
            everywhere = student.teacher_half(trunk).float()
            return hard_loss(teacher, everywhere, hard_elements(teacher, everywhere, quantile))
        with torch.no_grad():
            hard = hard_elements(teacher, student.teacher_half(trunk), quantile)
        at = hard.any(dim=1)
        teacher, hard = (values.permute(0, 2, 3, 1)[at] for values in (teacher, hard))
        return hard_loss(teacher, student.teacher_half_at(trunk, at), hard)

    def update(self, step: int, drawn: Draw) -> dict[str, Tensor]:
        """One step of Adam on the sum of the losses; returns these, and what is watched."""
        settings = self.settings
        dropped = step >= int(settings.learning_rate_drop_after * settings.steps)
        rate = settings.learning_rate * (settings.learning_rate_drop_factor if dropped else 1)
        for group in self.optimizer.param_groups:
            group |= {"lr": rate, "capturable": self._compiles}  # a checkpoint may be of another device
        views, teacher = self.views(drawn)
        torch.manual_seed(torch_seed(settings.seed, "dropout", step))
        if self._compiles:
            found = self.replay(self._descend, (rate, self.model.training), views, teacher)
        else:
            found = self._descend(views, teacher)
        if self._code is not None:
            self._code.keep()
        return dict(zip(self._names, found.unbind(), strict=True))

    def _descend(self, views: Tensor, teacher: Tensor) -> Tensor:
        """Move the weights; the losses and what is watched, in the order of `_names`."""
        self.optimizer.zero_grad()
        with computing(self.device, self.settings.precision):
            losses, watched = self._compute(views, teacher)
        sum(losses.values(), torch.zeros((), device=self.device)).backward()
        self.optimizer.step()
        found = {**losses, **watched}
        self._names = list(found)
        return torch.stack([value.detach() for value in found.values()])


def compiles(settings: TrainingSettings, device: torch.device) -> bool:
    """Whether the losses are compiled: on a CPU that would gain less than it takes."""
    return settings.compiled and device.type == "cuda"


class ModelFiles(NamedTuple):
    """What a training writes."""

    model: Path
    curve: Path
    distances: Path
    record: Path


def run_training(
    settings: TrainingSettings,
    folder: Path,
    manifest: Path,
    teacher: Path,
    index: Path,
    pretraining_folder: Path,
    files: ModelFiles,
    checkpoints: Path,
    device: torch.device,
    options: LoopOptions,
    kept: Path | None = None,
) -> None:
    """Train one model; write `files`.

    `teacher`: its record lies beside it, under the same name ending in .json. `kept`: a folder of decoded images and
    compiled code that trainings share, which saves time alone. Raises UserError naming a file at fault.
    """
    records = read_manifest(manifest)
    listed = {split: images_of(records, split) for split in ("train/good", "validation/good")}
    if empty := [split for split in listed if not listed[split]]:
        raise UserError(f"{manifest}: lists no image of {empty[0]}; write it with `dfsc manifest`")
    category = CategoryImages(folder, settings.image_size, max(1, options.workers))
    if kept is not None:
        category.keep_in(kept, manifest)
    images, validation = (category.of(found) for found in listed.values())
    penalty = PretrainingImages(index, pretraining_folder)
    made = read_record(teacher.with_suffix(".json"), "the record of a teacher", ("teacher",))
    inputs = {
        "settings": asdict(settings),
        "data_digest": sha256_of(manifest),
        "teacher_digest": sha256_of(teacher),
        "penalty_digest": penalty.digest,
        "code": code_digest("train"),
    }
    shown = {"pretraining_images": f"{penalty.source} ({len(penalty)} images)", "teacher": made["teacher"]}
    fingerprint = digest_of(inputs)
    checkpoint = Checkpoint(checkpoints, fingerprint)
    weights = load_teacher(teacher, settings.size)
    distances = checkpoint.path.with_suffix(".distances.npz")  # kept with the checkpoint, until all is written
    shaping = [inputs["data_digest"], inputs["teacher_digest"], inputs["code"], settings.image_size, settings.precision]
    statistics = kept and kept / f"statistics-{digest_of([*shaping, computed_on(device)])}.json"
    # What compiles differently has other settings; all seeds and categories compile alike.
    with compiled_code(
        kept if compiles(settings, device) else None,
        {"settings": asdict(replace(settings, seed=0)), "code": inputs["code"]},
        device,
    ) as code:
        learner = ModelLearner(settings, images, penalty, weights, device, code, statistics)
        snapshots = SnapshotLog(learner.model, learner.protocol.checkpoints, checkpoint.path, options.progress)
        options = replace(options, progress=DistanceLog(learner.model, images[0], distances, snapshots))
        log = run_steps(learner, settings.steps, checkpoint, options)
    maps = calibrate(learner.model, validation, device)
    origin = {
        "category": folder.name,
        "settings": json.dumps(inputs["settings"]),
        "fingerprint": fingerprint,
        "data_digest": inputs["data_digest"],
        "teacher_digest": inputs["teacher_digest"],
        **shown,
    }
    good = listed["validation/good"]
    paths = [record.path for record in good]
    earlier = list(snapshots.calibrated(validation, good, device))
    save_model(files.model, TrainedModel(learner.model, paths, validation_scores(maps, good), origin, earlier))
    with written_whole(files.distances) as temporary:
        shutil.copyfile(distances, temporary)
    write_curve(files.curve, log)
    write_json(
        files.record,
        {
            "fingerprint": fingerprint,
            **inputs,
            "model_digest": sha256_of(files.model),
            **shown,
            **cost(log, device),
            **provenance(describe_device(device)),
        },
    )
    checkpoint.remove()
    distances.unlink()
    snapshots.remove()
