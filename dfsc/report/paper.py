"""From receipts and MLflow to the folder of tables, and from there to the terminal."""

import html
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from dfsc.errors import UserError
from dfsc.files import write_text
from dfsc.metrics.summary import HEADLINE_METRICS, METRICS
from dfsc.report.compare import ALL, KEYS, SAME, compare, runs_frame
from dfsc.report.cost import write_cost_table
from dfsc.report.frames import read_table
from dfsc.report.tables import (
    CHANCE,
    RUNS_MISSING,
    STYLE,
    Context,
    build_tables,
    caption,
    gain,
    method_table,
    not_measured,
    points,
    probability,
    starts_block,
    write_table,
)
from dfsc.report.tracking import read_runs, read_scores, receipts_below
from dfsc.settings.grid import Cell, Grid, Method

DOCUMENT = r"""\documentclass[a4paper,9pt]{extarticle}
\usepackage[T1]{fontenc}
\usepackage[margin=12mm,landscape]{geometry}
\usepackage{booktabs,longtable}
\begin{document}
\footnotesize
"""


def write_paper_tables(
    uri: str, results: Path, grid: Grid, folder: Path, partial: bool = False, reference: Path | None = None
) -> None:
    """Write the tables of the grid's runs, by their receipts below `results` (results/<benchmark>), into `folder`.

    `partial`: of the receipts that there are. `reference`: results of others, for the main tables, in the form of
    config/reference_results.csv.

    runs.csv has every metric of every run, scores.csv every image score, comparison.csv the differences with their
    intervals; table1_... to table4_... are what is shown, tables.tex a document of them all, provenance.csv and .html
    what the runs were made from. MLflow is read, and not changed.
    Raises UserError, writing nothing, as `read_runs`, `runs_frame` and `check_scores` do.
    """
    runs = read_runs(uri, receipts_below(results, grid))
    frame = runs_frame(runs, grid, partial)
    scores = read_scores(uri, frame["run_id"])
    comparison = compare(frame, scores, grid)
    complete = len(frame) == len(list(grid.cells()))
    context = Context(grid, ", ".join(sorted(frame["pretraining_images"].unique())), not complete, reference)
    made_from, tables = provenance(runs, frame), build_tables(comparison, context)

    write_text(folder / "grid.json", grid.as_text())
    write_text(folder / "runs.csv", frame.assign(**context.mark).to_csv(index=False))
    write_text(folder / "comparison.csv", comparison.assign(**context.mark).to_csv(index=False))
    long = [(*run[:3], path, score) for run in frame[[*KEYS, "run_id"]].itertuples(index=False, name=None)
            for path, score in scores[run[3]].items()]  # fmt: skip
    write_text(folder / "scores.csv", pd.DataFrame(long, columns=[*KEYS, "path", "image_score"]).to_csv(index=False))
    for table in tables:
        write_table(table, folder)
    included = "".join(rf"\input{{{table.name}}}" + "\n\\clearpage\n" for table in tables)
    write_text(folder / "tables.tex", DOCUMENT + included + "\\end{document}\n")
    write_text(folder / "provenance.csv", made_from.to_csv(index=False))
    write_text(folder / "provenance.html", _page(f"What the {len(frame)} runs were made from", made_from))
    cost = write_cost_table(runs, folder)
    write_text(folder / "cost.html", _page("What the trainings cost, summed over seeds", cost))


def _page(title: str, table: pd.DataFrame) -> str:
    style = STYLE + "td{text-align:left;white-space:normal}th{text-align:left!important}"
    with pd.option_context("display.max_colwidth", None):  # or digests are cut short
        body = table.to_html(index=False, border=0)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{style}</style><h1>{html.escape(title)}</h1>{body}</html>\n"
    )


def provenance(runs: list[dict[str, Any]], frame: pd.DataFrame) -> pd.DataFrame:
    """Rows of (what, value): each value that the runs have of what they were made from."""
    rows = [("runs", str(len(frame)))]
    for name in ("commit", "hardware", "teacher", *(tag for tag in SAME if tag != "data_digest")):
        rows += [(name.replace("_", " "), value) for value in sorted({run["tags"].get(name, "") for run in runs})]
    for category, group in frame.groupby("category"):
        rows.append((f"data digest of {category}", ", ".join(group["data_digest"].unique())))
    versions = dict.fromkeys(tag for run in runs for tag in run["tags"] if tag.startswith("version."))
    for tag in versions:
        values = sorted({run["tags"].get(tag, "unknown") for run in runs})
        rows.append((f"version of {tag.removeprefix('version.')}", ", ".join(values)))
    return pd.DataFrame(rows, columns=["what", "value"])


