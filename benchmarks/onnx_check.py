"""Whether an exported model says what `dfsc` says, on every test image of the demo, in each network size.

    python -m benchmarks.onnx_check [--write]

The networks have random weights, scaled by the demo's validation images: what is compared is the computation, whatever
was learned. Of a trained model, `dfsc export MODEL --output model.onnx --check IMAGES` says the same.

Maps that are nearly flat, as those of random weights are, scale rounding up: a map's level is many times its spread, by
which it is divided. So a score may differ by 1e-5 of it, times that ratio where it is above 1; of trained models it is
about 1.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch

from benchmarks.results import keep
from benchmarks.timing import CPU, circumstances
from dfsc.data.images import image_files, load_images
from dfsc.data.layout import images_of
from dfsc.data.manifest import scan_category
from dfsc.data.synthetic import synthesize
from dfsc.inference.detector import Detector
from dfsc.inference.exported import DETECTOR, ONNXRUNTIME, run_export
from dfsc.model.networks import EfficientAD
from dfsc.model.trained import ORIGIN, TrainedModel, load_model, save_model
from dfsc.settings.building import build
from dfsc.settings.reading import read_configuration
from dfsc.settings.synthetic import SyntheticSettings
from dfsc.training.calibration import calibrate, validation_scores

DEMO = Path("config/demo.yaml")
MOST = 1e-5  # that a score may differ, relative, of a map whose level is no larger than its spread
HEAD = (
    "| size | test images | greatest difference of a map | of a score, relative | level over spread | changed verdicts "
    "| ms, torch | ms, onnxruntime |\n| --- | --- | --- | --- | --- | --- | --- | --- |"
)


def save_untrained(path: Path, size: str, image_size: int, category: Path) -> None:
    """Save a model of random weights whose map scale and scores are those of a category's validation images."""
    torch.manual_seed(0)
    network = EfficientAD(size, image_size)
    records = images_of(scan_category(category, part="training"), "validation/good")
    pixels = load_images([category / record.path for record in records], image_size, 2)
    scores = validation_scores(calibrate(network, pixels, CPU), records)
    origin = {**dict.fromkeys(ORIGIN, "untrained"), "category": category.name}
    save_model(path, TrainedModel(network, [record.path for record in records], scores, origin))


def rows(data: Path, categories: list[str], sizes: list[str], image_size: int, threads: int) -> Iterator[str]:
    """A row per size. Ends with an error if a verdict changes, or a score differs by more than MOST allows."""
    for size in sizes:
        compared, tested, ratio = [], 0, 1.0
        for category in categories:
            model, folder = data / f"{category}-{size}.pt", data / category / "test"
            images = [str(image) for kind in sorted(folder.iterdir()) for image in image_files(kind)]
            save_untrained(model, size, image_size, data / category)
            detector = Detector(load_model(model))
            exported = model.with_suffix(".onnx")
            compared.append(run_export(detector, model, exported, images, threads, lambda done, total: None))
            tested += len(images)
            lower, upper = detector.model.network.map_quantiles.T
            ratio = max(ratio, float((lower / (upper - lower)).max()))
        own, other = (
            [one for of_category in compared for one in of_category if one.runtime == name]
            for name in (DETECTOR, ONNXRUNTIME)
        )
        worst = max(one.score_difference for one in other)
        if worst > MOST * ratio:
            sys.exit(f"{size}: a score differs by {worst:.1e} of it")
        times = [max(one.milliseconds for one in found) for found in (own, other)]
        yield (
            f"| {size} | {tested} | {max(one.map_difference for one in other):.1e} | {worst:.1e} | {ratio:.0f} "
            f"| {sum(len(one.changed) for one in other)} | {times[0]:.0f} | {times[1]:.0f} |"
        )


def main() -> None:
    """Check, print, and keep if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="tiny,S,M")
    parser.add_argument("--image-size", type=int, help="of the networks, in pixels; the demo's if not said")
    parser.add_argument("--write", action="store_true", help="also replace the part of RESULTS.md")
    chosen = parser.parse_args()
    config = read_configuration([DEMO])
    image_size = chosen.image_size or config["training"]["image_size"]
    settings = build(SyntheticSettings, config["dataset"]["generated"])
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        data, categories = Path(folder), config["dataset"]["categories"]
        synthesize(data, settings, categories, lambda done, total: None)
        table = "\n".join(rows(data, categories, chosen.sizes.split(","), image_size, 1))
    text = (
        f"{circumstances(CPU)}\n\nEvery test image of the demo ({', '.join(categories)}), networks of {image_size} px "
        f"with random weights, threshold of 5 %. Milliseconds: the median of an image, from all of its pixels.\n\n"
        f"{HEAD}\n{table}\n"
    )
    print(text)
    if chosen.write:
        keep("onnx", text)


if __name__ == "__main__":
    main()
