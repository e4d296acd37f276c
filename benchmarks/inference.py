"""Latency and throughput of scoring images in memory, against the plain implementation.

    python -m benchmarks.inference [--sizes S,M] [--device cuda --precision float16]

The published headline, for S in half precision on an RTX A6000: 2.2 ms for one image, 614 images per second in batches
of 16 (Batzner et al. 2024). From an image of the model's size, on the host, to its image score there.
"""

import argparse
import statistics

import numpy as np
import torch

from benchmarks.plain import plain_scores
from benchmarks.timing import Row, circumstances, in_turn, table
from dfsc.inference.score import anomaly_maps
from dfsc.model.maps import pad_map, resize_map
from dfsc.model.networks import EfficientAD, standardise
from dfsc.settings.leaves import Precision
from dfsc.training.device import choose_device, computing, placed

BATCHES = (1, 16)


def measure(size: str, precision: Precision, device: torch.device, repeats: int) -> list[Row]:
    """A row per batch size."""
    torch.manual_seed(0)
    model = placed(EfficientAD(size, 256).eval().requires_grad_(False), device)
    rows = []
    for batch in BATCHES:
        images = np.random.default_rng(0).integers(0, 256, (batch, 256, 256, 3), np.uint8)

        def theirs(images: np.ndarray = images) -> list[float]:
            with computing(device, precision):
                views = standardise(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255)
                return plain_scores(model, views.to(device)).float().tolist()

        def ours(images: np.ndarray = images) -> list[float]:
            maps = anomaly_maps(model, images, device, precision)
            return [float(resize_map(pad_map(small, "zero"), 256, 256).max()) for small in maps]

        np.testing.assert_allclose(ours(), theirs(), rtol=1e-3 if precision == "float32" else 0.1)
        times = in_turn(theirs, ours, repeats, device)
        took = statistics.median(times[1])
        note = f"{1e3 * took:.1f} ms latency" if batch == 1 else f"{batch / took:.1f} images/s"
        rows.append(Row(f"scoring, {size}, {precision}, batch {batch}", "plain", *times, note))
    return rows


def main() -> None:
    """Time both in turn, and print ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="S,M")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--device", default="cpu")
    chosen = parser.parse_args()
    device = choose_device(chosen.device, torch.get_num_threads())
    rows = [row for size in chosen.sizes.split(",") for row in measure(size, chosen.precision, device, chosen.repeats)]
    print(f"{circumstances(device)}\n\n{table(rows)}")


if __name__ == "__main__":
    main()
