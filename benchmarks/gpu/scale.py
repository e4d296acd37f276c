"""How large everything is that is run: on a GPU as published, on a CPU so small that a test can run it."""

import gc
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.training_step import learner_of, write_images
from dfsc.planning.stand_ins import IMAGES
from dfsc.settings.leaves import Precision, Size, TrainingPrecision
from dfsc.settings.synthetic import SyntheticSettings
from dfsc.settings.training import DfscSettings
from dfsc.training.student import ModelLearner

READING = DfscSettings(
    margin=2.0, margin_unit="threshold", novel_weight=1.0, split_unit="element", distance="squared",
    autoencoder_loss_over="similar", novel_loss_over="novel", quantile=0.9,
)  # fmt: skip
STUDIED = SyntheticSettings(seed=0, train=60, validation=20, test_good=40, logical=40, structural=40, pretraining=64)


@dataclass(frozen=True)
class Scale:
    """Networks, images and steps of every part."""

    device: torch.device
    folder: Path  # for files; pictures are written there
    generated: Path  # the generated data set: made if it is not there
    workers: int  # threads, and processes of the plain loop
    size: Size = "S"
    image_size: int = 256
    precisions: tuple[TrainingPrecision, ...] = ("tf32", "bfloat16")
    scored_in: Precision = "float16"
    repeats: int = 5
    repeats_of_scoring: int = 50
    steps: int = 40  # of the trainings that are compared weight by weight
    at_once: tuple[int, ...] = (1, 2)  # trainings on one card
    steps_at_once: int = 500  # of each of them
    study_steps: int = 500  # of those that are compared by AUROC
    seeds: tuple[int, ...] = (0, 1, 2)
    images: SyntheticSettings = STUDIED
    started_with: int = 350  # training images that a cold start decodes: as many as a category of LOCO has
    backbone: str = "wide_resnet101_2"
    teacher_batch: int = 16
    teacher_steps: int = 60

    def learner(self, device: torch.device | None = None, precision: TrainingPrecision = "float32",
                compiled: bool = False, **changes: Any) -> ModelLearner:  # fmt: skip
        """A learner of random pictures, on this scale's device if no other is said."""
        images, penalty = self.pictures()
        return learner_of(
            self.size, images, penalty, self.image_size, precision, compiled, device or self.device, **changes
        )

    def pictures(self) -> tuple[list[Path], list[Path]]:
        """Training and penalty images, written once."""
        folder = self.folder / "pictures"
        if not folder.exists():
            folder.mkdir()
            write_images(folder)
        images, penalty = (sorted(folder.glob(f"{ending}/*")) for ending in ("png", "jpg"))
        assert len(images) == IMAGES
        return images, penalty


def on_cpu(folder: Path, generated: Path) -> Scale:
    """All of it in seconds, on a CPU."""
    few = SyntheticSettings(seed=0, train=4, validation=2, test_good=2, logical=2, structural=2, pretraining=4)
    return Scale(
        torch.device("cpu"), folder, generated, workers=1, size="tiny", image_size=64, precisions=("tf32",),
        scored_in="float32", repeats=1, repeats_of_scoring=1, steps=6,
        at_once=(1, 2), steps_at_once=2, study_steps=3, seeds=(0, 1), images=few,
        started_with=IMAGES, backbone="resnet18", teacher_batch=2, teacher_steps=3,
    )  # fmt: skip


def forget_compiled() -> None:
    """Forget all that was compiled, and graphs that no learner has any more: torch compiles a function a few times."""
    gc.collect()
    torch.compiler.reset()
