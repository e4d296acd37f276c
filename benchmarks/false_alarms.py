"""Whether the false-alarm rate that validation images promise is kept, on generated images of a category.

    python -m benchmarks.false_alarms [--write]

First with 20 seeds: for each, other images and another model, which its own validation images give a threshold; then
good images that it has not seen are judged, as `dfsc score` judges them.

Then what it costs that the same validation images scale the maps: one model, and 1,000 draws of good images that it has
not seen. In each, some scale the maps and give the threshold, and the rest are judged. `shared`: the same images do
both, as `dfsc` has it. `split`: one half scales, the other gives the threshold. `apart`: other images scale, so that
nothing but the rank counts. Scores are the maxima of the maps at their own size.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats

from benchmarks.results import keep
from benchmarks.timing import CPU, circumstances
from dfsc.cli import app
from dfsc.data.images import image_files, load_images
from dfsc.inference.image_scores import read_scores
from dfsc.inference.threshold import threshold_of
from dfsc.model.networks import normalise_images
from dfsc.model.trained import load_model
from dfsc.training.calibration import MAP_QUANTILES

NONE_BAD = {"logical": 1, "structural": 1}
OF_SEEDS = {**NONE_BAD, "train": 40, "test_good": 200, "pretraining": 1}
OF_DRAWS = {**NONE_BAD, "train": 60, "validation": 20, "test_good": 400, "pretraining": 200}
TEACHER = {"size": "tiny", "backbone": "resnet18", "backbone_weights": "random", "steps": 100,
           "batch_size": 8, "learning_rate": 1e-3, "weight_decay": 1e-5, "grey_probability": 0.1,
           "normalisation_images": 100, "precision": "float32", "seed": 0}  # fmt: skip
TRAINING = {"size": "tiny", "batch_size": 1, "learning_rate": 1e-3,
            "weight_decay": 1e-5, "learning_rate_drop_after": 0.95, "learning_rate_drop_factor": 0.1,
            "hard_quantile": 0.999, "jitter": 0.2, "penalty_grey_probability": 0.3, "precision": "float32",
            "compiled": False, "dfsc": None}  # fmt: skip
SCORING = {"padding": "zero", "precision": "float32"}


def dfsc(*arguments: object) -> None:
    """Run a command of `dfsc` in this process."""
    app([str(argument) for argument in arguments], prog_name="dfsc", standalone_mode=False)


class Place:
    """A folder with pretraining images, and models of one category trained there on a teacher from them."""

    def __init__(self, folder: Path, category: str) -> None:
        self.folder, self.category = folder, category
        self.images = folder / "pretraining"
        self.common = ("--pretraining-index", folder / "index", "--pretraining-folder", self.images,
                       "--checkpoints", folder / "checkpoints", "--device", "cpu")  # fmt: skip
        counts = {**OF_DRAWS, "seed": 0}
        dfsc("synthesize", "--output", folder, "--settings", json.dumps(counts), "--only", "pretraining")
        dfsc("index", "--folder", self.images, "--source", "generated", "--output", folder / "index")

    def teacher(self, image_size: int) -> Path:
        """The teacher of an image size."""
        file = self.folder / f"teacher{image_size}.pt"
        if not file.exists():
            settings = json.dumps({**TEACHER, "image_size": image_size})
            dfsc("teacher", "pretrain", "--settings", settings, *self.common, "--output", file,
                 "--curve", file.with_suffix(".csv"), "--record", file.with_suffix(".json"))  # fmt: skip
        return file

    def model(self, name: str, images: dict[str, int], seed: int, image_size: int, steps: int) -> Path:
        """The folder of a model trained on images that are drawn for it; they lie in `data` there."""
        folder = self.folder / name
        training = {**TRAINING, "seed": seed, "image_size": image_size, "steps": steps}
        data = ("--dataset", folder / "data", "--category", self.category)
        files = [part for file in ("curve", "record", "distances") for part in (f"--{file}", folder / file)]
        dfsc("synthesize", "--output", folder / "data", "--settings", json.dumps(images), "--only", self.category)
        dfsc("manifest", *data, "--output", folder / "manifest.csv")
        dfsc("train", "--settings", json.dumps(training), *self.common, *data, "--teacher", self.teacher(image_size),
             "--manifest", folder / "manifest.csv", "--output", folder / "model.pt", *files)  # fmt: skip
        return folder


def rates_of_seeds(place: Place, count: int, rate: float, seeds: int) -> Iterator[float]:
    """Of each seed, the share of good test images that its model rejects at the promised rate."""
    for seed in range(seeds):
        images = {**OF_SEEDS, "validation": count, "seed": 100 + seed}
        folder = place.model(f"seed{seed}", images, seed, image_size=64, steps=150)
        dfsc("score", "--model", folder / "model.pt", "--settings", json.dumps(SCORING), "--dataset", folder / "data",
             "--category", place.category, "--manifest", folder / "manifest.csv", "--scores", folder / "scores.csv",
             "--maps", folder / "maps.npz", "--device", "cpu")  # fmt: skip
        threshold = threshold_of([*read_scores(folder / "scores.csv", "validation").values()], rate)
        good = [value for path, value in read_scores(folder / "scores.csv").items() if "/good/" in path]
        yield float(np.mean(np.array(good) > threshold))


def said_of_seeds(rates: list[float], count: int, rate: float) -> str:
    """The mean rate with its interval over seeds, Student's t, against the promise."""
    mean, error = np.mean(rates), np.std(rates, ddof=1) / np.sqrt(len(rates))
    low, high = (100 * (mean + side * stats.t.ppf(0.975, len(rates) - 1) * error) for side in (-1, 1))
    said = "does not contradict" if low <= 100 * rate else "CONTRADICTS"
    shares = ", ".join(f"{100 * value:g}" for value in sorted(rates))
    return (
        f"{len(rates)} seeds, each with other images and another model; {count} validation images promise "
        f"{100 * rate:g} %. Of {OF_SEEDS['test_good']} other good images each rejects {100 * mean:.2f} % in the mean, "
        f"95 % interval {low:.2f} to {high:.2f} %, which {said} the promise. The seeds, in %: {shares}."
    )


