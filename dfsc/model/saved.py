"""Weights as files: saved whole or not at all, loaded without pickle, refused by name where they do not fit."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from dfsc.errors import UserError
from dfsc.files import written_whole
from dfsc.model.maps import PADDING_MODES
from dfsc.model.networks import SIZES, EfficientAD, pdn

# Of a trained model: its category, its settings as JSON, digests of all that shaped it, of its manifest and of its
# teacher, and in words which images it was pretrained on, and how.
ORIGIN = ("category", "settings", "fingerprint", "data_digest", "teacher_digest", "pretraining_images", "teacher")


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


class TrainedModel(NamedTuple):
    """A trained model as its file holds it: all that it takes to judge an image, and where it is from."""

    network: EfficientAD
    validation_images: Sequence[str]  # their paths, 'validation/good/000.png'
    validation_scores: Mapping[str, Tensor]  # padding -> their image scores, float32 [n]
    origin: Mapping[str, str]  # what it was trained on, with what settings; a key of ORIGIN each


def save_model(path: Path, model: TrainedModel) -> None:
    """Save a trained model, on any device; equal bytes for equal models."""
    network = model.network
    state = {
        "size": network.size_name,
        "image_size": network.image_size,
        "weights": {name: value.cpu().contiguous() for name, value in network.state_dict().items()},
        "validation_images": list(model.validation_images),
        "validation_scores": {name: model.validation_scores[name] for name in PADDING_MODES},
        "origin": {name: model.origin[name] for name in ORIGIN},
    }
    save_tensors(path, state)


def load_model(path: Path) -> TrainedModel:
    """Load a trained model on the CPU, its network in evaluation mode. Raises UserError naming the file."""
    state = load_tensors(path, "a trained model")
    try:
        network = EfficientAD(state["size"], state["image_size"])
        network.load_state_dict(state["weights"])
        images = [str(path) for path in state["validation_images"]]
        scores = {name: state["validation_scores"][name].float() for name in PADDING_MODES}
        origin = {name: str(state["origin"][name]) for name in ORIGIN}
        if not images or not all(
            values.shape == (len(images),) and values.isfinite().all() for values in scores.values()
        ):
            raise ValueError("each validation image has one score")
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise UserError(f"{path}: is not a trained model of this version of the package; train it again") from error
    return TrainedModel(network.eval().requires_grad_(False), images, scores, origin)


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
