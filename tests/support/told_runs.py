"""Runs made by hand whose every number tells where it comes from, written as the workflow's rules leave a model.

Each (metric, category, method, seed, anomaly type) has a value of its own, so that a number in another's row, column,
sign, category, seed or size is seen. The image scores give the told AUROCs exactly: they are ranks.
"""

import itertools
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dfsc.provenance import RECORDED_VERSIONS
from dfsc.settings.grid import Grid
from dfsc.settings.training import WATCHED
from support.command_line import dfsc
from support.prepared import DFSC, GENERATED

SIZES = ["S", "tiny"]
CATEGORIES = ["coin_tray", "picture_wall"]
SEEDS = [2, 5, 11]
# The methods of a size: the baseline, one that is not declared, the declared one, and another reading of it. Not in the
# order of the quantiles: an order that is taken for granted is seen.
METHODS_OF = {
    "S": ["efficientad-S", "dfsc-S-q0.99", "dfsc-S-q0.9", "dfsc-S-q0.9-margin_0.5"],
    "tiny": ["efficientad-tiny", "dfsc-tiny-q0.99", "dfsc-tiny-q0.9", "dfsc-tiny-q0.9-margin_0.5"],
}
METHODS = [method for of_size in METHODS_OF.values() for method in of_size]
BASELINES, HEADLINES = METHODS[::4], METHODS[2::4]
QUANTILES, MARGINS = (None, 0.99, 0.9, 0.9), (None, 1.0, 1.0, 0.5)  # of the methods of a size
BENCHMARK = "told"
CONFIG: dict[str, Any] = {
    "benchmark": BENCHMARK,
    "dataset": {"source": "generated", "folder": "data/told", "categories": CATEGORIES, "generated": GENERATED},
    "pretraining": {"images": "generated", "folder": "data/told/pretraining"},
    "training": {"sizes": SIZES, "seeds": SEEDS},
    "dfsc": {
        **{key: value for key, value in DFSC.items() if key != "quantile"},
        **{"quantiles": [0.99, 0.9], "headline_quantile": 0.9, "ablations": [{"margin": 0.5}]},
    },
}
GRID = Grid.from_config(CONFIG)
TYPES = ("logical_anomalies", "structural_anomalies")
LIMITS = ("0.01", "0.05", "0.1", "0.3", "1.0")
METRICS = ("image_auroc", *(f"au_spro_{limit}" for limit in LIMITS))
DEFECTS = {"logical_anomalies": ("coin_missing", "coin_twice"), "structural_anomalies": ("scratch",)}
IMAGES = {"good": 20, "logical_anomalies": 20, "structural_anomalies": 25}
WITH_DEFECT = {"coin_missing": 101, "coin_twice": 103, "scratch": 107}  # images
VALIDATION = 19  # images: they promise 5 %, and not 1 %
RATES = ("0.05", "0.1")  # that are promised
PRETRAINING = "generated (77 images)"
STEPS = (1, 40, 300)
LOSSES = ("hard", "penalty", "autoencoder", "student_autoencoder")
# In points: of a size's method in the first and in the second category, of a category, of a size, of a seed.
GAINS = ((0, 0), (-5.9, 12.3), (4.1, 3.3), (8.7, -2.9))
OF_CATEGORY, OF_SIZE, OF_SEED = (0, 18.1), (0, 6.7), (0, 2.6, -1.4)
STRUCTURAL = (0, 4.3, 0.7, -1.9)  # on top, of a size's method, of that type
# What a run is given to keep; what else lies in the model's folder stays there.
TRACKED = ("model.pt", "training.json", "training_curve.csv", "scores.csv", "metrics.json", "curves.csv", "curves.png",
           "heatmaps.png")  # fmt: skip


def size_of(method: str) -> str:
    """The size that a method is of."""
    return next(size for size, methods in METHODS_OF.items() if method in methods)


def place_of(method: str) -> int:
    """Which of the methods of its size it is, from 0."""
    return METHODS_OF[size_of(method)].index(method)


def baseline_of(method: str) -> str:
    """What a method is compared with: the baseline of its size."""
    return METHODS_OF[size_of(method)][0]


