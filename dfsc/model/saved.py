"""Weights as files: saved whole or not at all, loaded without pickle, refused by name where they do not fit."""

import io
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dfsc.errors import UserError
from dfsc.files import written_whole
from dfsc.model.networks import SIZES, pdn


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
        raise UserError(f"{path}: no such file; it should be {what}") from error
    except Exception as error:  # torch raises whatever the damaged bytes lead it to
        message = f"{path}: cannot be read as {what} ({type(error).__name__}); delete it and run again"
        raise UserError(message) from error
    if not isinstance(state, dict):
        raise UserError(f"{path}: is not {what} of this package")
    return state


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
