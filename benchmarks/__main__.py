"""Every ratio, in one table: `python -m benchmarks`, or `make benchmark`, which writes benchmarks/RESULTS.md.

About a quarter of an hour on two cores. On a machine with CUDA, `benchmarks.gpu` runs instead, and checks the GPU, too.
"""

import argparse
import sys

import torch

from benchmarks import inference, penalty_images, spro, startup, teacher_target, training_step
from benchmarks.gpu.__main__ import main as on_gpu
from benchmarks.results import RESULTS, keep
from benchmarks.timing import CPU, circumstances, table
from dfsc.training.device import choose_device


def main() -> None:
    """Measure, print, and keep if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--write", action="store_true", help=f"also replace {RESULTS.name}'s part for this device")
    chosen = parser.parse_args()
    if choose_device(chosen.device, torch.get_num_threads()).type == "cuda":
        sys.exit(on_gpu(["--write"] if chosen.write else []))
    rows = training_step.measure("S", 256, "float32", CPU, repeats=7, workers=1)
    rows += teacher_target.measure(16, CPU, repeats=3)
    rows += inference.measure("S", "float32", CPU, 3) + inference.measure("M", "float32", CPU, 2)
    rows += penalty_images.measure(256, 5) + startup.measure(5)
    rows += spro.measure(spro.MEMORY_MAPS, spro.NATIVE_MAPS, workers=2, repeats=3)
    text = f"{circumstances(CPU)}\n\n{table(rows)}\n"
    print(text)
    if chosen.write:
        keep("cpu", text)


if __name__ == "__main__":
    main()
