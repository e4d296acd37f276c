"""The teacher's target: our two grouped convolutions against unfolding patches, side by side in one run.

    python -m benchmarks.teacher_target [--batch 16] [--device cpu]

Prints the ratio of times and the largest difference. Both start from the backbone's features, for a 512 x 512 view of
WideResNet-101-2: layer2 [n, 512, 64, 64] and layer3 [n, 1024, 32, 32], target [n, 384, 64, 64].
"""

import argparse

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.timing import Row, circumstances, in_turn, table
from dfsc.model.target import POOLED, TeacherTarget


def unfolded_target(layer2: Tensor, layer3: Tensor) -> Tensor:
    """PatchCore's feature as it is usually computed (Roth et al. 2022): every patch unfolded."""
    grid = layer2.shape[-2:]
    pooled = []
    for layer in (layer2, layer3):
        count, channels, height, width = layer.shape
        patches = F.unfold(layer, 3, padding=1).reshape(count, channels * 9, height, width)
        if (height, width) != tuple(grid):
            patches = F.interpolate(patches, size=grid, mode="bilinear", align_corners=False)
        flat = patches.permute(0, 2, 3, 1).reshape(-1, 1, channels * 9)
        pooled.append(F.adaptive_avg_pool1d(flat, POOLED))
    pair = torch.stack(pooled, dim=1).reshape(len(pooled[0]), 1, 2 * POOLED)
    target = F.adaptive_avg_pool1d(pair, 384)
    return target.reshape(layer2.shape[0], *grid, 384).permute(0, 3, 1, 2)


def measure(batch: int, device: torch.device, repeats: int) -> list[Row]:
    """One row; both results are compared first."""
    generator = torch.Generator().manual_seed(0)
    layer2 = torch.randn(batch, 512, 64, 64, generator=generator).to(device)
    layer3 = torch.randn(batch, 1024, 32, 32, generator=generator).to(device)
    target = TeacherTarget(512, 1024, 384).to(device)
    with torch.no_grad():
        difference = (target(layer2, layer3) - unfolded_target(layer2, layer3)).abs().max()  # and a warm-up
        times = in_turn(
            lambda: unfolded_target(layer2, layer3), lambda: target(layer2, layer3), repeats=repeats, device=device
        )
    return [Row(f"teacher's target, batch {batch}", "patches unfolded", *times, f"differ by at most {difference:.1e}")]


def main() -> None:
    """Time both in turn, and print ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    chosen = parser.parse_args()
    device = torch.device(chosen.device)
    print(f"{circumstances(device)}\n\n{table(measure(chosen.batch, device, chosen.repeats))}")


if __name__ == "__main__":
    main()