class Cell(NamedTuple):
    """One run of the grid."""

    category: str
    method: str
    seed: int

    @property
    def number(self) -> int:
        """Counts the runs, from 0."""
        return CELLS.index(self)

    @property
    def path(self) -> str:
        """Where the workflow keeps the model, and as the run is called in MLflow."""
        return f"{self.category}/{self.method}/seed{self.seed}"


CELLS = [Cell(*cell) for cell in itertools.product(CATEGORIES, METHODS, SEEDS)]


def points(cell: Cell) -> float:
    """Where a run stands, in points; other sums of the same parts never agree with it."""
    size, category = SIZES.index(size_of(cell.method)), CATEGORIES.index(cell.category)
    method, seed = place_of(cell.method), SEEDS.index(cell.seed)
    by_seed = OF_SEED[seed] * (1 + 0.3 * method + 0.2 * category)
    return OF_SIZE[size] + OF_CATEGORY[category] + GAINS[method][category] * (1 + 0.4 * size) + by_seed


def wins(cell: Cell, kind: str) -> int:
    """How often an anomalous image of the type scores above a good one."""
    structural = 44.3 + 1.1 * points(cell) + STRUCTURAL[place_of(cell.method)]
    wanted = {"logical_anomalies": 40 + points(cell), "structural_anomalies": structural}[kind]
    return round(wanted / 100 * IMAGES["good"] * IMAGES[kind])


def told(cell: Cell, metric: str, column: str) -> float:
    """The value of a metric in 0..1; `column` is an anomaly type or 'mean'."""
    if column == "mean":
        return (told(cell, metric, TYPES[0]) + told(cell, metric, TYPES[1])) / 2
    if metric == "image_auroc":
        return wins(cell, column) / (IMAGES["good"] * IMAGES[column])
    limit, kind = LIMITS.index(metric.removeprefix("au_spro_")), TYPES.index(column)
    of_type = kind * (8.9 + STRUCTURAL[place_of(cell.method)])
    return (21 + 5.3 * limit + of_type + (0.9 + 0.03 * limit) * points(cell)) / 100


def told_defect(cell: Cell, kind: str, defect: str, limit: str) -> float:
    """AU-sPRO of a defect in 0..1."""
    return told(cell, f"au_spro_{limit}", kind) + 0.011 + 0.003 * DEFECTS[kind].index(defect)


def told_found(cell: Cell, defect: str) -> int:
    """How many images with a defect are found at 5 %."""
    return cell.number + 1 + 2 * list(WITH_DEFECT).index(defect)


def told_defect_auroc(cell: Cell, kind: str, defect: str) -> float:
    """Image AUROC of the images with a defect, in 0..1."""
    return told(cell, "image_auroc", kind) - 0.013 - 0.004 * DEFECTS[kind].index(defect)


def told_verdicts(cell: Cell, rate: str) -> dict[str, int]:
    """How many images of a folder are judged wrong, as the run's metrics have it."""
    numbers = {folder: cell.number % (IMAGES[folder] - 3 - place) for place, folder in enumerate(IMAGES)}
    return {folder: number + RATES.index(rate) for folder, number in numbers.items()}


def validation_scores(cell: Cell) -> dict[str, float]:
    """Among the told scores, between the ranks; at a height of the run's own."""
    shift = (place_of(cell.method) + 2 * SEEDS.index(cell.seed)) % 4
    return {
        f"validation/good/{place:02}.png": 100.0 * cell.number + place - 3.25 + shift for place in range(VALIDATION)
    }


def told_scores(cell: Cell) -> dict[str, float]:
    """Image scores that give the told AUROCs, at a height that is the run's own.

    Models of one seed find the same images hard, models of other seeds other ones.
    """
    good = IMAGES["good"]
    scores = {"good": np.arange(good, dtype=float)}
    for kind in TYPES:
        scores[kind] = ranks(wins(cell, kind), IMAGES[kind], good) - 0.5
    method = place_of(cell.method)
    found = {}
    for number, (folder, values) in enumerate(scores.items()):
        order = np.random.default_rng([number, cell.seed]).permutation(values.size)
        first = np.sort(order[:6])  # of these, the method has an order of its own, the same with every seed
        order[:6] = np.random.default_rng([number, method]).permutation(first)
        for place, value in enumerate(values[order].tolist()):
            found[f"test/{folder}/{place:03}.png"] = 100.0 * cell.number + value
    return found


