"""EfficientAD's networks: teacher and student (PDN) and the autoencoder (Batzner et al. 2024, tables 6 to 8).

All take images normalised with ImageNet's mean and standard deviation, float32 [n, 3, size, size].
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Statistics = tuple[float, float, float]  # of red, green and blue, in 0..1
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
STRIDE = 4  # pixels of the image per position of a feature map
SMALLEST_IMAGE = 64


@dataclass(frozen=True)
class NetworkSize:
    """Channels of a PDN's hidden convolutions, of the teacher's output, and whether the deeper layout is used."""

    hidden: tuple[int, int, int]
    output: int
    deep: bool = False


SIZES = {
    "S": NetworkSize((128, 256, 256), 384),
    "M": NetworkSize((256, 512, 512), 384, deep=True),
    "tiny": NetworkSize((32, 64, 64), 64),  # ours: S's shape at a width that a CPU trains in a minute
}


def pdn(size: NetworkSize, output: int, padding: bool = False) -> nn.Sequential:
    """Patch description network.

    Maps [n, 3, s, s] to [n, output, s/4 - 8, s/4 - 8] with valid convolutions, to [n, output, s/4, s/4] with
    `padding`, as in pretraining. A position describes a patch of 33 x 33 pixels.
    """
    first, second, third = size.hidden
    pad = int(padding)

    def pool() -> nn.AvgPool2d:
        return nn.AvgPool2d(2, 2, padding=pad)

    layers = [nn.Conv2d(3, first, 4, padding=3 * pad), nn.ReLU(inplace=True), pool()]
    layers += [nn.Conv2d(first, second, 4, padding=3 * pad), nn.ReLU(inplace=True), pool()]
    if size.deep:
        layers += [
            nn.Conv2d(second, third, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(third, third, 3, padding=pad),
            nn.ReLU(inplace=True),
        ]
        layers += [nn.Conv2d(third, output, 4), nn.ReLU(inplace=True), nn.Conv2d(output, output, 1)]
    else:
        layers += [nn.Conv2d(second, third, 3, padding=pad), nn.ReLU(inplace=True), nn.Conv2d(third, output, 4)]
    return nn.Sequential(*layers)


class Student(nn.Module):
    """PDN with twice the teacher's channels: the first half S_T learns from the teacher, the second S_A from A.

    Losses use one half of a pass at a time, so each half of the last convolution can be computed alone.
    """

    def __init__(self, size: NetworkSize) -> None:
        super().__init__()
        layers = pdn(size, 2 * size.output)
        self.trunk, self.head = layers[:-1], cast(nn.Conv2d, layers[-1])

    def forward(self, images: Tensor) -> Tensor:
        """Both halves, [n, 2 * channels, h, w]."""
        output: Tensor = self.head(self.trunk(images))
        return output

    def teacher_half(self, trunk: Tensor) -> Tensor:
        """S_T of the trunk's output, [n, channels, h, w]."""
        return self._half(trunk, slice(None, self.head.out_channels // 2))

    def autoencoder_half(self, trunk: Tensor) -> Tensor:
        """S_A of the trunk's output, [n, channels, h, w]."""
        return self._half(trunk, slice(self.head.out_channels // 2, None))

    def teacher_half_at(self, trunk: Tensor, positions: Tensor) -> Tensor:
        """S_T at some positions alone, [k, channels]: costs, and its gradient costs, k positions instead of all.

        `positions`: bool [n, h, w], true at k.
        """
        assert self.head.bias is not None
        channels, height, width = trunk.shape[1:]
        side = self.head.kernel_size[0]
        image, top, left = (axis[:, None, None] for axis in positions.nonzero(as_tuple=True))
        reach = torch.arange(side, device=trunk.device)
        rows = (
            (image * height + top + reach[:, None]) * width + left + reach
        )  # of each position's patch, [k, side, side]
        patches = trunk.permute(0, 2, 3, 1).reshape(-1, channels).index_select(0, rows.flatten())
        half = self.head.out_channels // 2
        weight = self.head.weight[:half].permute(0, 2, 3, 1).reshape(half, -1)
        return F.linear(patches.reshape(-1, weight.shape[1]), weight, self.head.bias[:half])

    def _half(self, trunk: Tensor, half: slice) -> Tensor:
        assert self.head.bias is not None
        return F.conv2d(trunk, self.head.weight[half], self.head.bias[half])


class Autoencoder(nn.Module):
    """Autoencoder A: [n, 3, s, s] through a bottleneck of 64 numbers to [n, channels, s/4 - 8, s/4 - 8].

    At 256 pixels it is the published one; at other sizes the bottleneck's kernel and the upsampling follow the image.
    """

    def __init__(self, channels: int, image_size: int) -> None:
        super().__init__()
        widths = (3, 32, 32, 64, 64, 64)
        encoder: list[nn.Module] = []
        for before, after in pairwise(widths):
            encoder += [nn.Conv2d(before, after, 4, stride=2, padding=1), nn.ReLU(inplace=True)]
        encoder.append(nn.Conv2d(64, 64, image_size // 32))
        decoder: list[nn.Module] = []
        for side in (
            image_size // 64 - 1,
            image_size // 32,
            image_size // 16 - 1,
            image_size // 8,
            image_size // 4 - 1,
            image_size // 2 - 1,
        ):
            decoder += [
                nn.Upsample(max(side, 1), mode="bilinear"),
                nn.Conv2d(64, 64, 4, padding=2),
                nn.ReLU(inplace=True),
                nn.Dropout(0.2),
            ]
        decoder += [
            nn.Upsample(image_size // STRIDE - 8, mode="bilinear"),
            nn.Conv2d(64, 64, 3, padding=1),
            nn.ReLU(inplace=True),
        ]
        decoder.append(nn.Conv2d(64, channels, 3, padding=1))
        self.layers = nn.Sequential(*encoder, *decoder)

    def forward(self, images: Tensor) -> Tensor:
        """Reconstruction of the teacher's normalised features, [n, channels, h, w]."""
        output: Tensor = self.layers(images)
        return output


class EfficientAD(nn.Module):
    """Teacher, student, autoencoder and the statistics that inference needs: everything a scored image depends on."""

    feature_mean: Tensor
    feature_std: Tensor
    map_quantiles: Tensor

    def __init__(self, size_name: str, image_size: int) -> None:
        """`size_name` is a key of SIZES; `image_size` is in pixels, a multiple of 32, at least 64."""
        super().__init__()
        if image_size < SMALLEST_IMAGE or image_size % 32:
            raise ValueError(f"image size {image_size}: must be a multiple of 32, at least {SMALLEST_IMAGE}")
        size = SIZES[size_name]
        self.size_name, self.image_size = size_name, image_size
        self.teacher = pdn(size, size.output).requires_grad_(False)
        self.student = Student(size)
        self.autoencoder = Autoencoder(size.output, image_size)
        self.register_buffer("feature_mean", torch.zeros(1, size.output, 1, 1))
        self.register_buffer("feature_std", torch.ones(1, size.output, 1, 1))
        self.register_buffer("map_quantiles", torch.tensor([[0.0, 1.0], [0.0, 1.0]]))  # local, global: 0.9 and 0.995

    def teacher_features(self, images: Tensor) -> Tensor:
        """T' = (T - mean) / std per channel, [n, channels, h, w], without gradient."""
        with torch.no_grad():
            features: Tensor = (self.teacher(images) - self.feature_mean) / self.feature_std
        return features

    @torch.no_grad()
    def raw_maps(self, images: Tensor) -> Tensor:
        """Local and global anomaly maps, [n, 2, h, w]: channel means of (T' - S_T)^2 and of (A - S_A)^2."""
        teacher_student, autoencoder_student = self.student(images).chunk(2, dim=1)
        local_map = (self.teacher_features(images) - teacher_student).square().mean(dim=1)
        global_map = (self.autoencoder(images) - autoencoder_student).square().mean(dim=1)
        return torch.stack([local_map, global_map], dim=1)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Normalised local and global maps, [n, 2, h, w]; their mean over dim 1 is the anomaly map."""
        return self.scaled(self.raw_maps(images))

    def scaled(self, raw: Tensor) -> Tensor:
        """Raw maps, [n, 2, h, w], scaled: the validation images' 0.9 quantile becomes 0, their 0.995 quantile 0.1."""
        lower, upper = self.map_quantiles.to(raw).reshape(2, 2, 1, 1).unbind(1)
        return 0.1 * (raw - lower) / (upper - lower)


def normalise_images(images: Tensor, mean: Statistics = IMAGENET_MEAN, std: Statistics = IMAGENET_STD) -> Tensor:
    """uint8 [n, size, size, 3] to float32 [n, 3, size, size], normalised with the statistics of each channel."""
    return standardise(images.permute(0, 3, 1, 2).float() / 255, mean, std)


def standardise(images: Tensor, mean: Statistics = IMAGENET_MEAN, std: Statistics = IMAGENET_STD) -> Tensor:
    """Float images [n, 3, h, w] in 0..1, normalised with the mean and standard deviation of each channel."""
    # Not blocking: else a GPU would do all that it was given before.
    means, stds = (
        torch.tensor(values).to(images.device, non_blocking=True).reshape(1, 3, 1, 1) for values in (mean, std)
    )
    return (images - means) / stds
