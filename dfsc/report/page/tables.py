"""Tables 1 to 7 as the page shows them: one line per method, its difference beneath each value, each a way to its runs.

What they say is what the table files say; here a line can be sorted and filtered by itself.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from urllib.parse import urlencode

import pandas as pd

from dfsc.metrics.operating_point import RATES
from dfsc.metrics.summary import HEADLINE_METRICS
from dfsc.report.compare import ALL, COLUMNS
from dfsc.report.defects import NAME as DEFECTS
from dfsc.report.defects import SHOWN, build_defect_table, read_defect_numbers
from dfsc.report.operating_points import (
    FOLDERS,
    POOLED,
    build_operating_table,
    count_text,
    pairs_text,
    read_operating_points,
)
from dfsc.report.page.benchmark import Benchmark
from dfsc.report.protocols import NAME as PROTOCOLS
from dfsc.report.protocols import TITLE as PROTOCOLS_TITLE
from dfsc.report.protocols import protocol_caption, read_protocol_numbers, with_pooled
from dfsc.report.table_files import latex
from dfsc.report.tables import (
    CHANCE,
    HEADINGS,
    INSIDE,
    NOT_MEASURED,
    REFERENCE_HEADINGS,
    Context,
    Table,
    best_method,
    build_tables,
    gain,
    method_note,
    per_cent,
    probability,
    reference_results,
    reference_source,
    share,
    source_of,
)
from dfsc.settings.grid import Method


@dataclass(frozen=True)
class Shown:
    """A cell: its text, a second line, what it is sorted by (its text, if None), and where it leads."""

    text: str
    more: str = ""
    sort: float | None = None
    link: str = ""

    @property
    def whole(self) -> str:
        """Both lines in one."""
        return f"{self.text} ({self.more})" if self.more else self.text


@dataclass(frozen=True)
class Line:
    """A row: its cells, and what it is chosen by: category, size, method and anomaly type; '' fits any."""

    cells: list[Shown]
    category: str
    method: str = ""
    size: str = ""
    kind: str = ""

    @property
    def tex(self) -> list[str]:
        """Its cells for LaTeX."""
        return [latex(cell.whole) for cell in self.cells]


@dataclass(frozen=True)
class PageTable:
    """A table of the page. `kinds`: of each column the anomaly type that it is of, or ''."""

    name: str
    title: str
    caption: str
    columns: list[str]
    lines: list[Line]
    kinds: list[str] = field(default_factory=list)

    @property
    def tex_columns(self) -> list[str]:
        """Its headings for LaTeX."""
        return [latex(name) for name in self.columns]


def page_tables(benchmark: Benchmark) -> list[PageTable]:
    """Tables 1 to 6, and 7 where methods deviate from the protocol.

    Raises UserError naming a file of the folder of tables that is missing or damaged.
    """
    context, comparison = benchmark.context, benchmark.comparison
    points, defects = (read(benchmark.tables) for read in (read_operating_points, read_defect_numbers))
    trained = [method for method in context.grid.methods if not (method.is_outside or method.protocol)]
    declared = [method.name for method in context.compared]
    chosen = {
        "table1_image_auroc": (HEADLINE_METRICS[0], context.compared),
        "table2_au_spro": (HEADLINE_METRICS[1], context.compared),
        "table3_quantiles": (HEADLINE_METRICS[0], [one for one in trained if not one.changed]),
        "table4_readings": (HEADLINE_METRICS[0], [one for one in trained if one.changed or one.name in declared]),
    }
    tables = []
    for table in build_tables(comparison, context):
        metric, methods = chosen[table.name]
        others = context if table.name in list(chosen)[:2] else None
        tables.append(_metric_table(table, comparison, metric, methods, context, others))
    tables.append(_operating_table(build_operating_table(points, context), points, context))
    tables.append(_defect_table(build_defect_table(defects, context), defects, context))
    if any(method.protocol for method in context.grid.methods):
        tables.append(_protocol_table(benchmark))
    return tables


def runs_link(category: str, method: Method, metric: str) -> str:
    """Where the page shows the runs behind a number; no category stands for all."""
    return "#" + urlencode({"view": "runs", "category": category, "method": method.name, "metric": metric})


def _metric_table(
    table: Table,
    comparison: pd.DataFrame,
    metric: str,
    methods: Sequence[Method],
    context: Context,
    others: Context | None,
) -> PageTable:
    """Tables 1 to 4: a line per category and method; with `others`, those that other people report, and the source."""
    last_column = "source" if others else "note"
    names = [method.name for method in methods]
    shown = comparison[(comparison["metric"] == metric) & comparison["method"].isin(names)]
    measured = [kind for kind in COLUMNS if (shown["anomaly_type"] == kind).any()]
    lines = []
    for category, method in product((*context.grid.categories, ALL), methods):
        group = shown[(shown["category"] == category) & (shown["baseline"] == method.pairs_with)]
        of_method = group[group["method"] == method.name]
        if of_method.empty and context.partial:
            continue
        cells = of_method.set_index("anomaly_type")
        where = "" if category == ALL else category
        values = [_value(cells, kind, runs_link(where, method, f"{metric}.{kind}")) for kind in measured]
        inside = of_method["inside_margin"].iloc[0] if len(of_method) else float("nan")
        mean = cells.loc["mean"] if "mean" in cells.index else pd.Series(dtype=float)
        better = Shown(probability(mean), sort=_number(mean.get("probability")))
        start = [Shown(category), Shown(context.label(method, category))]
        cost = Shown(share(inside), sort=_number(inside))
        best = best_method(group, method.pairs_with)
        last = Shown(source_of(method) if others else method_note(method, best, context))
        lines.append(Line([*start, *values, better, cost, last], category, method.name, method.size))
    lines += _reference_lines(metric, measured, others)
    columns = ["category", "method", *(HEADINGS[kind] for kind in measured), CHANCE, INSIDE, last_column]
    kinds = ["", "", *(kind if kind != "mean" else "" for kind in measured), "", "", ""]
    return PageTable(table.name, table.title, table.caption, columns, lines, kinds)


def _value(cells: pd.DataFrame, kind: str, link: str) -> Shown:
    if kind not in cells.index:
        return Shown(NOT_MEASURED)
    row = cells.loc[kind]
    return Shown(per_cent(row), gain(row, spread=False), float(row["value"]), link)


def _reference_lines(metric: str, measured: Sequence[str], context: Context | None) -> Iterator[Line]:
    """What others report, which has no runs here."""
    if context is None or context.reference is None:
        return
    for row in reference_results(metric, context.reference).to_dict("records"):
        texts = [row[HEADINGS[kind]] if HEADINGS[kind] in REFERENCE_HEADINGS else "" for kind in measured]
        values = [Shown(text, sort=float(text) / 100 if text else None) for text in texts]
        category = ALL if row["category"] == "all" else row["category"]
        name = "-".join(filter(None, [row["method"], row["size"]]))
        cells = [Shown(category), Shown(name), *values, Shown(""), Shown(""), Shown(reference_source(row))]
        yield Line(cells, category, name, row["size"])


def _operating_table(table: Table, points: pd.DataFrame, context: Context) -> PageTable:
    """Table 5: a line per category, promised rate and method."""
    folders = [folder for folder in FOLDERS if points.loc[points["folder"] == folder, "images"].notna().any()]
    lines = []
    for category, rate, method in product((*context.grid.categories, POOLED), RATES, context.compared):
        chosen = (points["category"] == category) & (points["promised"] == rate) & (points["method"] == method.name)
        of_method = points[chosen].set_index("folder")
        if of_method.empty:
            continue
        where = "" if category == POOLED else category
        cells = []
        for folder in folders:
            row = of_method.loc[folder]
            metric = f"false_alarms.{rate}" if folder == "good" else f"missed.{rate}.{folder}"
            cells.append(
                Shown(count_text(row), pairs_text(row), _number(row["rate"]), runs_link(where, method, metric))
            )
        label = context.label(method, ALL if category == POOLED else category)
        start = [Shown(category), Shown(f"{100 * rate:g} %", sort=rate), Shown(label)]
        lines.append(Line([*start, *cells], category, method.name, method.size))
    columns = ["category", "promised", "method", *(FOLDERS[folder] for folder in folders)]
    kinds = ["", "", "", *(folder if folder != "good" else "" for folder in folders)]
    return PageTable(table.name, table.title, table.caption, columns, lines, kinds)


def _defect_table(table: Table, numbers: pd.DataFrame, context: Context) -> PageTable:
    """Table 6: a line per category, defect and method."""
    lines = []
    for category in context.grid.categories:
        of_category = numbers[numbers["category"] == category]
        if of_category.empty:
            lines.append(Line([Shown(category), *[Shown(NOT_MEASURED)] * (4 + len(SHOWN))], category))
        for (kind, defect, images), group in of_category.groupby(["anomaly_type", "defect", "images"], sort=False):
            for method in context.compared:
                cells = group[group["method"] == method.name].set_index("metric")
                if cells.empty:
                    continue
                start = [Shown(category), Shown(str(defect)), Shown(HEADINGS[str(kind)])]
                start += [Shown(f"{images:g}", sort=float(images)), Shown(context.label(method, category))]
                links = {metric: runs_link(category, method, f"{metric}.{kind}.{defect}") for metric in SHOWN}
                values = [_defect_value(cells.loc[metric], link) for metric, link in links.items()]
                lines.append(Line([*start, *values], category, method.name, method.size, str(kind)))
    columns = ["category", "defect", "type", "images", "method", *SHOWN.values()]
    return PageTable(DEFECTS, table.title, table.caption, columns, lines, [""] * len(columns))


def _defect_value(row: pd.Series, link: str) -> Shown:
    if pd.isna(row["value"]):
        return Shown(NOT_MEASURED)
    bounded = row.reindex([*row.index, "low", "high"])
    return Shown(per_cent(row), gain(bounded, spread=False), float(row["value"]), link)


def _protocol_table(benchmark: Benchmark) -> PageTable:
    """Table 7: a line per category and deviation, after that of the baseline."""
    context, grid = benchmark.context, with_pooled(benchmark.grid)
    numbers = read_protocol_numbers(benchmark.tables)
    auroc, spro = HEADLINE_METRICS
    measured = [kind for kind in COLUMNS if (numbers["anomaly_type"] == kind).any()]
    shown = [(auroc, kind) for kind in measured] + [(spro, "mean")]
    lines = []
    for baseline, category in product(grid.baselines, (*grid.categories, ALL)):
        for method in grid.paired_with(baseline.name):
            of_method = numbers[(numbers["category"] == category) & (numbers["method"] == method.name)]
            if of_method.empty and context.partial:
                continue
            where, cells = "" if category == ALL else category, []
            for metric, kind in shown:
                of_metric = of_method[of_method["metric"] == metric].set_index("anomaly_type")
                # Pooled types have no runs of their own, nor values by type.
                known = method.name in benchmark.grid.names
                link = runs_link(where, method, f"{metric}.{kind}") if known else ""
                cells.append(_value(of_metric, kind, link) if known or kind in of_metric.index else Shown(""))
            lines.append(Line([Shown(category), Shown(method.label), *cells], category, method.name, method.size))
    columns = ["category", "method", *(HEADINGS[kind] for kind in measured), "AU-sPRO"]
    kinds = ["", "", *(kind if kind != "mean" else "" for kind in measured), ""]
    caption = protocol_caption(benchmark.runs, context)
    return PageTable(PROTOCOLS, PROTOCOLS_TITLE, caption, columns, lines, kinds)


def _number(value: object) -> float | None:
    return None if value is None or pd.isna(value) else float(str(value))