def ranks(total: int, images: int, highest: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """How many good images each anomalous image beats: whole numbers in 0..highest, spread out, whose sum is given."""
    found = np.clip(np.round(total / images + np.linspace(-8, 8, images)), 0, highest)
    for image in itertools.cycle(range(images)):
        missing = total - found.sum()
        if not missing:
            return found
        found[image] = np.clip(found[image] + np.sign(missing), 0, highest)
    raise AssertionError


def told_loss(cell: Cell, loss: str, step: int) -> float:
    """A loss of the training curve."""
    return cell.number + LOSSES.index(loss) / 10 + step / 10_000


def watched_of(cell: Cell) -> tuple[str, ...]:
    """What the training curve has beside the losses."""
    return WATCHED if place_of(cell.method) else ()


def told_watched(cell: Cell, name: str, step: int) -> float:
    """A column of the training curve beside the losses; the last method's constraint never acts in one category."""
    if name == "novel_threshold":
        return 3 + cell.number / 10 + step / 1000
    return 0.0 if is_inactive(cell.method, cell.category) else 0.2 + cell.number / 100 + step / 10_000


def is_inactive(method: str, category: str) -> bool:
    """Whether the constraint of a method is to be marked in a category."""
    return place_of(method) == 3 and category == CATEGORIES[0]


def told_inside(cell: Cell) -> float:
    """The share inside the margin, mean over all steps; each point of the curve is of the steps since the last."""
    spans = (1, 39, 260)
    return sum(told_watched(cell, "inside_margin", step) * span for step, span in zip(STEPS, spans, strict=True)) / 300


def told_settings(cell: Cell) -> dict[str, Any]:
    """Settings of a training: what DFSC has beside the baseline is under `dfsc`."""
    place = place_of(cell.method)
    dfsc = None if place == 0 else {"quantile": QUANTILES[place], "margin": MARGINS[place], "distance": "squared"}
    size = size_of(cell.method)
    return {"size": size, "image_size": 64, "steps": 300, "learning_rate": 1e-4, "seed": cell.seed, "dfsc": dfsc}


def told_provenance(cell: Cell) -> dict[str, str]:
    """What a run was made from: what may differ between the runs of a benchmark does."""
    return {
        "commit": f"commit-of-{'first' if cell.method in BASELINES else 'second'}",
        "hardware": f"cuda (card {cell.seed})",
        "data_digest": f"data-of-{cell.category}",
        "teacher_digest": f"teacher-of-{size_of(cell.method)}",
        "model_digest": f"model-{cell.number}",
        "pretraining_images": PRETRAINING,
        "backbone": "told-backbone",
        "teacher": f"pretrained {size_of(cell.method)}",
    }


def told_versions(cell: Cell | None = None) -> dict[str, str]:
    """A version of each package, each another; DFSC was trained with another torch than the rest."""
    versions = {name: f"{number}.1" for number, name in enumerate(RECORDED_VERSIONS, 3)}
    return versions | ({"torch": "2.2"} if cell and cell.method not in BASELINES else {})


def told_cost(cell: Cell) -> dict[str, float]:
    """Seconds, GPU-seconds and bytes."""
    return {
        "seconds": 7200.0 + 36 * cell.number,
        "gpu_seconds": 3600.0 + 18 * cell.number**1.1,
        "peak_memory_bytes": 2**30 * (1.0 + cell.number / 10),
    }


def told_metrics(cell: Cell) -> dict[str, Any]:
    """metrics.json, as `dfsc evaluate` writes it."""
    columns = (*TYPES, "mean")
    per_defect = {
        kind: {defect: {limit: told_defect(cell, kind, defect, limit) for limit in LIMITS} for defect in DEFECTS[kind]}
        for kind in TYPES
    }
    return {
        "classification": {
            "auc_roc": {column: told(cell, "image_auroc", column) for column in columns},
            "auc_roc_per_defect": {
                kind: {defect: told_defect_auroc(cell, kind, defect) for defect in DEFECTS[kind]} for kind in TYPES
            },
            "auc_roc_pooled": 0.123,
        },
        "localization": {
            "auc_spro": {
                column: {limit: told(cell, f"au_spro_{limit}", column) for limit in LIMITS} for column in columns
            },
            "auc_spro_per_defect": per_defect,
        },
        "operating_points": {
            rate: {
                "threshold": 0.5,
                "false_alarms": told_verdicts(cell, rate)["good"],
                "missed": {kind: told_verdicts(cell, rate)[kind] for kind in TYPES},
                "found_per_defect": {
                    kind: {defect: told_found(cell, defect) + RATES.index(rate) for defect in DEFECTS[kind]}
                    for kind in TYPES
                },
            }
            for rate in RATES
        },
        "counts": {
            "images": IMAGES,
            "images_per_defect": {kind: {defect: WITH_DEFECT[defect] for defect in DEFECTS[kind]} for kind in TYPES},
            "regions": {kind: dict.fromkeys(DEFECTS[kind], 2) for kind in TYPES},
        },
    }


def write_model(cell: Cell, root: Path) -> Path:
    """Write the files of one trained, scored and evaluated model; returns its folder."""
    folder = root / cell.path
    folder.mkdir(parents=True)
    training = {
        "fingerprint": f"{cell.number:012}-and-more",
        "settings": told_settings(cell),
        "code": "code-of-all",
        "penalty_digest": "penalty-of-all",
        **told_provenance(cell),
        **told_cost(cell),
        "finished": "2026-11-02T10:00:00Z",
        "python": "3.1",
        "versions": told_versions(cell),
    }
    (folder / "training.json").write_text(json.dumps(training))
    (folder / "metrics.json").write_text(json.dumps(told_metrics(cell)))
    scores = "".join(f"{path},{score!r}\n" for path, score in {**validation_scores(cell), **told_scores(cell)}.items())
    (folder / "scores.csv").write_text(f"path,image_score\n{scores}")
    watched = watched_of(cell)
    points = [
        [step, *(told_loss(cell, name, step) for name in LOSSES), *(told_watched(cell, name, step) for name in watched)]
        for step in STEPS
    ]
    lines = [",".join(map(repr, row)) for row in points]
    (folder / "training_curve.csv").write_text("\n".join([",".join(("step", *LOSSES, *watched)), *lines, ""]))
    for name in ("model.pt", "curves.csv", "curves.png", "curves.pdf", "heatmaps.png", "feature_distances.npz"):
        (folder / name).write_text(f"{name} of {cell.path}")
    return folder


def track_told_runs(root: Path, uri: str) -> None:
    """Write and track the whole grid below `root`."""
    for cell in CELLS:
        folder = write_model(cell, root)
        outcome = dfsc(
            *("track", *(folder / name for name in TRACKED), "--uri", uri, "--experiment", BENCHMARK),
            *("--category", cell.category, "--method", cell.method, "--output", folder / "run.json"),
        )
        assert outcome.code == 0, outcome.errors


def track_told_teacher(root: Path, uri: str) -> Path:
    """Write and track a teacher; returns its receipt."""
    made = {
        "fingerprint": "teacher-print-and-more",
        "teacher": "pretrained here",
        "digest": "teacher-of-tiny",
        "commit": "commit-of-teacher",
        "hardware": "cuda (card 9)",
        "code": "code-of-teachers",
        "settings": {"size": "tiny", "steps": 40, "learning_rate": 2e-4},
        "seconds": 11.0,
        "gpu_seconds": 12.0,
        "peak_memory_bytes": 13.0,
        "finished": "2026-11-02T10:00:00Z",
        "python": "3.1",
        "versions": told_versions(),
    }
    teacher = root / "teachers" / "tiny" / "teacher.pt"
    teacher.parent.mkdir(parents=True)
    teacher.write_text("weights")
    teacher.with_suffix(".json").write_text(json.dumps(made))
    teacher.with_suffix(".csv").write_text("step,distillation\n1,5.5\n40,2.5\n")
    receipt = teacher.with_name("run.json")
    outcome = dfsc("teacher", "track", teacher, "--uri", uri, "--benchmark", BENCHMARK, "--output", receipt)
    assert outcome.code == 0, outcome.errors
    return receipt
