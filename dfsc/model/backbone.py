"""Backbones: any network of torchvision or timm, by name, that gives features at strides 8 and 16.

Nothing is written down per network. Each is asked for the strides of its stages and for the mean and standard deviation
by which its images are normalised.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torchvision import models
from torchvision.models.feature_extraction import create_feature_extractor

from dfsc.errors import UserError
from dfsc.files import sha256_of
from dfsc.model.networks import Statistics, normalise_images
from dfsc.model.packaged_weights import Packaged

STRIDES = (8, 16)  # of a ResNet's layer2 and layer3
PROBE = 128  # pixels of the blank image that a network is asked with
Place = TypeVar("Place")
# (the network, what gives its features of normalised images, mean and standard deviation of its images)
Answer = tuple[nn.Module, Callable[[Tensor], Any], Statistics, Statistics]


class Backbone(nn.Module):
    """Images, uint8 [n, s, s, 3], to features [n, c8, s/8, s/8] and [n, c16, s/16, s/16]; in evaluation mode.

    channels: c8 and c16. Raises ValueError if the network's features have other shapes.
    """

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.network, self.features, self.mean, self.std = answer
        self.eval().requires_grad_(False)
        probed = self(torch.zeros(1, PROBE, PROBE, 3, dtype=torch.uint8))
        if any(found.shape[2:] != (PROBE // stride,) * 2 for found, stride in zip(probed, STRIDES, strict=True)):
            raise ValueError(f"its features have the shapes {', '.join(str(list(found.shape)) for found in probed)}")
        self.channels: tuple[int, int] = (probed[0].shape[1], probed[1].shape[1])

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """The features of both strides."""
        found = self.features(normalise_images(images, self.mean, self.std))
        return tuple(found.values() if isinstance(found, dict) else found)


def load_backbone(name: str, weights: Path | Packaged | None, seed: int) -> tuple[Backbone, str]:
    """The network of that name, torchvision's if both libraries have it, and a description of its weights.

    `weights` is a state dict as the library publishes it, or one of a package; None leaves random weights drawn from
    `seed`. Raises UserError naming the network if no library has it, or if it has no features at strides 8 and 16;
    naming the file if it is missing or belongs to another network.
    """
    torch.manual_seed(seed)
    of_torchvision = name in models.list_models(models)
    network = models.get_model(name, weights=None) if of_torchvision else _made_by_timm(name)
    description = f"random weights, seed {seed}"
    if isinstance(weights, Packaged):
        path, description = weights.found()
        _fill(network, name, path, in_order=True)
    elif weights is not None:
        _fill(network, name, weights)
        description = f"ImageNet weights, sha256 {sha256_of(weights)}"
    network.eval().requires_grad_(False)
    try:
        return Backbone((_asked_of_torchvision if of_torchvision else _asked_of_timm)(network, name)), description
    except Exception as error:  # networks refuse what is not made for them in many ways
        raise UserError(f"teacher.backbone: {name} gives no features at strides 8 and 16: {_line(error)}") from error


def _made_by_timm(name: str) -> nn.Module:
    listed = "torchvision.models.list_models() and timm.list_models() name those that there are"
    try:
        import timm  # takes seconds; a machine that trains with torchvision's backbones does without
    except ModuleNotFoundError as error:
        raise UserError(f"teacher.backbone: torchvision has no {name}, and timm is not installed; {listed}") from error
    if not timm.is_model(name):
        raise UserError(f"teacher.backbone: neither torchvision nor timm has a network {name}; {listed}")
    try:
        network: nn.Module = timm.create_model(name)
    except Exception as error:
        raise UserError(f"teacher.backbone: timm cannot make {name}: {_line(error)}") from error
    return network


def _fill(network: nn.Module, name: str, weights: Path, in_order: bool = False) -> None:
    """Load a state dict; `in_order`: whose entries have other names, in the network's order."""
    try:
        state = torch.load(weights, map_location="cpu", weights_only=True)
        if in_order:
            state = dict(zip(network.state_dict(), state.values(), strict=True))
        network.load_state_dict(state)
    except FileNotFoundError as error:
        raise UserError(f"{weights}: backbone weights are missing; fetch them first") from error
    except Exception as error:  # torch raises whatever the bytes lead it to
        raise UserError(f"{weights}: is no state dict of {name}; fetch it again") from error


def _asked_of_timm(network: Any, name: str) -> Answer:
    strides = [stage["reduction"] for stage in network.feature_info]
    features = partial(
        network.forward_intermediates, indices=_last_at_strides(enumerate(strides)), stop_early=True,
        intermediates_only=True,
    )  # fmt: skip
    return network, features, network.default_cfg["mean"], network.default_cfg["std"]


def _asked_of_torchvision(network: nn.Module, name: str) -> Answer:
    stages: list[tuple[str, float]] = []  # in the order of the computation, with their strides

    def note(path: str, module: nn.Module, given: object, found: object) -> None:
        if isinstance(found, Tensor) and found.dim() == 4 and found.shape[2] == found.shape[3]:
            stages.append((path, PROBE / found.shape[2]))

    hooks = [module.register_forward_hook(partial(note, path)) for path, module in _chain(network)]
    with torch.no_grad():
        network(torch.zeros(1, 3, PROBE, PROBE))
    for hook in hooks:
        hook.remove()
    extractor = create_feature_extractor(network, _last_at_strides(stages))
    images = models.get_model_weights(name).DEFAULT.transforms()
    return extractor, extractor, tuple(images.mean), tuple(images.std)


def _chain(network: nn.Module, above: str = "") -> Iterator[tuple[str, nn.Module]]:
    """The modules that a network's own forward calls, by path; plain sequences are opened, blocks are not."""
    for name, child in network.named_children():
        if type(child) is nn.Sequential:
            yield from _chain(child, f"{above}{name}.")
        else:
            yield f"{above}{name}", child


def _last_at_strides(stages: Iterable[tuple[Place, float]]) -> list[Place]:
    """The last place of each of STRIDES among (place, stride). Raises ValueError if there is none."""
    last = {stride: place for place, stride in stages}
    if not last.keys() >= set(STRIDES):
        raise ValueError(f"its stages have the strides {', '.join(f'{stride:g}' for stride in sorted(last))}")
    return [last[stride] for stride in STRIDES]


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
