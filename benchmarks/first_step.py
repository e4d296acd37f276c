"""A training until its first step is done, in a process of its own, for `benchmarks.cold_start`."""

import time

BEGAN = time.perf_counter()

import json  # noqa: E402  # what is imported is part of a start
import os  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402

import torch  # noqa: E402

from benchmarks.training_step import learner_on  # noqa: E402
from dfsc.data.decoded import CategoryImages  # noqa: E402
from dfsc.data.layout import images_of, read_manifest  # noqa: E402
from dfsc.training.compiled_code import compiled_code  # noqa: E402
from dfsc.training.device import compiled  # noqa: E402


def main(folder: Path, size: str, image_size: int, precision: str, device: str, compile_: bool, kept: bool) -> None:
    """Read the images of `folder`, make ready, and take one step; `kept`: with what was decoded and compiled before."""
    done = {"imports": time.perf_counter()}
    manifest, penalty = folder / "manifest.csv", sorted((folder / "jpg").glob("*"))
    category = CategoryImages(folder / "category", image_size, os.cpu_count() or 1)
    if kept:
        category.keep_in(folder / "kept", manifest)
    images = category.of(images_of(read_manifest(manifest), "train/good"))
    done["images"] = time.perf_counter()
    place, processor = folder / "kept" if kept else None, torch.device(device)
    with compiled_code(place if compile_ else None, {"size": size, "precision": precision}, processor) as code:
        learner = learner_on(
            images, size, penalty, image_size, precision, compile_, processor, code, place and place / "statistics.json"  # type: ignore[arg-type]
        )  # fmt: skip
        if compile_ and device == "cpu":  # as no training is
            learner._compute = compiled(learner.losses)
        done["statistics"] = time.perf_counter()
        losses = learner.update(0, learner.draw(0))
        total = float(sum(losses.values(), torch.zeros((), device=device)))
        done["first step"] = time.perf_counter()
    before = [BEGAN, *done.values()]
    took = {name: at - earlier for (name, at), earlier in zip(done.items(), before, strict=False)}
    print(json.dumps({"losses": total.hex(), "seconds": took}), flush=True)
    os._exit(0)  # what it takes to end is no part of a start


if __name__ == "__main__":
    place, *words = sys.argv[1:]
    main(Path(place), words[0], int(words[1]), words[2], words[3], bool(int(words[4])), bool(int(words[5])))