def raw_maps(place: Place, seed: int) -> NDArray[np.float64]:
    """Local and global maps of 400 good images by a model trained without them, [n, 2, cells]."""
    folder = place.model("draws", {**OF_DRAWS, "seed": seed}, seed, image_size=96, steps=400)
    network = load_model(folder / "model.pt").network
    test = image_files(folder / "data" / place.category / "test/good")
    pixels = torch.from_numpy(load_images(test, network.image_size, 2))
    with torch.no_grad():
        found = torch.cat([network.raw_maps(normalise_images(batch)) for batch in torch.split(pixels, 16)])
    return found.flatten(2).double().numpy()


def scores_of(maps: NDArray[np.float64], scaled_by: NDArray[np.float64]) -> NDArray[np.float64]:
    """Image scores [n] of raw maps [n, 2, cells], scaled by the quantiles of others, with zeros around."""
    quantiles = np.quantile(scaled_by.transpose(1, 0, 2).reshape(2, -1), MAP_QUANTILES, axis=1)
    lower, upper = quantiles[:, :, None]
    scaled: NDArray[np.float64] = (0.1 * (maps - lower) / (upper - lower)).mean(axis=1).max(axis=1)
    return np.maximum(scaled, 0)


def said_of_draws(maps: NDArray[np.float64], count: int, rate: float, draws: int, seed: int) -> Iterator[str]:
    """A row for each way to scale the maps."""
    random = np.random.default_rng(seed)
    rates: dict[str, list[float]] = {"shared": [], "split": [], "apart": []}
    for _ in range(draws):
        order = random.permutation(len(maps))
        drawn, others, judged = maps[order[:count]], maps[order[count : 2 * count]], maps[order[2 * count :]]
        half = count // 2
        for name, scaling, giving in (
            ("shared", drawn, drawn), ("split", drawn[:half], drawn[half:]), ("apart", others, drawn)
        ):  # fmt: skip
            threshold = threshold_of(scores_of(giving, scaling), rate)
            rates[name].append(float(np.mean(scores_of(judged, scaling) > threshold)))
    for name, found in rates.items():
        size = count // 2 if name == "split" else count
        rank = np.ceil((size + 1) * (1 - rate))
        error = np.std(found) / np.sqrt(len(found))
        yield (
            f"| {name} | {100 * np.mean(found):.2f} % ± {100 * error:.2f} | {100 * (1 - rank / (size + 1)):.2f} % "
            f"| {100 * np.quantile(found, 0.9):.1f} % |"
        )


def main() -> None:
    """Measure, print, and keep if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--category", default="coin_tray")
    parser.add_argument("--images", type=int, default=60, help="validation images")
    parser.add_argument("--rate", type=float, default=0.05)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--write", action="store_true", help="also replace the part of RESULTS.md")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder), chosen.category)
        rates = list(rates_of_seeds(place, chosen.images, chosen.rate, chosen.seeds))
        maps = raw_maps(place, 0)
    lines = [
        f"{chosen.category}; {circumstances(CPU)}",
        "",
        said_of_seeds(rates, chosen.images, chosen.rate),
        "",
        f"One model, {chosen.draws} draws of {chosen.images} validation images from 400 good images:",
        "",
        "| who scales the maps | others rejected, mean | what the rank gives | 9 of 10 draws: at most |",
        "| --- | --- | --- | --- |",
        *said_of_draws(maps, chosen.images, chosen.rate, chosen.draws, 0),
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    if chosen.write:
        keep("false alarms", text)


if __name__ == "__main__":
    main()
