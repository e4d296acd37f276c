"""Whether the false-alarm rate that validation images promise is kept, though the same images scale the maps.

    python -m benchmarks.false_alarms

Trains one model on generated images of a category. Then, in 1,000 draws of good images that it has not seen: some scale
the maps and give the threshold, and the rest are judged. `shared`: the same images do both, as `dfsc` has it. `split`:
one half scales, the other gives the threshold. `apart`: other images scale, so that nothing but the rank counts. Scores
are the maxima of the maps at their own size.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from dfsc.data.images import image_files, load_images
from dfsc.inference.threshold import threshold_of
from dfsc.model.networks import normalise_images
from dfsc.model.trained import load_model
from dfsc.training.calibration import MAP_QUANTILES

GENERATED = {"train": 60, "validation": 20, "test_good": 400, "logical": 1, "structural": 1, "pretraining": 200}
TEACHER = {"size": "tiny", "image_size": 96, "backbone": "resnet18", "backbone_weights": "random", "steps": 100,
           "batch_size": 8, "learning_rate": 1e-3, "weight_decay": 1e-5, "grey_probability": 0.1,
           "normalisation_images": 100, "precision": "float32", "seed": 0}  # fmt: skip
TRAINING = {"size": "tiny", "image_size": 96, "steps": 400, "batch_size": 1, "learning_rate": 1e-3,
            "weight_decay": 1e-5, "learning_rate_drop_after": 0.95, "learning_rate_drop_factor": 0.1,
            "hard_quantile": 0.999, "jitter": 0.2, "penalty_grey_probability": 0.3, "precision": "float32",
            "compiled": False, "seed": 0, "dfsc": None}  # fmt: skip


def raw_maps(folder: Path, category: str, seed: int) -> NDArray[np.float64]:
    """Local and global maps of 400 good images by a model trained without them, [n, 2, cells]."""

    def dfsc(*arguments: object) -> None:
        subprocess.run([sys.executable, "-m", "dfsc.cli", *map(str, arguments)], check=True)

    data, images = folder / "data", folder / "data" / category
    pretraining = ("--pretraining-index", folder / "index", "--pretraining-folder", data / "pretraining")
    common = (*pretraining, "--checkpoints", folder / "checkpoints", "--device", "cpu")
    files = [part for name in ("curve", "record", "distances") for part in (f"--{name}", folder / name)]
    dfsc("synthesize", "--output", data, "--settings", json.dumps({**GENERATED, "seed": seed}))
    dfsc("manifest", "--dataset", data, "--category", category, "--output", folder / "manifest.csv")
    dfsc("index", "--folder", data / "pretraining", "--source", "generated", "--output", folder / "index")
    dfsc("teacher", "pretrain", "--settings", json.dumps(TEACHER), *common, "--output", folder / "teacher.pt",
         "--curve", folder / "teacher.csv", "--record", folder / "teacher.json")  # fmt: skip
    dfsc("train", "--settings", json.dumps({**TRAINING, "seed": seed}), *common, "--output", folder / "model.pt",
         *files, "--dataset", data, "--category", category, "--manifest", folder / "manifest.csv",
         "--teacher", folder / "teacher.pt")  # fmt: skip
    network = load_model(folder / "model.pt").network
    pixels = torch.from_numpy(load_images(image_files(images / "test/good"), network.image_size, 2))
    with torch.no_grad():
        found = torch.cat([network.raw_maps(normalise_images(batch)) for batch in torch.split(pixels, 16)])
    return found.flatten(2).double().numpy()


def scores_of(maps: NDArray[np.float64], scaled_by: NDArray[np.float64]) -> NDArray[np.float64]:
    """Image scores [n] of raw maps [n, 2, cells], scaled by the quantiles of others, with zeros around."""
    quantiles = np.quantile(scaled_by.transpose(1, 0, 2).reshape(2, -1), MAP_QUANTILES, axis=1)
    lower, upper = quantiles[:, :, None]
    scaled: NDArray[np.float64] = (0.1 * (maps - lower) / (upper - lower)).mean(axis=1).max(axis=1)
    return np.maximum(scaled, 0)


def main() -> None:
    """Draw, and print a row for each way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--category", default="coin_tray")
    parser.add_argument("--images", type=int, default=60, help="validation images of a draw")
    parser.add_argument("--rate", type=float, default=0.05)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        maps = raw_maps(Path(folder), chosen.category, chosen.seed)
    random, count = np.random.default_rng(chosen.seed), chosen.images
    rates: dict[str, list[float]] = {"shared": [], "split": [], "apart": []}
    for _ in range(chosen.draws):
        order = random.permutation(len(maps))
        drawn, others, judged = maps[order[:count]], maps[order[count : 2 * count]], maps[order[2 * count :]]
        half = count // 2
        for name, scaling, giving in (
            ("shared", drawn, drawn), ("split", drawn[:half], drawn[half:]), ("apart", others, drawn)
        ):  # fmt: skip
            threshold = threshold_of(scores_of(giving, scaling), chosen.rate)
            rates[name].append(float(np.mean(scores_of(judged, scaling) > threshold)))
    print(f"{chosen.category}, {count} validation images, promised {100 * chosen.rate:g} %, {chosen.draws} draws")
    for name, found in rates.items():
        size = count // 2 if name == "split" else count
        rank = np.ceil((size + 1) * (1 - chosen.rate))
        error = np.std(found) / np.sqrt(len(found))
        print(
            f"{name}: {100 * np.mean(found):.2f} % ± {100 * error:.2f} of the others rejected; the rank of {size} "
            f"images gives {100 * (1 - rank / (size + 1)):.2f} %; 9 of 10 draws: at most "
            f"{100 * np.quantile(found, 0.9):.1f} %"
        )


if __name__ == "__main__":
    main()
