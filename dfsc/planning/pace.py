"""How long a step of a training takes on this machine: the training itself, run for a few steps, then stopped."""

import math
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dfsc.data.pretraining_images import PretrainingImages
from dfsc.errors import Interrupted
from dfsc.model.backbone import load_backbone
from dfsc.settings.teacher import TeacherSettings
from dfsc.settings.training import TrainingSettings
from dfsc.training.checkpoint import Checkpoint
from dfsc.training.loop import CURVE_POINTS, LoopOptions, run_steps
from dfsc.training.student import ModelLearner
from dfsc.training.teacher import pretrain_teacher

WARMING_STEPS = 4  # that are not timed: they compile, and fill the caches that later steps use
STEPS_AT_ONCE = {"cuda": 50, "cpu": 1}  # between two looks at the clock, for which a GPU has to be waited for


class Budget(NamedTuple):
    """How much is measured of one kind of training."""

    steps: int  # timed steps
    seconds: float  # after which no further step begins, once one was timed
    workers: int  # threads that prepare the images of the next steps


class Pace(NamedTuple):
    """What was measured."""

    steps: int  # that were timed
    step_seconds: float  # of one step, mean
    start_seconds: float  # before the first timed step: the steps that warm up, too, and on a GPU compiling


class _Enough(Exception):
    """Ends a training that has shown its pace."""


class Stopwatch:
    """A progress callback that times steps, and ends the training by an exception once it has enough of them."""

    def __init__(self, budget: Budget) -> None:
        self.budget, self.began = budget, time.perf_counter()
        self.first: tuple[int, float] | None = None  # from which on steps are timed: the step, and when it was done
        self.last = (0, self.began)

    def __call__(self, step: int, steps: int, losses: Mapping[str, float]) -> None:
        """Note the time of a step; its losses were read, so that a GPU has finished it."""
        self.last = (step, time.perf_counter())
        late = self.last[1] - self.began >= self.budget.seconds
        if self.first is None:
            self.first = self.last if step >= WARMING_STEPS or late else None
        elif late or step - self.first[0] >= self.budget.steps:
            raise _Enough

    @property
    def pace(self) -> Pace:
        """What was measured, once the training has ended."""
        assert self.first is not None
        steps = self.last[0] - self.first[0]
        return Pace(steps, (self.last[1] - self.first[1]) / steps, self.first[1] - self.began)

    def options(self) -> LoopOptions:
        """Those of the training: it reports here, and saves no checkpoint."""
        return LoopOptions(self.budget.workers, math.inf, self)

    def steps(self, device: torch.device) -> int:
        """Steps to ask of the training, which reports every 1 / CURVE_POINTS of them, and never reaches the last."""
        return max(CURVE_POINTS * STEPS_AT_ONCE[device.type], WARMING_STEPS + self.budget.steps + 1)

    @contextmanager
    def running(self) -> Iterator[Checkpoint]:
        """Around the training: ends it quietly. Yields where it would keep a checkpoint."""
        with tempfile.TemporaryDirectory() as folder:
            try:
                yield Checkpoint(Path(folder), "measured")
            except _Enough:
                pass
            except Interrupted:
                raise Interrupted("stopped as asked; nothing is kept of what was measured") from None


def model_pace(
    settings: TrainingSettings,
    images: NDArray[np.uint8],
    penalty: PretrainingImages,
    teacher: dict[str, Tensor],
    device: torch.device,
    budget: Budget,
) -> Pace:
    """The pace of a model's training; arguments as of `ModelLearner`. Raises RunFailed as the training itself does."""
    stopwatch = Stopwatch(budget)
    with stopwatch.running() as checkpoint:
        learner = ModelLearner(settings, images, penalty, teacher, device)
        run_steps(learner, stopwatch.steps(device), checkpoint, stopwatch.options())
    return stopwatch.pace


def teacher_pace(settings: TeacherSettings, images: PretrainingImages, device: torch.device, budget: Budget) -> Pace:
    """The pace of a teacher's pretraining, with random weights of the backbone.

    Raises UserError for a backbone that there is none of, RunFailed as the pretraining itself does.
    """
    backbone, _ = load_backbone(settings.backbone, None, settings.seed)
    stopwatch = Stopwatch(budget)
    few = replace(settings, steps=stopwatch.steps(device), normalisation_images=settings.batch_size)
    with stopwatch.running() as checkpoint:
        pretrain_teacher(few, images, backbone, device, checkpoint, stopwatch.options())
    return stopwatch.pace
