"""Methods from outside for tests: small executables, and images for them."""

import os
from pathlib import Path

# Writes a map of two cells for each test image: the mean of its folder's number and its own, from awk alone.
IN_AWK = """\
#!/bin/sh
# A method in shell and awk: how far an image's size in bytes is from the mean of the training images'.
while [ $# -gt 1 ]; do
  case $1 in --train) train=$2 ;; --test) test=$2 ;; --output) output=$2 ;; esac
  shift 2
done
mean=$(wc -c "$train"/* | awk 'END { printf "%.3f", $1 / (NR - 1) }')
echo name,image_score > "$output/scores.csv"
for image in "$test"/*; do
  stem=$(basename "$image" .png)
  bytes=$(wc -c < "$image")
  # NumPy's format: a header of 128 bytes, then float64 1.0 or 0.0 in each of 1 x 2 cells.
  printf '\\223NUMPY\\001\\000\\166\\000' > "$output/$stem.npy"
  printf '%-117s\\n' "{'descr': '<f8', 'fortran_order': False, 'shape': (1, 2), }" >> "$output/$stem.npy"
  printf '\\0\\0\\0\\0\\0\\0\\360\\77\\0\\0\\0\\0\\0\\0\\0\\0' >> "$output/$stem.npy"
  awk -v name="$stem.png" -v bytes="$bytes" -v mean="$mean" \\
    'BEGIN { d = bytes - mean; printf "%s,%.3f\\n", name, d < 0 ? -d : d }' >> "$output/scores.csv"
done
"""
# Python that other methods begin with.
HEAD = """\
#!/usr/bin/env python3
import pathlib, sys, time
import numpy as np
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
train, test, output = (pathlib.Path(given[f"--{name}"]) for name in ("train", "test", "output"))
images = sorted(test.iterdir())
random = np.random.default_rng(int(given["--seed"]))
def save(image, values):
    np.save(output / f"{image.stem}.npy", np.asarray(values, float))
"""


def write_method(folder: Path, text: str) -> Path:
    """Write an executable `run` into `folder`; returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    command = folder / "run"
    command.write_text(text)
    os.chmod(command, 0o755)  # noqa: PTH101
    return command


def in_python(folder: Path, lines: str) -> Path:
    """Write a method that runs these lines; `images`, `save(image, values)` and `random` are there."""
    return write_method(folder, HEAD + lines + "\n")
