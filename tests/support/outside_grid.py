"""A grid with methods from outside, and its runs as they are read back from MLflow: without a store."""

from typing import Any

from dfsc.report.compare import Scores
from dfsc.settings.grid import Cell, Grid
from support.tracked_grid import CATEGORIES, SEEDS, metrics_of, scores_of

OURS = ["efficientad-tiny", "dfsc-tiny-q0.9"]
CONFIG: dict[str, Any] = {
    "benchmark": "benchmark",
    "dataset": {"source": "generated", "categories": CATEGORIES},
    "training": {"sizes": ["tiny"], "seeds": SEEDS},
    "dfsc": {"quantiles": [0.9], "headline_quantile": 0.9, "margin": 1.0, "ablations": []},
    "methods": {
        "seeded": {"label": "With seeds", "command": "run"},
        "unseeded": {"label": "Without", "command": "run", "seeds": False},
    },
    "controls": ["random", "oracle"],
}
GRID = Grid.from_config(CONFIG)


def told_scores(cell: Cell) -> dict[str, float]:
    """Of ours, made-up ones; of those from outside, one and the same whatever the seed."""
    if cell.method in OURS:
        return scores_of(cell.category, cell.method, int(cell.seed))
    return scores_of(cell.category, "dfsc-tiny-q0.99", 7)


def told_run(cell: Cell, **changed: str) -> dict[str, Any]:
    """A run as it is read back from MLflow."""
    tags = {"category": cell.category, "method": cell.method, "seed": str(cell.seed), "data_digest": cell.category}
    tags |= {"code_digest": f"code of {cell.method}", "commit": "c", "hardware": "cpu"}
    if cell.method in OURS:
        tags |= {
            "size": "tiny",
            "code_digest": "ours",
            "teacher_digest": "t",
            "teacher": "pretrained here",
            "penalty_digest": "p",
            "pretraining_images": "generated (3 images)",
        }
    parameters = {"steps": "3"} if cell.method in OURS else {"origin": "command", "seed": str(cell.seed)}
    metrics = metrics_of(told_scores(cell))
    costs = {"seconds": 2.0}
    return {"run_id": cell.path, "tags": tags | changed, "parameters": parameters, "metrics": metrics, "costs": costs}


def told_runs(grid: Grid) -> list[dict[str, Any]]:
    """Every run of a grid."""
    return [told_run(cell) for cell in grid.cells()]


def scores(grid: Grid) -> Scores:
    """The image scores of every run."""
    return {cell.path: told_scores(cell) for cell in grid.cells()}
