"""The teacher's pretraining target: PatchCore's features of a backbone, computed as two convolutions.

PatchCore (Roth et al. 2022) unfolds 3 x 3 patches of a ResNet's layer2 (stride 8) and layer3 (stride 16), resizes
layer3's patches to layer2's grid, pools each patch adaptively to 1024 numbers, and the pair to the target's channels.
All of that is linear in the features, so it equals one grouped 3 x 3 convolution per layer, and a bilinear resize of
the second's result. For another network than a ResNet, its last features at each of the two strides take their place.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PATCH = 9  # elements of a 3 x 3 patch
POOLED = 1024  # numbers that each layer's patch is pooled to


class TeacherTarget(nn.Module):
    """PatchCore's feature of layer2 and layer3: [n, c2, h, w] and [n, c3, h/2, w/2] to [n, channels, h, w]."""

    layer2_weight: Tensor
    layer3_weight: Tensor

    def __init__(self, layer2_channels: int, layer3_channels: int, channels: int) -> None:
        super().__init__()
        if channels % 2:
            raise ValueError("the target's channels must be even: one half describes layer2, the other layer3")
        self.layer2_groups, weight = pooling_convolution(layer2_channels, channels // 2)
        self.register_buffer("layer2_weight", weight)
        self.layer3_groups, weight = pooling_convolution(layer3_channels, channels // 2)
        self.register_buffer("layer3_weight", weight)

    def forward(self, layer2: Tensor, layer3: Tensor) -> Tensor:
        """The target before its normalisation, [n, channels, h, w]."""
        first = F.conv2d(layer2, self.layer2_weight, padding=1, groups=self.layer2_groups)
        second = F.conv2d(layer3, self.layer3_weight, padding=1, groups=self.layer3_groups)
        second = F.interpolate(second, size=layer2.shape[-2:], mode="bilinear", align_corners=False)
        return torch.cat([first, second], dim=1)


def pooling_convolution(channels: int, outputs: int) -> tuple[int, Tensor]:
    """Groups and weight [outputs, channels / groups, 3, 3] of the convolution that pools patches of a layer.

    Equals unfolding 3 x 3 patches, adaptive average pooling of each to 1024 numbers, and of those to `outputs`.
    """
    matrix = adaptive_pooling_matrix(POOLED, outputs) @ adaptive_pooling_matrix(channels * PATCH, POOLED)
    weight = matrix.reshape(outputs, channels, 3, 3).float()
    groups = math.gcd(channels, outputs)
    while groups > 1 and not _is_block_diagonal(weight, groups):
        groups = max(divisor for divisor in range(1, groups) if groups % divisor == 0)
    per_group = channels // groups
    blocks = [
        block[:, number * per_group : (number + 1) * per_group] for number, block in enumerate(weight.chunk(groups))
    ]
    return groups, torch.cat(blocks).contiguous()


def adaptive_pooling_matrix(inputs: int, outputs: int) -> Tensor:
    """Matrix [outputs, inputs], float64, of torch's `adaptive_avg_pool1d`: bin i is floor(i n/m) to ceil((i+1) n/m)."""
    matrix = torch.zeros(outputs, inputs, dtype=torch.float64)
    for row in range(outputs):
        start, stop = row * inputs // outputs, -(-(row + 1) * inputs // outputs)
        matrix[row, start:stop] = 1 / (stop - start)
    return matrix


def _is_block_diagonal(weight: Tensor, groups: int) -> bool:
    outputs, channels = weight.shape[:2]
    row_group = torch.arange(outputs) // (outputs // groups)
    column_group = torch.arange(channels) // (channels // groups)
    return not weight[row_group[:, None] != column_group[None, :]].any()
