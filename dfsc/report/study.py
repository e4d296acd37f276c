"""The study of DFSC's readings: tracked runs kept beside the docs, completed as they come, and the page made of them.

Half of the categories choose a reading, by the rule that the page states; the other half says what it is worth.
"""

import gzip
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from dfsc.data.layout import LOCO_TYPES
from dfsc.errors import UserError
from dfsc.files import read_lines, reading, write_text, written_whole
from dfsc.metrics.summary import HEADLINE_METRICS
from dfsc.report.compare import ALL, KEYS, SAME, SETTINGS, Scores, compare, refuse_unlike, scores_by_cell
from dfsc.report.frames import read_table
from dfsc.report.paper import read_image_scores
from dfsc.report.tables import (
    BETTER,
    CONSTRAINT_INACTIVE,
    HEADINGS,
    INSIDE,
    OPEN,
    WORSE,
    gain,
    inactive_in,
    per_cent,
    probability,
    share,
    verdict,
)
from dfsc.settings.constraint import acting
from dfsc.settings.grid import Cell, Grid, Method

RUNS, SCORES, TEMPLATE = "runs.csv", "scores.csv.gz", "template.md"
METRIC = HEADLINE_METRICS[0]
SHOWN = (*LOCO_TYPES, "mean")


def write_study(grid: Grid, tables: Path, kept: Path, page: Path) -> None:
    """Join the runs in a folder of `dfsc tables`, if it is there, with those kept; keep them all; write the page.

    kept: folder of runs.csv and scores.csv.gz, and of template.md, Markdown with the names of `parts` in braces.
    Raises UserError naming runs of other data, teacher, code or images than the rest, or a file.
    """
    runs, scores = _joined(grid, tables, kept)
    against_baseline, trimming = _compared(runs, scores, grid), against_trimming(grid)
    template = kept / TEMPLATE
    parts = {
        "state": _state(runs, grid),
        "against_baseline": _table(against_baseline, grid),
        "told_apart": _told_apart(against_baseline, grid),
        "against_trimming": _table(_compared(runs, scores, trimming), trimming),
        "choice": _choice(runs, scores, grid),
        "made_from": _made_from(runs),
    }
    with reading(template, "the template of a study"):
        text = read_lines(template).format(**parts)
    write_text(kept / RUNS, runs.to_csv(index=False))
    with written_whole(kept / SCORES) as temporary:
        temporary.write_bytes(gzip.compress(scores.to_csv(index=False).encode(), mtime=0))
    write_text(page, text)


def missing_cells(grid: Grid, kept: Path) -> list[Cell]:
    """The cells of a grid whose runs are not among those kept."""
    there = set(_cells(_kept(kept)[0])) if (kept / RUNS).exists() else set()
    return [cell for cell in grid.cells() if cell not in there]


