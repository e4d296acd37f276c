"""From receipts and MLflow to the folder of tables, and from there to the terminal."""

import html
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from dfsc.config import BASELINE, display_name
from dfsc.errors import UserError
from dfsc.files import write_json, write_text
from dfsc.report.compare import ALL, KEYS, METRICS, SAME, Grid, compare, paired_differences, runs_frame
from dfsc.report.cost import write_cost_table
from dfsc.report.frames import read_table
from dfsc.report.tables import (
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
from dfsc.report.tracking import read_runs, read_scores, record_differences

DOCUMENT = r"""\documentclass[a4paper,9pt]{extarticle}
\usepackage[T1]{fontenc}
\usepackage[margin=12mm,landscape]{geometry}
\usepackage{booktabs,longtable}
\begin{document}
\footnotesize
"""


def write_paper_tables(
    uri: str, receipts: list[Path], grid: Grid, folder: Path, partial: bool = False, reference: Path | None = None
) -> None:
    """Write the tables of the runs that `receipts` name (files, or folders searched for run.json) into `folder`.

    `reference`: results of others, for the main tables, in the form of config/reference_results.csv.

    runs.csv has every metric of every run, scores.csv every image score, comparison.csv the differences with their
    intervals; table1_... to table4_... are what is shown, tables.tex a document of them all, provenance.csv and .html
    what the runs were made from. Each DFSC run in MLflow is given its differences from its baseline.
    Raises UserError, writing nothing, as `read_runs`, `runs_frame` and `check_scores` do.
    """
    files = [found for path in receipts for found in (sorted(path.rglob("run.json")) if path.is_dir() else [path])]
    runs = read_runs(uri, files)
    frame = runs_frame(runs, grid, partial)
    scores = read_scores(uri, frame["run_id"])
    comparison = compare(frame, scores, grid)
    complete = len(frame) == len(grid.sizes) * len(grid.categories) * len(grid.methods) * len(grid.seeds)
    context = Context(grid, ", ".join(sorted(frame["pretraining_images"].unique())), not complete, reference)
    made_from, tables = provenance(runs, frame), build_tables(comparison, context)

    record_differences(uri, paired_differences(frame))
    write_json(folder / "grid.json", {**asdict(grid)})
    write_text(folder / "runs.csv", frame.assign(**context.mark).to_csv(index=False))
    write_text(folder / "comparison.csv", comparison.assign(**context.mark).to_csv(index=False))
    long = [(*run[:4], path, score) for run in frame[[*KEYS, "run_id"]].itertuples(index=False, name=None)
            for path, score in scores[run[4]].items()]  # fmt: skip
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
        ["metric", "size", "category", "method", "anomaly_type", "value"],
        ["value", "value_std", "seeds", "pairs", "difference", "difference_std", "low", "high", "probability"],
    )
    grid = Grid.from_text(str(folder / "grid.json"))
    images = ", ".join(sorted(runs["pretraining_images"].unique()))
    return runs, comparison, Context(grid, images, "status" in runs)


def print_tables(folder: Path) -> None:
    """Print every method's image AUROC and AU-sPRO, and its difference from the baseline, to the terminal."""
    _, comparison, context = read_paper_tables(folder)
    for metric in ("image_auroc", "au_spro_0.05"):
        # For 80 columns: the interval says more of a difference than its spread, which is in the files.
        table = method_table(comparison, context.grid.methods, metric, context, spread=False)
        if not table.empty:  # without masks, nothing is localised
            _print(table.drop(columns="note"), caption(metric, context) + not_measured(comparison))


def print_comparison(folder: Path, metric: str, method: str | None) -> None:
    """Print a DFSC method against the baseline, pair by pair, with the interval: by default the declared one.

    `metric` is one of `dfsc.report.compare.METRICS`. Raises UserError if metric or method is not there.
    """
    runs, comparison, context = read_paper_tables(folder)
    method = method or context.grid.headline
    if metric not in METRICS:
        raise UserError(f"--metric: {metric} is none of {', '.join(METRICS)}")
    if method not in context.grid.methods or method == BASELINE:
        others = ", ".join(name for name in context.grid.methods if name != BASELINE)
        raise UserError(f"--method: {method} is none of {others}")
    shown = comparison[
        (comparison["metric"] == metric) & (comparison["method"] == method) & (comparison["anomaly_type"] == "mean")
    ]
    if shown.empty:
        raise UserError(f"{folder}: no {metric} of {method} yet; run the workflow to its end")
    values = runs.set_index(["method", "size", "category", "seed"])[f"{metric}.mean"]
    rows = []
    for row in shown.to_dict("records"):
        start = {**context.mark, "size": row["size"], "category": row["category"]}
        for seed in context.grid.seeds if row["category"] != ALL else ():
            pair = [values.get((name, row["size"], row["category"], seed)) for name in (BASELINE, method)]
            if None not in pair:
                both = {name: f"{100 * value:.1f}" for name, value in zip(("EfficientAD", "DFSC"), pair, strict=True)}
                rows.append({**start, "seed": str(seed), **both, "difference": points(pair[1] - pair[0])})
        summary = {"seed": "all", "difference": gain(pd.Series(row)), "P(DFSC better)": probability(pd.Series(row))}
        rows.append({**start, **summary})
    _print(
        pd.DataFrame(rows).fillna(""),
        f"{display_name(method)} against EfficientAD. {caption(metric, context)}{not_measured(comparison)}",
    )


def _print(table: pd.DataFrame, text: str) -> None:
    """Print a table that fits 80 columns: a block per size and category, under its name; PARTIAL on top, if it is."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    names = ["size", "category"] if table["size"].nunique() > 1 else ["category"]
    cells = table.drop(columns=["status", "size", "category"], errors="ignore")
    printed = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=0, caption=f"{text}\n", caption_justify="left")
    if "status" in table:
        printed.title, printed.title_style = RUNS_MISSING, "bold red"
    for number, column in enumerate(cells.columns):
        printed.add_column(column.replace("P(DFSC better)", "P(DFSC\nbetter)"), justify="right" if number else "left")
    for number, begins in enumerate(starts_block(table)):
        if begins:
            printed.add_section()
        if begins or number == 0:
            printed.add_row(", ".join(str(table.iloc[number][name]) for name in names), style="bold")
        printed.add_row(*map(str, cells.iloc[number]))
    Console().print(printed)
