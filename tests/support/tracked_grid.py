"""A grid of made-up image scores, and their tracking: what tables are written from, without any training."""

from pathlib import Path

import numpy as np

from dfsc.files import write_json
from dfsc.metrics.auroc import auroc
from dfsc.report.tracking import TrackedRun, track_run
from dfsc.settings.grid import Grid

METHODS = ["efficientad-tiny", "dfsc-tiny-q0.9", "dfsc-tiny-q0.99", "dfsc-tiny-q0.99-margin_0.5"]
CATEGORIES = ["coin_tray", "picture_wall"]
SEEDS = [0, 1, 2]
GRID = Grid.from_config(
    {
        "benchmark": "benchmark",
        "dataset": {"source": "generated", "categories": CATEGORIES},
        "training": {"sizes": ["tiny"], "seeds": SEEDS},
        "dfsc": {"quantiles": [0.9, 0.99], "headline_quantile": 0.99, "margin": 1.0, "ablations": [{"margin": 0.5}]},
    }
)
assert GRID.names == METHODS


def scores_of(category: str, method: str, seed: int) -> dict[str, float]:
    """Made-up image scores: DFSC adds half a standard deviation to what is anomalous."""
    images = np.random.default_rng(CATEGORIES.index(category)).normal(size=(3, 30))
    own = np.random.default_rng([METHODS.index(method), seed]).normal(0, 0.2, (3, 30))
    shift = 0.0 if method == METHODS[0] else 0.5
    values = images + own + np.array([[0.0], [0.8 + shift], [1.2 + shift]])
    folders = ("good", "logical_anomalies", "structural_anomalies")
    validation = {f"validation/good/{n:03}.png": -1.9 + 0.2 * n for n in range(19)}
    return validation | {
        f"test/{folder}/{n:03}.png": v
        for folder, row in zip(folders, values.tolist(), strict=True)
        for n, v in enumerate(row)
    }


def metrics_of(scores: dict[str, float]) -> dict[str, float]:
    """The AUROCs that the scores give, and AU-sPROs made from them."""
    by_folder = {
        name: [v for path, v in scores.items() if path.startswith(f"test/{name}")]
        for name in ("good", "logical", "structural")
    }
    logical, structural = (auroc(by_folder["good"], by_folder[name]) for name in ("logical", "structural"))
    values = {"logical_anomalies": logical, "structural_anomalies": structural, "mean": (logical + structural) / 2}
    limits = ("0.01", "0.05", "0.1", "0.3", "1.0")
    return {
        **{f"image_auroc.{name}": value for name, value in values.items()},
        **{"images.logical_anomalies.gap": 9.0, "image_auroc.logical_anomalies.gap": logical},
        **{"found.0.05.logical_anomalies.gap": 0.5, "au_spro_0.05.logical_anomalies.gap": 0.4},
        **{
            f"au_spro_{limit}.{name}": value * float(limit) ** 0.1 for limit in limits for name, value in values.items()
        },
    }


def track(uri: str, results: Path, category: str, method: str, seed: int, **changed: str) -> Path:
    """Track a run with its scores; return its receipt, below `results`. `changed`: tags or steps that differ."""
    scores, cell = scores_of(category, method, seed), f"{category}/{method}/seed{seed}"
    folder = results / cell
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scores.csv").write_text("path,image_score\n" + "".join(f"{path},{v!r}\n" for path, v in scores.items()))
    tags = {"category": category, "method": method, "seed": str(seed), "size": "tiny", "commit": "c", "hardware": "cpu",
            "data_digest": category, "teacher_digest": "t", "code_digest": "k", "backbone": "resnet18",
            "pretraining_images": "generated (3 images)"}  # fmt: skip
    parameters = {
        "steps": changed.pop("steps", "3"),
        "seed": seed,
        **({"dfsc.margin": 1.0} if method != METHODS[0] else {}),
    }
    run = TrackedRun(
        cell, f"benchmark/{cell}",
        tags={**tags, **changed}, parameters=parameters, curve=[], metrics=metrics_of(scores),
        artifacts={folder / "scores.csv": ""}, costs={"seconds": 2.0, "gpu_seconds": 0.0, "peak_memory_bytes": 1e9},
    )  # fmt: skip
    write_json(folder / "run.json", track_run(uri, "benchmark", run))
    return folder / "run.json"