def _joined(grid: Grid, tables: Path, kept: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """All runs and image scores of a grid, a run of `tables` in place of one kept of the same cell."""
    found = [read(folder) for read, folder in ((_tracked, tables), (_kept, kept)) if (folder / RUNS).exists()]
    if not found:
        raise UserError(f"{kept}: holds no runs yet, and {tables} has none; run `dfsc tables` first")
    runs, scores = (
        pd.concat(list(parts), ignore_index=True).drop_duplicates([*KEYS, *of], keep="first", ignore_index=True)
        for parts, of in zip(zip(*found, strict=True), ([], ["path"]), strict=True)
    )
    order = {cell: number for number, cell in enumerate(grid.cells())}
    runs = runs[[cell in order for cell in _cells(runs)]]
    refuse_unlike(runs, [*SAME, SETTINGS])
    places = [order[cell] for cell in _cells(runs)]
    runs = runs.iloc[sorted(range(len(places)), key=places.__getitem__)].reset_index(drop=True)
    there = set(_cells(runs))
    return runs, scores[[cell in there for cell in _cells(scores)]]


def _tracked(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    runs = read_table(folder / RUNS, "the table of runs", [*KEYS, *SAME, SETTINGS], ["seed", "quantile", "seconds"])
    return runs.drop(columns="status", errors="ignore"), read_image_scores(folder)


def _kept(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    runs = read_table(folder / RUNS, "the kept runs", [*KEYS, *SAME, SETTINGS], ["seed", "quantile", "seconds"])
    path = folder / SCORES
    with reading(path, "the kept image scores"), gzip.open(path, "rt", encoding="utf-8", newline="") as stream:
        columns = [*KEYS, "path", "image_score"]
        scores = pd.read_csv(io.StringIO(stream.read()), usecols=columns, dtype=dict.fromkeys(KEYS[:2], str))
        return runs, scores[columns]


def _cells(frame: pd.DataFrame) -> list[Cell]:
    return [Cell(str(one), str(two), int(seed)) for one, two, seed in frame[KEYS].itertuples(index=False, name=None)]


def _by_run(runs: pd.DataFrame, scores: pd.DataFrame) -> Scores:
    by_cell = scores_by_cell(scores)
    return {run_id: by_cell[cell] for cell, run_id in zip(_cells(runs), runs["run_id"], strict=True)}


def _compared(runs: pd.DataFrame, scores: pd.DataFrame, grid: Grid) -> pd.DataFrame:
    chosen = runs[runs["category"].isin(grid.categories) & runs["method"].isin(grid.names)]
    found = compare(chosen, _by_run(chosen, scores), grid)
    return found[found["metric"] == METRIC]


def against_trimming(grid: Grid) -> Grid:
    """The grid in which each reading is paired with the trimming alone (weight 0) of its unit and quantile, if any."""
    trimmings = {
        (method.size, method.dfsc["split_unit"], method.quantile): method.name
        for method in grid.methods
        if method.dfsc and "novel_weight" not in acting(method.dfsc) and acting(method.dfsc)
    }
    paired = []
    for method in grid.methods:
        key = (method.size, (method.dfsc or {}).get("split_unit"), method.quantile)
        if key in trimmings:
            paired.append(replace(method, pairs_with=trimmings[key]))
    return replace(grid, methods=paired)


def _table(comparison: pd.DataFrame, grid: Grid) -> str:
    """A row per method: AUROC by type, the difference of each from its pair, and the share inside the margin."""
    everywhere = comparison[comparison["category"] == ALL]
    rows = []
    for method in grid.methods:
        of_method = everywhere[everywhere["method"] == method.name].set_index("anomaly_type")
        if set(SHOWN) <= set(of_method.index):
            rows.append(_row(method, of_method, (ALL, method.name) in inactive_in(everywhere)))
    if not rows:
        return "Not measured yet: no reading has a run in every category."
    return str(pd.DataFrame(rows).fillna("").to_markdown(index=False, disable_numparse=True))


def _told_apart(comparison: pd.DataFrame, grid: Grid) -> str:
    """Which readings are better or worse than their baseline by their 95 % intervals: a line per anomaly type."""
    measured = comparison[comparison["category"] == ALL].dropna(subset=["low", "high"])
    lines = []
    for kind, of_type in measured.groupby("anomaly_type", sort=False):
        verdicts = of_type.apply(verdict, axis=1)
        found = [f"*{word}*: {_labels(of_type[verdicts == word], grid)}" for word in (BETTER, WORSE)]
        lines.append(
            f"- {HEADINGS[str(kind)]}: {'. '.join(found)}. *{OPEN}*: {(verdicts == OPEN).sum()} of {len(verdicts)}."
        )
    return "\n".join(lines)


def _labels(rows: pd.DataFrame, grid: Grid) -> str:
    return "; ".join(grid.method(name).label for name in rows["method"]) or "none"


def _row(method: Method, of_method: pd.DataFrame, inactive: bool) -> dict[str, Any]:
    lines = {HEADINGS[name]: of_method.loc[name] for name in SHOWN}
    shown: dict[str, Callable[[pd.Series], str]] = {"": per_cent, "difference, ": lambda line: gain(line, spread=False)}
    return {
        "method": method.label + (f" ({CONSTRAINT_INACTIVE})" if inactive else ""),
        INSIDE: share(of_method["inside_margin"].iloc[0]),
        **{f"{prefix}{heading}": show(line) for prefix, show in shown.items() for heading, line in lines.items()},
        "P(better)": probability(lines["mean"]),
        "seeds": f"{int(lines['mean']['seeds'])}",
    }


def halves(grid: Grid) -> tuple[Grid, Grid]:
    """The grid on the categories that choose, the first half as listed, and on those that are reported."""
    middle = len(grid.categories) // 2
    return replace(grid, categories=grid.categories[:middle]), replace(grid, categories=grid.categories[middle:])


def chosen_reading(comparison: pd.DataFrame, grid: Grid) -> Method | None:
    """Of the readings whose constraint acts, the one with the largest difference of mean AUROC from the baseline."""
    means = comparison[(comparison["category"] == ALL) & (comparison["anomaly_type"] == "mean")]
    constrained = {method.name for method in grid.methods if "novel_weight" in acting(method.dfsc)}
    active = constrained - {name for _, name in inactive_in(means)}
    measured = means[means["method"].isin(active)].dropna(subset=["difference"])
    return grid.method(measured.loc[measured["difference"].idxmax(), "method"]) if len(measured) else None


def _choice(runs: pd.DataFrame, scores: pd.DataFrame, grid: Grid) -> str:
    if len(grid.categories) < 2:
        return "Not chosen: the rule takes one half of the categories to choose, and the other to report."
    if len(runs) < len(list(grid.cells())):
        return "Not chosen yet: the rule is applied once, when all trainings are there."
    choosing, reported = halves(grid)
    chosen = chosen_reading(_compared(runs, scores, choosing), grid)
    if chosen is None:
        return f"Not chosen yet: no reading whose constraint acts has runs in all of {', '.join(choosing.categories)}."
    lines = [f"Chosen on {' and '.join(choosing.categories)}: **{chosen.label}**.", ""]
    for title, half in (("categories that chose", choosing), ("categories held out", reported)):
        shown = replace(half, methods=[*grid.pair(chosen.name)])
        table = _table(_compared(runs, scores, shown), shown)
        lines += [f"On the {title} ({', '.join(half.categories)}):", "", table, ""]
    return "\n".join(lines).strip()


def _state(runs: pd.DataFrame, grid: Grid) -> str:
    """How much of the grid is there, and what it took."""
    cells, hours = len(list(grid.cells())), runs["seconds"].sum() / 3600
    whole = "complete" if len(runs) == cells else f"INCOMPLETE: {len(runs)} of {cells} trainings"
    return (
        f"{len(runs)} trainings ({whole}): {len(grid.categories)} categories, {len(grid.methods)} methods, "
        f"{len(grid.seeds)} seeds; {hours:.1f} hours of training."
    )


def _made_from(runs: pd.DataFrame) -> str:
    names = ["commit", "hardware", *(name for name in SAME if name != "data_digest")]
    rows = [(name.replace("_", " "), ", ".join(sorted(set(runs[name])))) for name in names]
    rows += [
        (f"data digest of {category}", ", ".join(sorted(set(group["data_digest"]))))
        for category, group in runs.groupby("category", sort=False)
    ]
    return str(pd.DataFrame(rows, columns=["what", "value"]).to_markdown(index=False, disable_numparse=True))
