"""Models of several steps of one training, kept for a protocol that chooses among them by the test images."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from dfsc.data.layout import FileRecord
from dfsc.model.networks import EfficientAD
from dfsc.model.saved import load_tensors, save_tensors
from dfsc.model.trained import Snapshot
from dfsc.training.calibration import calibrate, validation_scores
from dfsc.training.loop import Progress

WHAT = "a snapshot of a training"


class SnapshotLog:
    """A progress callback that keeps the weights at evenly spaced steps, in files that outlive interruptions."""

    def __init__(self, model: EfficientAD, count: int, checkpoint: Path, progress: Progress) -> None:
        """`count`: of models, the last of which is the training's result. The others are kept beside `checkpoint`.

        `progress` is called first, as without this.
        """
        self.model, self.progress = model, progress
        self.paths = [checkpoint.with_suffix(f".snapshot{number}.pt") for number in range(1, count)]

    def __call__(self, step: int, steps: int, losses: Mapping[str, float]) -> None:
        """Report progress; keep the weights where a mark is reached for the first time."""
        self.progress(step, steps, losses)
        reached = step * (len(self.paths) + 1) // steps  # marks, of which the last is the training's end
        if 0 < reached <= len(self.paths) and not self.paths[reached - 1].exists():
            save_tensors(self.paths[reached - 1], {"step": step, "weights": _learned(self.model)})

    def calibrated(
        self, validation: NDArray[np.uint8], records: Sequence[FileRecord], device: torch.device
    ) -> Iterator[Snapshot]:
        """The snapshots, each with what it needs to judge images; `validation` are those that `records` list.

        The model itself is left as it is. Raises UserError as `calibrate` does.
        """
        network = copy.deepcopy(self.model)
        for path in self.paths:
            if path.exists():  # a training of few steps has none at some marks
                state = load_tensors(path, WHAT)
                network.load_state_dict({**network.state_dict(), **state["weights"]})
                maps = calibrate(network, validation, device)
                yield Snapshot(state["step"], _learned(network), validation_scores(maps, records))

    def remove(self) -> None:
        """Forget the snapshots, once the result is written."""
        for path in self.paths:
            path.unlink(missing_ok=True)


def _learned(model: EfficientAD) -> dict[str, torch.Tensor]:
    """All that training and calibration change: what is not the teacher's."""
    state = model.state_dict()
    return {name: value.cpu().contiguous().clone() for name, value in state.items() if not name.startswith("teacher.")}
