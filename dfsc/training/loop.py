"""The one training loop, of the teacher, the baseline and DFSC alike: resume, update, curve, checkpoint."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor, nn

from dfsc.data.pretraining_images import prefetched
from dfsc.errors import Interrupted, RunFailed
from dfsc.training.checkpoint import Checkpoint, StopRequest

CURVE_POINTS = 200
DIVERGED = 1e4  # times the first point of the curve
Draw = TypeVar("Draw")
Progress = Callable[[int, int, Mapping[str, float]], None]  # step, steps, mean losses since the last call
CurveRow = dict[str, float]  # step, and each loss's mean over the steps since the row before


def _say_nothing(step: int, steps: int, losses: Mapping[str, float]) -> None:
    pass


@dataclass(frozen=True)
class LoopOptions:
    """How a training runs. Nothing of it shapes a result."""

    workers: int = 0  # threads that prepare the images of the next steps; 0: the one that trains
    checkpoint_seconds: float = 60
    progress: Progress = _say_nothing


class TrainingLog(NamedTuple):
    """The training curve, the seconds spent on it, earlier interrupted runs included, and when the first one began."""

    curve: list[CurveRow]
    seconds: float
    started: float  # seconds since 1970


class Learner(Protocol, Generic[Draw]):
    """What the loop trains."""

    @property
    def model(self) -> nn.Module:
        """What is saved and resumed."""

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """Its optimiser."""

    def draw(self, step: int) -> Draw:
        """The step's images and random numbers: a pure function of the step, safe to call from threads."""

    def update(self, step: int, drawn: Draw) -> dict[str, Tensor]:
        """One optimiser step; returns its losses, detached scalars."""


def run_steps(learner: Learner[Any], steps: int, checkpoint: Checkpoint, options: LoopOptions) -> TrainingLog:
    """Train to `steps`, from the checkpoint if there is one.

    Saves a checkpoint every `options.checkpoint_seconds` and when asked to stop (SIGTERM, Ctrl-C). Raises Interrupted
    then, and RunFailed, keeping the last checkpoint, if a loss is no longer finite, or if the losses have diverged.
    """
    start, curve, sums, seconds, started = _resume(learner, checkpoint)
    every = max(1, steps // CURVE_POINTS)
    began = saved = time.monotonic()

    def save(done: int) -> None:
        # Weights too: a loss is finite once more in the step that ruins them.
        _check_finite({**sums, **dict(learner.model.named_parameters())}, done, checkpoint)
        checkpoint.save(
            {
                "step": done,
                "model": learner.model.state_dict(),
                "curve": curve,
                "optimizer": learner.optimizer.state_dict(),
                "sums": sums,
                "seconds": seconds + time.monotonic() - began,
                "started": started,
            }
        )

    with StopRequest() as stop:
        for step, drawn in enumerate(prefetched(learner.draw, range(start, steps), options.workers), start):
            for name, loss in learner.update(step, drawn).items():
                sums[name] = sums[name] + loss if name in sums else loss.clone()
            done = step + 1
            if done % every == 0 or done == steps:
                _check_finite(sums, done, checkpoint)
                since = done - int(curve[-1]["step"] if curve else 0)
                losses = {name: float(total) / since for name, total in sums.items()}
                curve.append({"step": done, **losses})
                _check_bounded(curve)
                sums.clear()
                options.progress(done, steps, losses)
            if stop.requested and done < steps:
                save(done)
                raise Interrupted(
                    f"stopped at step {done} of {steps} as asked; run again to go on from {checkpoint.path}"
                )
            if time.monotonic() - saved >= options.checkpoint_seconds:
                save(done)
                saved = time.monotonic()
    return TrainingLog(curve, seconds + time.monotonic() - began, started)


def _resume(
    learner: Learner[Any], checkpoint: Checkpoint
) -> tuple[int, list[CurveRow], dict[str, Tensor], float, float]:
    state = checkpoint.load()
    if state is None:
        return 0, [], {}, 0.0, time.time()
    learner.model.load_state_dict(state["model"])
    learner.optimizer.load_state_dict(state["optimizer"])
    device = next(learner.model.parameters()).device
    sums = {name: total.to(device) for name, total in state["sums"].items()}
    return state["step"], state["curve"], sums, state["seconds"], state["started"]


def _check_bounded(curve: list[CurveRow]) -> None:
    first, last = (sum(value for name, value in row.items() if name != "step") for row in (curve[0], curve[-1]))
    if last > DIVERGED * first:
        largest = max((name for name in curve[-1] if name != "step"), key=lambda name: curve[-1][name])
        raise RunFailed(
            f"the training diverged: by step {curve[-1]['step']}, the losses are {last / first:.1g} times those of the "
            f"first steps (`{largest}` is {curve[-1][largest]:.1g}); lower the learning rate, or the margin or weight "
            "of a constraint that pushes without end"
        )


def _check_finite(values: Mapping[str, Tensor], done: int, checkpoint: Checkpoint) -> None:
    for name, value in values.items():
        if not torch.isfinite(value).all():
            kept = (
                f"the checkpoint before it is kept: {checkpoint.path}"
                if checkpoint.path.exists()
                else "it came before the first checkpoint"
            )
            raise RunFailed(
                f"`{name}` became infinite or no number by step {done}; {kept}; "
                "lower the learning rate or check the images"
            )
