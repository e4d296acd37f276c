"""Checkpoints of a training: saved whole or not at all, resumed only where all inputs are equal."""

import signal
from pathlib import Path
from types import FrameType
from typing import Any

from dfsc.model.saved import load_tensors, save_tensors


class Checkpoint:
    """The checkpoint of one training, named after the fingerprint of everything that shapes its weights.

    A changed config leaf, data set, teacher or line of training code gives another name, so stale weights are never
    resumed.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.path = folder / f"{fingerprint[:16]}.pt"

    def load(self) -> dict[str, Any] | None:
        """The saved state, or None if there is none."""
        return load_tensors(self.path, "a checkpoint") if self.path.exists() else None

    def save(self, state: dict[str, Any]) -> None:
        """Replace the saved state."""
        save_tensors(self.path, state)

    def remove(self) -> None:
        """Forget the saved state, once the result is written."""
        self.path.unlink(missing_ok=True)


class StopRequest:
    """Within the block, SIGTERM and Ctrl-C set `requested` instead of ending the process, so that it can checkpoint."""

    def __enter__(self) -> "StopRequest":
        self.requested = False
        self._previous = {number: signal.signal(number, self._remember) for number in (signal.SIGTERM, signal.SIGINT)}
        return self

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self.requested = True

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
