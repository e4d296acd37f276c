"""The teacher's target: our two grouped convolutions against unfolding patches, side by side in one run.

    python benchmarks/teacher_target.py [--batch 16] [--device cpu]

Prints the ratio of times and the largest difference. Both start from the backbone's features, for a 512 x 512 view of
WideResNet-101-2: layer2 [n, 512, 64, 64] and layer3 [n, 1024, 32, 32], target [n, 384, 64, 64].
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from dfsc.backbone import POOLED, TeacherTarget


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


def seconds(function: Callable[[], Tensor], device: torch.device) -> float:
    """Wall time of one call."""
    began = time.perf_counter()
    function()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def main() -> None:
    """Time both in turn, and print ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    generator = torch.Generator().manual_seed(0)
    layer2 = torch.randn(arguments.batch, 512, 64, 64, generator=generator).to(device)
    layer3 = torch.randn(arguments.batch, 1024, 32, 32, generator=generator).to(device)
    target = TeacherTarget(512, 1024, 384).to(device)
    with torch.no_grad():
        difference = (target(layer2, layer3) - unfolded_target(layer2, layer3)).abs().max()  # and a warm-up
        pairs = [
            (seconds(lambda: unfolded_target(layer2, layer3), device), seconds(lambda: target(layer2, layer3), device))
            for _ in range(arguments.repeats)
        ]
    ratios = [plain / ours for plain, ours in pairs]
    print(f"batch {arguments.batch} on {device}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    plain, ours = (statistics.median(times) for times in zip(*pairs, strict=True))
    print(f"unfolded {plain:.2f} s, ours {ours:.3f} s")
    print(f"ratio {statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})")
    print(f"largest difference {difference:.1e}")


if __name__ == "__main__":
    main()
