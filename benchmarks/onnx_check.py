"""Whether an exported model says what `dfsc` says, on every test image of the demo, in each network size.

    python -m benchmarks.onnx_check [--write]

Each network learns from the demo's training images for some steps, of a teacher with random weights. Without any, its
maps would be nearly flat: their level many times their spread, by which they are divided, and rounding with them. Of a
model of yours, `dfsc export MODEL --output model.onnx --check IMAGES` says the same.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch

from benchmarks.results import keep
from benchmarks.timing import CPU, circumstances
from benchmarks.training_step import learner_of
from dfsc.data.images import image_files, load_images
from dfsc.data.layout import images_of
from dfsc.data.manifest import scan_category
from dfsc.data.synthetic import synthesize
from dfsc.inference.detector import Detector
from dfsc.inference.exported import DETECTOR, ONNXRUNTIME, run_export
from dfsc.model.trained import ORIGIN, TrainedModel, load_model, save_model
from dfsc.settings.building import build
from dfsc.settings.leaves import Size
from dfsc.settings.reading import read_configuration
from dfsc.settings.synthetic import SyntheticSettings
from dfsc.training.calibration import calibrate, validation_scores

DEMO = Path("config/demo.yaml")
LEARNING_RATE = 1e-3
MOST = 1e-5  # that a score may differ, relative
HEAD = (
    "| size | test images | greatest difference of a map | of a score, relative | level over spread | changed verdicts "
    "| ms, torch | ms, onnxruntime |\n| --- | --- | --- | --- | --- | --- | --- | --- |"
)


def save_trained(path: Path, size: Size, image_size: int, category: Path, steps: int) -> None:
    """Save a model that has learned from a category's images for some steps; the penalty images lie beside these."""
    images, penalty = (image_files(category.parent / part) for part in (f"{category.name}/train/good", "pretraining"))
    learner = learner_of(size, images, penalty, image_size, learning_rate=LEARNING_RATE)
    for step in range(steps):
        learner.update(step, learner.draw(step))
    network = learner.model
    records = images_of(scan_category(category, part="training"), "validation/good")
    pixels = load_images([category / record.path for record in records], image_size, 2)
    scores = validation_scores(calibrate(network, pixels, CPU), records)
    origin = {**dict.fromkeys(ORIGIN, "benchmarks.onnx_check"), "category": category.name}
    save_model(path, TrainedModel(network, [record.path for record in records], scores, origin))


def rows(data: Path, categories: list[str], sizes: list[Size], image_size: int, steps: int) -> Iterator[str]:
    """A row per size. Ends with an error if a verdict changes, or a score differs by more than MOST of it."""
    for size in sizes:
        compared, tested, ratio = [], 0, 0.0
        for category in categories:
            model, folder = data / f"{category}-{size}.pt", data / category / "test"
            images = [str(image) for kind in sorted(folder.iterdir()) for image in image_files(kind)]
            save_trained(model, size, image_size, data / category, steps)
            detector = Detector(load_model(model))
            exported = model.with_suffix(".onnx")
            compared.append(run_export(detector, model, exported, images, 1, lambda done, total: None))
            tested += len(images)
            lower, upper = detector.model.network.map_quantiles.T
            ratio = max(ratio, float((lower / (upper - lower)).max()))
        own, other = (
            [one for of_category in compared for one in of_category if one.runtime == name]
            for name in (DETECTOR, ONNXRUNTIME)
        )
        worst = max(one.score_difference for one in other)
        if worst > MOST:
            sys.exit(f"{size}: a score differs by {worst:.1e} of it")
        times = [max(one.milliseconds for one in found) for found in (own, other)]
        yield (
            f"| {size} | {tested} | {max(one.map_difference for one in other):.1e} | {worst:.1e} | {ratio:.1f} "
            f"| {sum(len(one.changed) for one in other)} | {times[0]:.0f} | {times[1]:.0f} |"
        )


def main() -> None:
    """Check, print, and keep if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["tiny", "S", "M"])
    parser.add_argument("--steps", type=int, default=100, help="of training")
    parser.add_argument("--image-size", type=int, help="of the networks, in pixels; the demo's if not said")
    parser.add_argument("--write", action="store_true", help="also replace the part of RESULTS.md")
    chosen = parser.parse_args()
    config = read_configuration([DEMO])
    image_size = chosen.image_size or config["training"]["image_size"]
    settings = build(SyntheticSettings, {**config["dataset"]["generated"], "pretraining": 50})
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        data, categories = Path(folder), config["dataset"]["categories"]
        synthesize(data, settings, [*categories, "pretraining"], lambda done, total: None)
        table = "\n".join(rows(data, categories, chosen.sizes, image_size, chosen.steps))
    text = (
        f"{circumstances(CPU)}\n\nEvery test image of the demo ({', '.join(categories)}), networks of {image_size} px "
        f"after {chosen.steps} steps, threshold of 5 %. Milliseconds: the median of an image, from all of its "
        "pixels.\n\n"
        f"{HEAD}\n{table}\n"
    )
    print(text)
    if chosen.write:
        keep("onnx", text)


if __name__ == "__main__":
    main()
