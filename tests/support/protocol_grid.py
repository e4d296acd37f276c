"""A grid with every deviation of Table 7, and its runs as they are read back from MLflow: without a store."""

from typing import Any

import numpy as np

from dfsc.report.compare import Scores
from dfsc.settings.grid import REJUDGED, Cell, Grid
from support.tracked_grid import CATEGORIES, SEEDS

PROTOCOLS = {
    "no_penalty": True,
    "other_penalty": {"images": "imagenette", "folder": "data/imagenette"},
    "checkpoints": 7,
    "calibration_images": 8,
    "paddings": ["minimum", "replicate"],
}
CONFIG: dict[str, Any] = {
    "benchmark": "benchmark",
    "dataset": {"source": "generated", "categories": CATEGORIES},
    "training": {"sizes": ["tiny"], "seeds": SEEDS},
    "dfsc": {"quantiles": [0.9], "headline_quantile": 0.9, "margin": 1.0, "ablations": []},
    "protocols": PROTOCOLS,
}
GRID = Grid.from_config(CONFIG)
IMAGES = {"good": 30, "logical_anomalies": 12, "structural_anomalies": 40}  # pooled, types count by their images
TYPES = ("logical_anomalies", "structural_anomalies")
LIMITS = ("0.01", "0.05", "0.1", "0.3", "1.0")
OURS, OTHERS = "imagenet (9 images)", "imagenette (5 images)"


def scores_of(cell: Cell) -> dict[str, float]:
    """Made-up image scores: images are hard or easy for all, each run adds its own."""
    place = GRID.names.index(cell.method)
    found = {f"validation/good/{n:03}.png": 0.1 * n for n in range(19)}
    for number, (folder, count) in enumerate(IMAGES.items()):
        shared = np.random.default_rng([number, CATEGORIES.index(cell.category)]).normal(number, 1, count)
        own = np.random.default_rng([number, place, int(cell.seed)]).normal(0.02 * place, 0.3, count)
        found |= {f"test/{folder}/{n:03}.png": value for n, value in enumerate((shared + own).tolist())}
    return found


def values_in(scores: dict[str, float], *folders: str) -> list[float]:
    """The scores of some folders of test images."""
    return [value for path, value in scores.items() for folder in folders if path.startswith(f"test/{folder}/")]


def counted_auroc(good: list[float], anomalous: list[float]) -> float:
    """By its definition: each anomalous image against each good one."""
    wins = [(one > other) + (one == other) / 2 for one in anomalous for other in good]
    return sum(wins) / len(wins)


def told_auroc(cell: Cell, column: str) -> float:
    """The image AUROC of an anomaly type, of their 'mean', or of both 'pooled'."""
    if column == "mean":
        return sum(told_auroc(cell, kind) for kind in TYPES) / 2
    scores = scores_of(cell)
    folders = TYPES if column == "pooled" else (column,)
    return counted_auroc(values_in(scores, "good"), values_in(scores, *folders))


def told_spro(cell: Cell, limit: str, column: str) -> float:
    """A made-up AU-sPRO, another in each place."""
    place = [*TYPES, "mean"].index(column)
    of_cell = (
        0.031 * GRID.names.index(cell.method) + 0.007 * int(cell.seed) ** 2 + 0.11 * CATEGORIES.index(cell.category)
    )
    return 0.2 + 0.02 * LIMITS.index(limit) + 0.013 * place + of_cell


def told_run(cell: Cell, **changed: str) -> dict[str, Any]:
    """A run as it is read back from MLflow."""
    method = GRID.method(cell.method)
    protocol = method.protocol or {}
    other = "penalty_images" in protocol
    tags = {
        **{"category": cell.category, "method": cell.method, "seed": str(cell.seed), "size": "tiny", "commit": "c"},
        **{"data_digest": cell.category, "code_digest": "ours", "teacher_digest": "t", "teacher": "pretrained here"},
        **{"penalty_digest": "others" if other else "p", "pretraining_images": OTHERS if other else OURS},
        "hardware": "cpu",
    }
    metrics = {f"image_auroc.{column}": told_auroc(cell, column) for column in (*TYPES, "mean")}
    metrics |= {
        f"au_spro_{limit}.{column}": told_spro(cell, limit, column) for limit in LIMITS for column in (*TYPES, "mean")
    }
    trained = {key: str(protocol[key]) for key in ("penalty", "checkpoints") if key in protocol}
    parameters = {"steps": "3", **({f"protocol.{k}": v for k, v in trained.items()} or {"protocol": "None"})}
    costs = {} if method.origin == REJUDGED else {"seconds": 2.0, "gpu_seconds": 0.0, "peak_memory_bytes": 1e9}
    return {"run_id": cell.path, "tags": tags | changed, "parameters": parameters, "metrics": metrics, "costs": costs}


def told_runs() -> list[dict[str, Any]]:
    """Every run of the grid."""
    return [told_run(cell) for cell in GRID.cells()]


def told_scores() -> Scores:
    """The image scores of every run."""
    return {cell.path: scores_of(cell) for cell in GRID.cells()}