def read_image_scores(folder: Path) -> pd.DataFrame:
    """Every image score, as `write_paper_tables` wrote them. Raises UserError naming the file."""
    columns = [*KEYS, "path", "image_score"]
    return read_table(folder / "scores.csv", "the image scores", columns, ["seed", "image_score"])


def read_paper_tables(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, Context]:
    """Runs, comparison and context of a folder of tables. Raises UserError naming what is missing or damaged."""
    if not (folder / "comparison.csv").exists():
        raise UserError(f"{folder / 'comparison.csv'}: no tables yet; run the workflow first")
    runs = read_table(
        folder / "runs.csv", "the table of runs", [*KEYS, "pretraining_images"], ["seed", "quantile", "seconds"]
    )
    comparison = read_table(
        folder / "comparison.csv",
        "the comparison",
        ["metric", "baseline", "category", "method", "anomaly_type", "value"],
        ["value", "value_std", "seeds", "pairs", "difference", "difference_std", "low", "high", "probability"],
    )
    grid = Grid.read(folder / "grid.json")
    images = ", ".join(sorted(runs["pretraining_images"].unique()))
    return runs, comparison, Context(grid, images, "status" in runs)


def print_tables(folder: Path) -> None:
    """Print every method's image AUROC and AU-sPRO, and its difference from its baseline, to the terminal."""
    _, comparison, context = read_paper_tables(folder)
    for metric in HEADLINE_METRICS:
        # For 80 columns: the interval says more of a difference than its spread, which is in the files.
        table = method_table(comparison, context.grid.methods, metric, context, spread=False)
        if not table.empty:  # without masks, nothing is localised
            _print(table.drop(columns="note"), caption(metric, context) + not_measured(comparison))


def print_comparison(folder: Path, metric: str, name: str | None) -> None:
    """Print a method against its baseline, pair by pair, with the interval: by default each declared one.

    `metric` is one of `dfsc.metrics.summary.METRICS`. Raises UserError if metric or method is not there.
    """
    runs, comparison, context = read_paper_tables(folder)
    if metric not in METRICS:
        raise UserError(f"--metric: {metric} is none of {', '.join(METRICS)}")
    compared = [method for method in context.grid.methods if not method.is_baseline]
    chosen = [method for method in compared if method.name in ([name] if name else context.grid.headlines)]
    if not chosen:
        raise UserError(f"--method: {name} is none of {', '.join(method.name for method in compared)}")
    for method in chosen:
        shown = comparison[
            (comparison["metric"] == metric)
            & (comparison["method"] == method.name)
            & (comparison["anomaly_type"] == "mean")
        ]
        if shown.empty:
            raise UserError(f"{folder}: no {metric} of {method.name} yet; run the workflow to its end")
        values = dict(zip(map(Cell, *(runs[key] for key in KEYS)), runs[f"{metric}.mean"], strict=True))
        baseline = context.grid.method(method.pairs_with)
        _print(
            pd.DataFrame(_pair_rows(shown, values, baseline, method, context)).fillna(""),
            f"{method.label} against {baseline.label}. {caption(metric, context)}{not_measured(comparison)}",
        )


def _pair_rows(
    shown: pd.DataFrame, values: dict[Cell, float], baseline: Method, method: Method, context: Context
) -> Iterator[dict[str, str]]:
    """A row per pair of runs, and one of their summary, for each category and the mean of them."""
    for row in shown.to_dict("records"):
        start = {**context.mark, "category": row["category"]}
        for seed in context.grid.seeds if row["category"] != ALL else ():
            pair = [values.get(Cell(row["category"], one.name, seed)) for one in (baseline, method)]
            if (before := pair[0]) is not None and (after := pair[1]) is not None:
                both = {baseline.label: f"{100 * before:.1f}", method.label: f"{100 * after:.1f}"}
                yield {**start, "seed": str(seed), **both, "difference": points(after - before)}
        summary = {"seed": "all", "difference": gain(pd.Series(row)), CHANCE: probability(pd.Series(row))}
        yield {**start, **summary}


def _print(table: pd.DataFrame, text: str) -> None:
    """Print a table that fits 80 columns: a block per category, under its name; PARTIAL on top, if it is."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    cells = table.drop(columns=["status", "category"], errors="ignore")
    printed = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=0, caption=f"{text}\n", caption_justify="left")
    if "status" in table:
        printed.title, printed.title_style = RUNS_MISSING, "bold red"
    for number, column in enumerate(cells.columns):
        printed.add_column(column, justify="right" if number else "left")
    for number, begins in enumerate(starts_block(table)):
        if begins:
            printed.add_section()
        if begins or number == 0:
            printed.add_row(str(table.iloc[number]["category"]), style="bold")
        printed.add_row(*map(str, cells.iloc[number]))
    Console().print(printed)
