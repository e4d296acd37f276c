"""Weights and checkpoints: saved whole or not at all, loaded without pickle, resumed only where inputs are equal."""

import io
import signal
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from dfsc.errors import UserError
from dfsc.files import written_whole


def save_tensors(path: Path, state: dict[str, Any]) -> None:
    """Save tensors, numbers and strings, nested in dicts and lists; equal states give equal bytes."""
    content = io.BytesIO()  # torch, writing to a full disk, would hide its error behind another
    torch.save(state, content)
    with written_whole(path) as temporary:
        temporary.write_bytes(content.getbuffer())


def load_tensors(path: Path, what: str) -> dict[str, Any]:
    """Load what `save_tensors` saved; `what` names it in errors. Raises UserError naming the file."""
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UserError(f"{path}: {what} is missing") from error
    except Exception as error:  # torch raises whatever the damaged bytes lead it to
        message = f"{path}: cannot be read as {what} ({type(error).__name__}); delete it and run again"
        raise UserError(message) from error
    if not isinstance(state, dict):
        raise UserError(f"{path}: is not {what} of this package")
    return state


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
