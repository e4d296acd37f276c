"""Networks, losses, maps and the teacher's target equal what the widely used re-implementation computes."""

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dfsc.model.losses import autoencoder_loss, hard_elements, hard_loss, penalty_loss, student_autoencoder_loss
from dfsc.model.maps import pad_map, resize_map
from dfsc.model.networks import SIZES, Autoencoder, EfficientAD, Student, pdn
from dfsc.model.target import TeacherTarget
from support.checkout import CHECKOUT

GOLDEN: dict[str, Any] = json.loads((CHECKOUT / "tests/golden/efficientad/expected.json").read_text())
SMALL, MEDIUM = SIZES["S"], SIZES["M"]


def wave(count: int, number: int) -> NDArray[np.float64]:
    """The formula that golden weights and inputs are made by."""
    values = np.sin(np.arange(count) * 12.9898 + (number + 1) * 78.233) * 43758.5453
    found: NDArray[np.float64] = (values - np.floor(values) - 0.5) * math.sqrt(12)
    return found


def picture(number: int, *shape: int) -> Tensor:
    """A golden input, [1, 3, 256, 256] unless told."""
    shape = shape or (1, 3, 256, 256)
    return torch.tensor(wave(math.prod(shape), number)).float().reshape(shape)


def filled(network: nn.Module) -> nn.Module:
    """The network with golden weights, in evaluation mode."""
    for number, parameter in enumerate(network.parameters()):
        scale = 0.1 if parameter.dim() == 1 else math.sqrt(2 / parameter[0].numel())
        parameter.data = torch.tensor(wave(parameter.numel(), number) * scale).float().reshape(parameter.shape)
    return network.eval().requires_grad_(False)


def probes(found: Tensor, name: str) -> None:
    """Compare shape and probed values with the golden ones, 1e-4 relative."""
    expected = GOLDEN[name]
    assert list(found.shape) == expected["shape"]
    torch.testing.assert_close(found.flatten()[expected["at"]], torch.tensor(expected["values"]), rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def model() -> EfficientAD:
    """The golden model: its statistics are those of one picture, as the golden file says."""
    model = EfficientAD("S", 256)
    for network in (model.teacher, model.student, model.autoencoder):
        filled(network)
    features = model.teacher(picture(100))
    model.feature_mean.copy_(features.mean(dim=(0, 2, 3), keepdim=True))
    model.feature_std.copy_(features.std(dim=(0, 2, 3), keepdim=True, unbiased=False) + 0.05)
    return model.eval()


def test_parameter_counts() -> None:
    networks = {
        "pdn_small_384": pdn(SMALL, 384),
        "pdn_small_768": Student(SMALL),
        "autoencoder_384": Autoencoder(384, 256),
        "pdn_medium_384": pdn(MEDIUM, 384),
        "pdn_medium_768": Student(MEDIUM),
    }
    counts = {name: sum(p.numel() for p in network.parameters()) for name, network in networks.items()}
    assert counts == GOLDEN["parameters"]


def test_feature_probes(model: EfficientAD) -> None:
    probes(model.teacher(picture(100)), "teacher_small(picture(256,100))")
    probes(model.student(picture(100)), "student_small(picture(256,100))")
    probes(model.autoencoder(picture(101)), "autoencoder(picture(256,101))")
    probes(filled(pdn(MEDIUM, 384))(picture(100)), "teacher_medium(picture(256,100))")
    probes(filled(pdn(SMALL, 384, padding=True))(picture(100)), "teacher_small_padded(picture(256,100))")


def test_student_halves_are_the_whole(model: EfficientAD) -> None:
    trunk = model.student.trunk(picture(100))
    halves = torch.cat([model.student.teacher_half(trunk), model.student.autoencoder_half(trunk)], dim=1)
    torch.testing.assert_close(halves, model.student(picture(100)))


def test_losses(model: EfficientAD) -> None:
    image, jittered, penalty = picture(100), picture(101), picture(102)
    features = model.teacher_features(image), model.student(image)[:, :384]
    found = {
        "loss_hard": hard_loss(*features, hard_elements(*features, 0.999)),
        "loss_penalty": penalty_loss(model.student(penalty)[:, :384]),
        "loss_ae": autoencoder_loss(None)(model.teacher_features(jittered), model.autoencoder(jittered))[0],
        "loss_stae": student_autoencoder_loss(model.autoencoder(jittered), model.student(jittered)[:, 384:]),
    }
    for name, value in found.items():
        assert float(value) == pytest.approx(GOLDEN["losses"][name], rel=1e-4), name


def test_maps_and_image_score(model: EfficientAD) -> None:
    raw = model.raw_maps(picture(100))
    probes(raw[:, :1], "map_st")
    probes(raw[:, 1:], "map_ae")
    quantiles = GOLDEN["map quantiles (0.9, 0.995) of that one image"]
    found = np.quantile(raw[0].flatten(1).double().numpy(), (0.9, 0.995), axis=1).T
    np.testing.assert_allclose(found, [quantiles["st"], quantiles["ae"]], rtol=1e-4)
    model.map_quantiles.copy_(torch.tensor(found))
    small = model(picture(100)).mean(dim=1)[0].numpy()
    full = resize_map(pad_map(small, "zero"), 320, 640)
    probes(torch.from_numpy(full)[None, None], "final_map 320x640")
    assert full.max() == pytest.approx(GOLDEN["image_score"], rel=1e-4)


def test_teacher_target() -> None:
    found = TeacherTarget(512, 1024, 384)(picture(200, 1, 512, 64, 64), picture(201, 1, 1024, 32, 32))
    expected = GOLDEN["teacher_target"]
    assert list(found.shape) == expected["shape"]
    difference = found.flatten()[expected["at"]] - torch.tensor(expected["values"])
    assert difference.abs().max() < 1e-5


@pytest.mark.parametrize("image_size", [64, 96, 128, 256])
def test_autoencoder_follows_the_image_size(image_size: int) -> None:
    images = torch.zeros(1, 3, image_size, image_size)
    assert Autoencoder(64, image_size)(images).shape == pdn(SIZES["tiny"], 64)(images).shape
