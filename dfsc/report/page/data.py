"""What the page loads when it is asked for: scripts that hand over a JSON value each, as file:// lets no page fetch."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dfsc.data.layout import ANOMALY_TYPES
from dfsc.files import MADE_ANEW, read_lines, reading, write_text
from dfsc.inference.image_scores import of_split
from dfsc.inference.overlay import COLOURS, OPAQUE
from dfsc.inference.threshold import ROUNDING, SMALLEST_SCORE
from dfsc.metrics.operating_point import HEADLINE_RATE, RATES
from dfsc.report.compare import COLUMNS, SAME, SETTINGS
from dfsc.report.page.benchmark import Benchmark
from dfsc.report.page.maps import BLOCK, HIGHEST
from dfsc.report.runs import CURVE, read_curve
from dfsc.report.tables import CONSTRAINT_INACTIVE, HEADINGS, NOT_MEASURED
from dfsc.settings.grid import CELL_FILES

CURVES = CELL_FILES["evaluate"]["curves_csv"]
POINTS = 80  # of a curve, at most
SPRO_LIMIT = 0.3  # false positive rate up to which sPRO is drawn
FACTS_OF_RUN = ("commit", "hardware", *SAME, SETTINGS)


def as_script_text(value: Any) -> str:
    """JSON that may stand in a script, or in HTML between tags of one: no '<' in it ends anything."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def write_data(folder: Path, name: str, value: Any) -> None:
    """Write <folder>/<name>.js, which hands `value` over to the page under `name`."""
    write_text(folder / f"{name}.js", f"page.put({as_script_text(name)}, {as_script_text(value)});\n")


def facts(benchmark: Benchmark) -> dict[str, Any]:
    """What all parts of the page need to know: the grid, the rule of the threshold, the colours of maps."""
    grid, context = benchmark.grid, benchmark.context
    return {
        "benchmark": grid.benchmark,
        "categories": grid.categories,
        "seeds": grid.seeds,
        "methods": [
            {"name": one.name, "label": one.label, "size": one.size, "baseline": one.pairs_with, "seeded": one.seeded}
            for one in grid.methods
        ],
        "compared": [list(pair) for pair in ((one.name, other.name) for one, other in grid.pairs)],
        "inactive": sorted(map(list, context.inactive)),
        "inactive_mark": CONSTRAINT_INACTIVE,
        "headings": {"good": "good", **{kind: HEADINGS[kind] for kind in COLUMNS}},
        "anomaly_types": list(ANOMALY_TYPES),
        "not_measured": NOT_MEASURED,
        "rates": [round(1000 * rate) for rate in RATES],  # in thousandths, as the page counts them
        "rate": round(1000 * HEADLINE_RATE),
        "rounding": ROUNDING,
        "smallest_score": SMALLEST_SCORE,
        "colours": COLOURS.astype(int).tolist(),
        "opaque": OPAQUE,
        "highest": HIGHEST,
        "block": BLOCK,
    }


def category_data(benchmark: Benchmark, category: str, images: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A category's images, and of each run their scores, in the images' order, and those of the validation images."""
    runs = {}
    for key, cell in benchmark.cells_in(category):
        scores = benchmark.scores[cell]
        validation = sorted(of_split(scores, "validation").values())
        runs[key] = {"scores": [scores[image["path"]] for image in images], "validation": validation}
    return {"images": list(images), "runs": runs}


def run_data(benchmark: Benchmark) -> list[dict[str, Any]]:
    """Each run: its cell, its id in MLflow, what it was made from and what it cost, and its metrics."""
    said = []
    for cell, row in zip(benchmark.cells, benchmark.runs.to_dict("records"), strict=True):
        metrics = {name: value for name, value in row.items() if "." in name and not pd.isna(value)}
        made = benchmark.records.get(cell, {})
        made_from = {name: str(row[name]) for name in FACTS_OF_RUN if row.get(name)}
        cost = {name: made[name] for name in ("started", "finished", "seconds", "gpu_seconds") if name in made}
        where = {"category": cell.category, "method": cell.method, "seed": cell.seed, "key": benchmark.key(cell)}
        said.append({**where, "run_id": str(row["run_id"]), "made_from": made_from, "cost": cost, "metrics": metrics})
    return said


def curve_data(benchmark: Benchmark, category: str) -> dict[str, Any]:
    """Of each run of a category, its losses over the steps and its sPRO over the false positive rate, thinned out."""
    found: dict[str, Any] = {}
    for key, cell in benchmark.cells_in(category):
        training, spro = benchmark.file(cell, CURVE), benchmark.file(cell, CURVES)
        found[key] = {
            "training": _columns(read_curve(training)) if training.exists() else {},
            "spro": _spro(spro) if spro.exists() else {},
        }
    return found


def _columns(rows: list[dict[str, float]]) -> dict[str, list[float]]:
    chosen = [rows[place] for place in _thinned(len(rows))]
    return {name: [_short(row[name]) for row in chosen] for name in rows[0]}


def _spro(path: Path) -> dict[str, list[list[float]]]:
    """Anomaly type -> [rates, mean sPRO]."""
    with reading(path, "curves", MADE_ANEW):
        rows = [row for row in csv.DictReader(read_lines(path).splitlines()) if row["metric"] == "spro"]
        found = {}
        for kind in ANOMALY_TYPES:
            points = [
                (float(row["fpr"]), float(row["value"]))
                for row in rows
                if row["anomaly_type"] == kind and not row["defect"] and float(row["fpr"]) <= SPRO_LIMIT
            ]
            if points:
                kept = [points[place] for place in _thinned(len(points))]
                found[kind] = [[_short(value) for value in values] for values in zip(*kept, strict=True)]
        return found


def _thinned(count: int) -> list[int]:
    """At most POINTS places among `count`, first and last included."""
    return sorted({round(place) for place in np.linspace(0, count - 1, min(count, POINTS)).tolist()})


def _short(value: float) -> float:
    return float(f"{value:.5g}")
