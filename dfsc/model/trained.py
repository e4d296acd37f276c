"""A trained model as a file: all that it takes to judge an image, and where the model is from.

Apart from `saved`, on which a teacher depends: what is edited here pretrains no teacher anew.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from dfsc.errors import UserError
from dfsc.model.maps import PADDING_MODES
from dfsc.model.networks import EfficientAD
from dfsc.model.saved import load_tensors, save_tensors

# Of a trained model: its category, its settings as JSON, digests of all that shaped it, of its manifest and of its
# teacher, and in words which images it was pretrained on, and how.
ORIGIN = ("category", "settings", "fingerprint", "data_digest", "teacher_digest", "pretraining_images", "teacher")


class Snapshot(NamedTuple):
    """The model of an earlier step of the same training."""

    step: int
    weights: dict[str, Tensor]  # all that is not the teacher's
    validation_scores: Mapping[str, Tensor]  # as those of the model


class TrainedModel(NamedTuple):
    """A trained model as its file holds it: all that it takes to judge an image, and where it is from."""

    network: EfficientAD
    validation_images: Sequence[str]  # their paths, 'validation/good/000.png'
    validation_scores: Mapping[str, Tensor]  # padding -> their image scores, float32 [n]
    origin: Mapping[str, str]  # what it was trained on, with what settings; a key of ORIGIN each
    snapshots: Sequence[Snapshot] = ()  # of Table 7's protocol that chooses among them alone; in their order


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
    if model.snapshots:
        state["snapshots"] = [snapshot._asdict() for snapshot in model.snapshots]
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
        snapshots = [Snapshot(**snapshot) for snapshot in state.get("snapshots", ())]
        if not images or not all(
            values.shape == (len(images),) and values.isfinite().all() for values in scores.values()
        ):
            raise ValueError("each validation image has one score")
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise UserError(f"{path}: is not a trained model of this version of the package; train it again") from error
    return TrainedModel(network.eval().requires_grad_(False), images, scores, origin, snapshots)
