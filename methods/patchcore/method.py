"""PatchCore (Roth et al., CVPR 2022): the distance of each patch to the nearest of a coreset of training patches.

The features are those of the backbone that the demo's teacher is distilled from: strides 8 and 16, ImageNet weights.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import avg_pool2d, interpolate

from dfsc.data.images import load_images
from dfsc.model.backbone import load_backbone
from dfsc.model.packaged_weights import PACKAGED

BACKBONE = "tf_efficientnet_lite0"
SIZE = 256  # pixels: images are resized to a square
CORESET = 0.01  # share of the training patches that are kept
DIMENSIONS = 64  # of the random projection in which the coreset is chosen
BATCH = 8

parser = argparse.ArgumentParser()
for name in ("train", "validation", "test", "output"):
    parser.add_argument(f"--{name}", type=Path)
parser.add_argument("--seed", type=int)
parser.add_argument("--device")
options = parser.parse_args()
backbone = load_backbone(BACKBONE, PACKAGED[BACKBONE], 0)[0].to(options.device)
torch.manual_seed(options.seed)  # not before the backbone, which is made with a seed of its own


def patches(files: list[Path]) -> torch.Tensor:
    """The features of images, each the mean of 3 x 3 neighbours, both strides side by side: [n, s/8, s/8, c]."""
    images = torch.from_numpy(load_images(files, SIZE)).to(options.device)
    fine, coarse = (avg_pool2d(features, 3, stride=1, padding=1) for features in backbone(images))
    coarse = interpolate(coarse, size=fine.shape[2:], mode="bilinear")
    return torch.cat([fine, coarse], dim=1).permute(0, 2, 3, 1)


def in_batches(folder: Path) -> list[tuple[list[Path], torch.Tensor]]:
    """Files and their patches."""
    files = sorted(folder.iterdir())
    parts = [files[start : start + BATCH] for start in range(0, len(files), BATCH)]
    return [(part, patches(part)) for part in parts]


def greedy_coreset(features: torch.Tensor) -> torch.Tensor:
    """Patch after patch the one that is farthest from all chosen before, in a random projection."""
    projected = features @ torch.randn(features.shape[1], DIMENSIONS, device=features.device) / DIMENSIONS**0.5
    chosen = [int(torch.randint(len(features), ()))]
    distance = torch.full((len(features),), torch.inf, device=features.device)
    for _ in range(1, max(1, int(CORESET * len(features)))):
        distance = torch.minimum(distance, (projected - projected[chosen[-1]]).square().sum(dim=1))
        chosen.append(int(distance.argmax()))
    return features[chosen]


with torch.no_grad():
    memory = greedy_coreset(torch.cat([found.flatten(0, 2) for _, found in in_batches(options.train)]))
    print(f"{len(memory)} patches are remembered")
    for files, found in [*in_batches(options.validation), *in_batches(options.test)]:
        for file, of_image in zip(files, found, strict=True):
            nearest = torch.cdist(of_image.flatten(0, 1), memory).min(dim=1).values
            np.save(options.output / f"{file.stem}.npy", nearest.view(of_image.shape[:2]).cpu().numpy())
