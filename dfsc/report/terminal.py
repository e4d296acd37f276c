"""Tables and comparisons in the terminal."""

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from dfsc.errors import UserError
from dfsc.metrics.operating_point import HEADLINE_RATE
from dfsc.metrics.summary import HEADLINE_METRICS, METRICS
from dfsc.report.compare import ALL, KEYS
from dfsc.report.defects import defect_caption, defect_table, read_defect_numbers
from dfsc.report.operating_points import operating_caption, operating_table, read_operating_points
from dfsc.report.paper import read_paper_tables
from dfsc.report.protocols import protocol_caption, protocol_table, read_protocol_numbers, with_pooled
from dfsc.report.table_files import starts_block
from dfsc.report.tables import (
    CHANCE,
    INSIDE,
    RUNS_MISSING,
    TITLES,
    Context,
    caption,
    from_outside,
    gain,
    inactive_note,
    method_table,
    not_measured,
    points,
    probability,
)
from dfsc.settings.grid import Cell, Method

if TYPE_CHECKING:
    from rich.table import Table as RichTable

WIDTH = 80  # columns of a terminal


def print_tables(folder: Path) -> None:
    """Print every method's image AUROC and AU-sPRO, and its difference from its baseline, to the terminal.

    Without any anomalous image, neither is measured: then the false alarms are printed.
    """
    runs, comparison, context = read_paper_tables(folder)
    if comparison.empty:
        print("No image is anomalous, so that AUROC and sPRO are not measured. What is measured:\n")
        print_operating_points(folder)
        return
    methods = [method for method in context.grid.methods if not method.protocol]
    for number, metric in enumerate(HEADLINE_METRICS, 1):
        # For 80 columns: the interval says more of a difference than its spread, which is in the files.
        table = method_table(comparison, methods, metric, context, spread=False)
        if not table.empty:
            notes = inactive_note(context) + from_outside(context) + not_measured(comparison, metric, context)
            text = caption(metric, context) + notes
            title = f"Table {number}: {TITLES[metric]} (%), all methods"
            _print(table.drop(columns=["note", INSIDE], errors="ignore"), text, title)
    if len(methods) < len(context.grid.methods):
        grid = with_pooled(context.grid)
        table = protocol_table(read_protocol_numbers(folder), grid, context, spread=False)
        shown = table.drop(columns=[name for name in table if "AU-sPRO" in name])
        _print(shown, protocol_caption(runs, context), "Table 7: deviations from the protocol")


def print_operating_points(folder: Path) -> None:
    """Print every method's false alarms and missed anomalies at 5 %, and what the declared ones find of each defect."""
    _, _, context = read_paper_tables(folder)
    notes = inactive_note(context) + from_outside(context)
    methods = [one for baseline in context.grid.baselines for one in context.grid.paired_with(baseline.name)]
    points = operating_table(read_operating_points(folder), methods, context, [HEADLINE_RATE], spread=False)
    promised = (
        f"Promised: {100 * HEADLINE_RATE:g} %. Other rates, and the intervals: {folder}/table5_operating_points.md. "
    )
    title = f"Table 5: wrong verdicts where {100 * HEADLINE_RATE:g} % false alarms are promised, all methods"
    _print(points.drop(columns="promised"), promised + operating_caption(context, spread=False) + notes, title)
    defects = defect_table(read_defect_numbers(folder), context.compared, context, spread=False)
    text = defect_caption(context, spread=False) + notes
    _print(defects.rename(columns={"images": "n"}), text, "Table 6: each defect type (%)")


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
            lacking = not_measured(comparison, metric, context) or "; run the workflow to its end"
            raise UserError(f"{folder}: no {metric} of {method.name}{lacking}")
        values = dict(zip(map(Cell, *(runs[key] for key in KEYS)), runs[f"{metric}.mean"], strict=True))
        baseline, _ = context.grid.pair(method.name)
        _print(
            pd.DataFrame(_pair_rows(shown, values, baseline, method, context)).fillna(""),
            f"{context.label(method, ALL)} against {baseline.label}. {caption(metric, context)}"
            f"{inactive_note(context)}{from_outside(context)}{not_measured(comparison, metric, context)}",
        )


def _pair_rows(
    shown: pd.DataFrame, values: dict[Cell, float], baseline: Method, method: Method, context: Context
) -> Iterator[dict[str, str]]:
    """A row per pair of runs, and one of their summary, for each category and the mean of them."""
    for row in shown.to_dict("records"):
        start = {**context.mark, "category": row["category"]}
        for seed in context.grid.seeds if row["category"] != ALL else ():
            pair = [values.get(context.grid.cell(row["category"], one, seed)) for one in (baseline, method)]
            if (before := pair[0]) is not None and (after := pair[1]) is not None:
                both = {baseline.label: f"{100 * before:.1f}", method.label: f"{100 * after:.1f}"}
                yield {**start, "seed": str(seed), **both, "difference": points(after - before)}
        both = {baseline.label: "", method.label: ""}
        summary = {"seed": "all", **both, "difference": gain(row), CHANCE: probability(row)}
        mark = {"constraint": "inactive"} if (row["category"], method.name) in context.inactive else {}
        yield {**start, **summary, **mark}


def _print(table: pd.DataFrame, text: str, title: str = "") -> None:
    """Print a table: a block per category, under its name; PARTIAL on top, if it is.

    Where it is broader than the terminal its headings are broken, and no cell is: then its lines are longer.
    """
    from rich.console import Console
    from rich.text import Text

    console = Console()
    width, options = console.width, console.options.update(max_width=10_000)
    if title:
        console.print(Text(title, style="bold"))
    for breaks in (False, True):
        printed = _laid_out(table, breaks)
        needed = console.measure(printed, options=options).maximum
        if needed <= width:
            break
    console.width = max(width, needed)
    console.print(printed)
    # Not as the table's caption, which would be as narrow as a narrow table.
    console.print(Text(f"{text}\n", style="dim italic"), width=min(width, WIDTH))


def _laid_out(table: pd.DataFrame, breaks: bool) -> "RichTable":
    """A table for the terminal; `breaks`: its headings are no wider than what stands beneath them, if words allow."""
    from rich import box
    from rich.table import Table

    cells = table.drop(columns=["status", "category"], errors="ignore").astype(str)
    printed = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=0)
    if "status" in table:
        printed.title, printed.title_style = RUNS_MISSING, "bold red"
    for number, column in enumerate(cells.columns):
        room = max(map(len, [*cells[column], *column.split()]), default=0)
        heading = textwrap.fill(column, room) if breaks and column else column
        printed.add_column(heading, justify="right" if number else "left")
    for number, begins in enumerate(starts_block(table)):
        if begins:
            printed.add_section()
        if begins or number == 0:
            printed.add_row(str(table.iloc[number]["category"]), style="bold")
        printed.add_row(*cells.iloc[number])
    return printed
