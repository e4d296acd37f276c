"""Every ratio, in one table: `python -m benchmarks`, or `make benchmark`, which writes benchmarks/RESULTS.md.

About a quarter of an hour on two cores. On a machine with CUDA the networks' part runs there, in TF32 and bfloat16.
"""

import argparse

import torch

from benchmarks import inference, penalty_images, spro, startup, teacher_target, training_step
from benchmarks.results import RESULTS, keep
from benchmarks.timing import CPU, Row, circumstances, table
from dfsc.training.device import choose_device


def networks(device: torch.device) -> list[Row]:
    """The parts that run on a GPU where there is one."""
    if device.type != "cuda":
        rows = training_step.measure("S", 256, "float32", CPU, repeats=7, workers=1)
        rows += teacher_target.measure(16, CPU, repeats=3)
        return rows + inference.measure("S", "float32", CPU, 3) + inference.measure("M", "float32", CPU, 2)
    rows = []
    for precision in ("tf32", "bfloat16"):
        for size in ("S", "M"):
            rows += training_step.measure(size, 256, precision, device, repeats=7, workers=6)
    rows += teacher_target.measure(16, device, repeats=7)
    return rows + [row for size in ("S", "M") for row in inference.measure(size, "float16", device, 50)]


def main() -> None:
    """Measure, print, and keep if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--write", action="store_true", help=f"also replace {RESULTS.name}'s part for this device")
    chosen = parser.parse_args()
    device = choose_device(chosen.device, torch.get_num_threads())
    rows = networks(device)
    if device.type == "cpu":
        rows += penalty_images.measure(256, 5) + startup.measure(5)
        rows += spro.measure(spro.MEMORY_MAPS, spro.NATIVE_MAPS, workers=2, repeats=3)
    text = f"{circumstances(device)}\n\n{table(rows)}\n"
    print(text)
    if chosen.write:
        keep(device.type, text)


if __name__ == "__main__":
    main()
