"""RESULTS.md: what was measured last, a part for each of CPU, CUDA, Slurm, the page, large grids, mutants..."""

import subprocess
from pathlib import Path

RESULTS = Path(__file__).with_name("RESULTS.md")
HEAD = """# Results of the benchmarks

Written by `make benchmark`, CUDA's part by `python -m benchmarks.gpu --write`, Slurm's by `python -m
benchmarks.slurm_overhead --write`, the mutants' by `make mutants`; those of the page, of ONNX, of false alarms, of
the grid's size and of a cold start by `python -m benchmarks.page --write`, and so on: `onnx_check`, `false_alarms`,
`grid_size`, `cold_start`. Medians; the two of a line ran in turn,
so that ratios hold on other machines, seconds not.
"""


def keep(kind: str, text: str) -> None:
    """Replace the part of RESULTS.md for `kind`: cpu, cuda, slurm, page, mutants, onnx, false alarms, grid size..."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout
    parts = dict.fromkeys(("cpu", "cuda", "slurm"), "Not measured yet.\n")
    if RESULTS.exists():
        parts |= {
            part.split("\n", 1)[0].lower(): part.split("\n", 1)[1] for part in RESULTS.read_text().split("## ")[1:]
        }
    parts[kind] = f"\nCommit {commit.strip() or 'unknown'}; {text}"
    bodies = "".join(f"\n## {name.upper()}\n{part.rstrip()}\n" for name, part in parts.items())
    RESULTS.write_text(f"{HEAD}{bodies}")
