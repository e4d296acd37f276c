"""Backbones by name: where their features are taken, how their images are normalised, and whose weights they have."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from torch import Tensor
from torchvision.models import resnet18

from dfsc.errors import UserError
from dfsc.model.backbone import load_backbone
from dfsc.model.networks import normalise_images
from dfsc.model.packaged_weights import PACKAGED
from support.second_reading import stages_of_efficientnet_lite0

LITE0 = "tf_efficientnet_lite0"
TABBY, TIGER_CAT, EGYPTIAN_CAT = 281, 282, 285  # classes of ImageNet


def pictures(*shape: int) -> Tensor:
    """Random images, uint8 [n, s, s, 3]."""
    return torch.randint(0, 256, (*shape, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_a_resnets_features_are_layer2_and_layer3() -> None:
    backbone, description = load_backbone("resnet18", None, 3)
    torch.manual_seed(3)
    network, taken = resnet18().eval(), dict[str, Tensor]()
    for name in ("layer2", "layer3"):
        network.get_submodule(name).register_forward_hook(lambda _, __, found, name=name: taken.update({name: found}))
    with torch.no_grad():
        network(normalise_images(pictures(2, 96, 96)))
    found = backbone(pictures(2, 96, 96))
    assert torch.equal(found[0], taken["layer2"]) and torch.equal(found[1], taken["layer3"])
    assert description == "random weights, seed 3"
    assert "layer4" not in dict(backbone.network.named_children())  # nothing is computed for nothing


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("vgg11", (512, 512)),
        ("mobilenet_v3_small", (24, 48)),
        ("densenet121", (512, 1024)),
        ("convnext_tiny", (192, 384)),
        ("regnetx_002", (56, 152)),  # this one and the next are timm's
        ("edgenext_xx_small", (48, 88)),
    ],
)
def test_any_network_with_features_at_strides_8_and_16(name: str, channels: tuple[int, int]) -> None:
    backbone, _ = load_backbone(name, None, 0)
    found = backbone(pictures(1, 192, 192))
    assert [tuple(each.shape) for each in found] == [(1, channels[0], 24, 24), (1, channels[1], 12, 12)]
    again, _ = load_backbone(name, None, 0)
    other, _ = load_backbone(name, None, 1)
    assert torch.equal(again(pictures(1, 192, 192))[1], found[1])
    assert not torch.equal(other(pictures(1, 192, 192))[1], found[1])


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("resnet81", r"neither torchvision nor timm has a network resnet81; .*list_models"),
        ("vit_tiny_patch16_224", "vit_tiny_patch16_224 gives no features at strides 8 and 16: .* strides 16$"),
        ("alexnet", "alexnet gives no features at strides 8 and 16"),
    ],
)
def test_another_network_is_refused_by_name(name: str, reason: str) -> None:
    with pytest.raises(UserError, match=rf"^teacher\.backbone: {reason}") as error:
        load_backbone(name, None, 0)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [None, b"no state dict", {"conv1.weight": torch.zeros(1)}])
def test_weights_that_do_not_fit_are_refused_by_name(tmp_path: Path, content: Any) -> None:
    file = tmp_path / "weights.pth"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content is not None:
        torch.save(content, file)
    with pytest.raises(UserError, match=r"weights\.pth: .*fetch") as error:
        load_backbone("resnet18", file, 0)
    assert "\n" not in str(error.value)


def test_the_packages_weights_give_what_they_give_in_the_network_they_were_published_for() -> None:
    backbone, _ = load_backbone(LITE0, PACKAGED[LITE0], 0)
    images = pictures(2, 192, 192)
    with torch.no_grad():
        expected = stages_of_efficientnet_lite0()(images.permute(0, 3, 1, 2) / 255)
    for found, theirs in zip(backbone(images), expected, strict=True):
        torch.testing.assert_close(found, theirs, rtol=1e-5, atol=1e-5)


def test_the_packages_weights_know_a_cat() -> None:
    """Features mean something: the whole network, with its own statistics of images, classifies a photograph."""
    backbone, _ = load_backbone(LITE0, PACKAGED[LITE0], 0)
    photograph = Image.open(Path(data.__file__).parent / "chelsea.png").resize((224, 224))
    cat = torch.tensor(np.asarray(photograph))[None]
    classes = backbone.network(normalise_images(cat, backbone.mean, backbone.std)).softmax(1)[0]
    assert classes[[TABBY, TIGER_CAT, EGYPTIAN_CAT]].sum() > 0.9


def test_images_are_normalised_as_the_network_says() -> None:
    lite0, _ = load_backbone(LITE0, None, 0)
    wide, _ = load_backbone("resnet18", None, 0)
    assert (lite0.mean, lite0.std) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert (wide.mean, wide.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    grey = torch.tensor([[[[0, 127, 255]]]], dtype=torch.uint8)
    scaled = normalise_images(grey, lite0.mean, lite0.std).flatten()
    torch.testing.assert_close(scaled, torch.tensor([-1, -1 / 255, 1]))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"package": "efficientnet_of_nobody"}, "efficientnet_of_nobody: is not installed"),
        ({"sha256": "0" * 64}, r"efficientnet-lite0-57934424\.pth: its SHA-256 is 57934424.*, not 0000"),
        ({"file": "models/another.pth"}, r"another\.pth: its SHA-256 is missing"),
    ],
)
def test_weights_of_another_package_are_refused(changes: dict[str, str], named: str) -> None:
    with pytest.raises(UserError, match=named):
        load_backbone(LITE0, replace(PACKAGED[LITE0], **changes), 0)
