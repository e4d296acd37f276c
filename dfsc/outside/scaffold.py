"""A method's folder to begin with: it works at once, and its author replaces what is computed."""

from pathlib import Path

from dfsc.errors import UserError
from dfsc.files import write_text

RUN = """\
#!/usr/bin/env bash
# run --train DIR --validation DIR --test DIR --seed K --device cpu|cuda --output DIR
# Starts method.py with these options. If requirements.txt lists packages, they are installed into .venv, here, before
# the first run; else the Python that finds dfsc also runs the method. This file may be anything executable instead.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
python=python3
if grep -q '^[^#]' "$here/requirements.txt"; then
  python=$here/.venv/bin/python
  (
    flock 9  # several jobs may start at once
    if ! cmp -s "$here/requirements.txt" "$here/.venv/installed.txt"; then
      python3 -m venv --clear "$here/.venv"
      "$python" -m pip install --quiet --requirement "$here/requirements.txt"
      cp "$here/requirements.txt" "$here/.venv/installed.txt"
    fi
  ) 9> "$here/.lock"
fi
exec "$python" "$here/method.py" "$@"
"""
REQUIREMENTS = """\
# One package and its version on each line, for example: torch==2.11.0
"""
METHOD = '''\
"""How far each part of an image is from the mean training image: replace this by your method."""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

parser = argparse.ArgumentParser()
parser.add_argument("--train", type=Path)  # a folder of good images
parser.add_argument("--validation", type=Path)  # a folder of more good images, for example to choose a threshold
parser.add_argument("--test", type=Path)  # a folder of images, good and anomalous
parser.add_argument("--seed", type=int)  # all randomness should come from this number
parser.add_argument("--device", choices=["cpu", "cuda"])
parser.add_argument("--output", type=Path)  # an empty folder
options = parser.parse_args()


def load(file: Path) -> np.ndarray:
    """The image in grey, [64, 64], from 0 to 1."""
    return np.asarray(Image.open(file).convert("L").resize((64, 64)), np.float32) / 255


mean = np.mean([load(file) for file in sorted(options.train.iterdir())], axis=0)

# For each test image a map <name>.npy or <name>.tiff: a number per cell, of any size from 1 x 1 on; high is anomalous.
# The image score is the maximum of the map, unless you also write scores.csv with the columns name,image_score.
# Maps of the validation images are optional: they give the threshold at which false alarms are counted.
for file in sorted([*options.validation.iterdir(), *options.test.iterdir()]):
    np.save(options.output / f"{file.stem}.npy", np.abs(load(file) - mean))
'''


def write_scaffold(folder: Path) -> None:
    """Write a method's folder: run, method.py and requirements.txt. Raises UserError if it exists."""
    if folder.exists():
        raise UserError(f"{folder}: exists; choose another name, or move it away")
    for name, text in (("run", RUN), ("method.py", METHOD), ("requirements.txt", REQUIREMENTS)):
        write_text(folder / name, text)
    (folder / "run").chmod(0o755)
