"""A method's command tried on generated images: what is wrong with it, in one line, before it costs a night."""

import time
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np

from dfsc.data.layout import LOCO_TYPES
from dfsc.data.manifest import scan_category
from dfsc.data.synthetic import synthesize
from dfsc.errors import RunFailed
from dfsc.inference.evaluate import evaluate_small_maps
from dfsc.inference.image_scores import of_split
from dfsc.inference.maps import SmallMaps
from dfsc.model.maps import NOT_PADDED
from dfsc.outside.command import require_executable
from dfsc.outside.method import output_of
from dfsc.outside.output import Output
from dfsc.settings.synthetic import CATEGORIES, SyntheticSettings

IMAGES = SyntheticSettings(seed=0, train=10, validation=2, test_good=6, logical=6, structural=6, pretraining=1)
SHUFFLES = (0, 1)
BY_CHANCE = "from one run to the next on the same images, with the same seed; draw all randomness from --seed"
BY_ORDER = (
    "when test images are named and ordered otherwise; it must depend on that image, the training images, the "
    "validation images and the seed alone"
)
TOLERANCE = 0.01  # share of the range of all maps: rounding may depend on the order of images, results may not


def check_method(command: Path, device: str, seconds: float, work: Path) -> str:
    """Run a method twice on generated images, the test images in two orders; say what it reaches.

    If the results differ, a third run tells whether by the order or by chance.

    `work`: an empty folder for what is needed meanwhile. Raises RunFailed and UserError as `output_of` does, and
    RunFailed if the results do not follow the images.
    """
    require_executable(command)
    category = CATEGORIES[0]
    synthesize(work / "data", IMAGES, [category])
    records = scan_category(work / "data" / category)
    start = time.monotonic()

    def run(shuffle: int) -> Output:
        with redirect_stdout(StringIO()):  # what the method prints; its end is told if it fails
            return output_of(
                command, work / "data" / category, records, "0", device, seconds, work / "run", shuffle=shuffle
            )

    first, second = map(run, SHUFFLES)
    took = time.monotonic() - start
    if by_order := difference(first, second):
        if by_chance := difference(first, run(SHUFFLES[0])):
            raise RunFailed(f"{command}: {by_chance} {BY_CHANCE}")
        raise RunFailed(f"{command}: {by_order} {BY_ORDER}")
    maps = of_split(first.maps, "test")
    scores = None if first.scores is None else of_split(first.scores, "test")
    evaluation = evaluate_small_maps(work / "data", category, SmallMaps(maps, NOT_PADDED), scores=scores).metrics
    auroc = evaluation["classification"]["auc_roc"]
    reached = ", ".join(f"{kind.split('_')[0]} {100 * auroc[kind]:.1f}" for kind in LOCO_TYPES)
    judged = {*first.maps, *(first.scores or {})}
    lacking = "; without maps of validation images, Table 5 is not measured" if judged == maps.keys() else ""
    return f"{command}: works; image AUROC on {len(maps)} generated images: {reached}; {took / 2:.1f} s a run{lacking}"


def difference(first: Output, second: Output) -> str:
    """What differs between two runs: a sentence's beginning, empty if they agree."""
    low, high = min(one.min() for one in first.maps.values()), max(one.max() for one in first.maps.values())
    if [first.maps.keys(), {*(first.scores or {})}] != [second.maps.keys(), {*(second.scores or {})}]:
        return "which images have maps or scores changes"
    for path, one in first.maps.items():
        other = second.maps[path]
        if one.shape != other.shape or np.abs(one - other).max() > TOLERANCE * (high - low):
            return f"{_kind(path)} image's map changes"
    if first.scores is not None and second.scores is not None:
        spread = max(first.scores.values()) - min(first.scores.values())
        for path, score in first.scores.items():
            if abs(score - second.scores[path]) > TOLERANCE * spread:
                return f"{_kind(path)} image's score changes"
    return ""


def _kind(path: str) -> str:
    return f"a {path.split('/')[0]}"
