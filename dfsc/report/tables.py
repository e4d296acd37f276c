"""What Tables 1 to 4 say: their rows, headings and captions, from the comparison of the tracked runs."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd

from dfsc.data.layout import ANOMALY_TYPES
from dfsc.files import reading
from dfsc.metrics.spro import HEADLINE_LIMIT
from dfsc.metrics.summary import HEADLINE_METRICS
from dfsc.report.compare import ALL, COLUMNS
from dfsc.settings.grid import Grid, Method
from dfsc.settings.training import INACTIVE_BELOW

TITLES = dict(zip(HEADLINE_METRICS, ("Image AUROC", f"AU-sPRO up to FPR {HEADLINE_LIMIT}"), strict=True))
CHANCE = "P(better)"  # heading of `probability`
HEADINGS = dict(zip(COLUMNS, ("logical", "structural", "untyped", "mean"), strict=True))
BETTER, WORSE, OPEN = "better", "worse", "not decided"
NOT_MEASURED = "not measured"
REFERENCE_HEADINGS = ("logical", "structural", "mean")  # of others' results, all on MVTec LOCO AD
REFERENCE_KINDS = {"published": "published", "reproduction": "reproduced"}
OURS = "ours"  # source of what is trained here
OUTSIDE_SOURCES = {"command": "command", "maps": "maps made elsewhere", "control": "control"}  # origin -> source
OPTIMISTIC = "best on the test images (optimistic)"
PARTIAL = "PARTIAL"
CONSTRAINT_INACTIVE = "constraint inactive"
INSIDE = "inside margin"  # heading of `inside_margin`
OPTIONAL = (*(HEADINGS[kind] for kind in ANOMALY_TYPES), INSIDE)  # columns of types that a data set may lack
RUNS_MISSING = f"{PARTIAL}: runs of the grid are missing"
Row: TypeAlias = Mapping[Any, Any] | pd.Series  # of a comparison, or of numbers like it: column -> value


@dataclass(frozen=True)
class Context:
    """What every caption says: the grid, the source of the pretraining images, and whether runs are missing."""

    grid: Grid
    pretraining_images: str
    partial: bool
    reference: Path | None = None  # others' results, for `main_table`
    inactive: frozenset[tuple[str, str]] = frozenset()  # (category or ALL, method) whose constraint did not act

    @property
    def mark(self) -> dict[str, str]:
        """The column that marks every line of a partial table."""
        return {"status": PARTIAL} if self.partial else {}

    @property
    def compared(self) -> list[Method]:
        """Each baseline, then the methods that are declared to be compared with it."""
        groups = [self.grid.paired_with(baseline.name) for baseline in self.grid.baselines]
        return [one for group in groups for one in group if one.is_baseline or one.name in self.grid.headlines]

    def label(self, method: Method, category: str) -> str:
        """What a method is called where its numbers of a category, or of their mean, stand."""
        return f"{method.label} ({CONSTRAINT_INACTIVE})" if (category, method.name) in self.inactive else method.label


def inactive_in(comparison: pd.DataFrame) -> frozenset[tuple[str, str]]:
    """(category or ALL, method) of a comparison whose novel elements hardly ever lay inside the margin."""
    chosen = comparison[comparison["inside_margin"] < INACTIVE_BELOW]
    return frozenset(zip(chosen["category"], chosen["method"], strict=True))


def per_cent(row: Row) -> str:
    """A value and its standard deviation over seeds."""
    return f"{100 * row['value']:.1f}" + ("" if pd.isna(row["value_std"]) else f" ± {100 * row['value_std']:.1f}")


def gain(row: Row, spread: bool = True) -> str:
    """A difference, with `spread` its standard deviation over seeds, and its 95 % interval, in points of per cent."""
    if pd.isna(row.get("difference")):
        return ""
    deviation = "" if not spread or pd.isna(row["difference_std"]) else f" ± {100 * row['difference_std']:.1f}"
    bounds = "" if pd.isna(row["low"]) else f" [{points(row['low'])}, {points(row['high'])}]"
    return points(row["difference"]) + deviation + bounds


def points(difference: float) -> str:
    """A difference of metrics in 0..1 as points of per cent, with its sign; '−' is a minus sign."""
    return f"{100 * difference:+.1f}".replace("-", "−")


def probability(row: Row) -> str:
    """The probability that a method is better than its baseline; never said to be 0 or 1."""
    value = row.get("probability")
    if value is None or pd.isna(value):
        return ""
    return "< 0.01" if value < 0.01 else "> 0.99" if value > 0.99 else f"{value:.2f}"


def verdict(row: pd.Series) -> str:
    """BETTER or WORSE than the baseline where the whole 95 % interval of the difference is; else OPEN."""
    return BETTER if row["low"] > 0 else WORSE if row["high"] < 0 else OPEN


def share(value: float) -> str:
    """A share in 0..1 in per cent; empty where there is none."""
    return "" if pd.isna(value) else f"{100 * value:.1f} %"


def method_numbers(of_method: pd.DataFrame, shown: Callable[[Row], str]) -> dict[str, str]:
    """Heading -> what is shown of an anomaly type or the mean."""
    rows = {row["anomaly_type"]: row for row in of_method.to_dict("records")}
    return {heading: shown(rows[name]) if name in rows else NOT_MEASURED for name, heading in HEADINGS.items()}


def of_mean(of_method: pd.DataFrame, shown: Callable[[Row], str]) -> str:
    """What is shown beside the mean; empty where that was not measured."""
    return "".join(shown(row) for row in of_method.to_dict("records") if row["anomaly_type"] == "mean")


def without_unmeasured(table: pd.DataFrame, optional: Collection[str]) -> pd.DataFrame:
    """The table without those of the `optional` columns of which no row has a number."""
    names = [name for name in optional if name in table]
    return table.drop(columns=[name for name in names if table[name].isin(["", NOT_MEASURED]).all()])


def main_table(comparison: pd.DataFrame, metric: str, context: Context) -> pd.DataFrame:
    """Tables 1 and 2: each baseline, the methods declared to be compared, their difference, and what others report."""
    rows = []
    for baseline in context.grid.baselines:
        lines: list[tuple[Method, str, Callable[[Row], str]]] = [(baseline, baseline.label, per_cent)]
        for declared in [declared for paired, declared in context.grid.pairs if paired == baseline]:
            lines.append((declared, declared.label, per_cent))
            lines.append((declared, "difference [95 %]", gain))
            lines.append((declared, CHANCE, probability))
        names = [method.name for method, _, _ in lines]
        chosen = comparison["method"].isin(names) & (comparison["metric"] == metric)
        for category in (*context.grid.categories, ALL):
            group = comparison[chosen & (comparison["category"] == category)]
            if group.empty and context.partial:
                continue
            for method, label, shown in lines:
                numbers = method_numbers(group[group["method"] == method.name], shown)
                label = context.label(method, str(category)) if label == method.label else label
                rows.append({**context.mark, "category": category, "": label, **numbers, "source": source_of(method)})
    table = pd.concat([pd.DataFrame(rows), _reference_rows(metric, context)], ignore_index=True).fillna("")
    return without_unmeasured(table, OPTIONAL)


def source_of(method: Method) -> str:
    """Where a method of the grid comes from, as Tables 1 and 2 say it."""
    return OUTSIDE_SOURCES.get(method.origin, OURS)


def reference_results(metric: str, path: Path) -> pd.DataFrame:
    """Published and reproduced numbers of a metric in per cent, which are not ours: see the column `source`.

    Raises UserError naming a file that is missing or damaged.
    """
    with reading(path, "a table of reference results"):
        results = pd.read_csv(path, dtype=str, keep_default_na=False)
        if other := set(results["kind"]) - REFERENCE_KINDS.keys():
            raise ValueError(f"kind {', '.join(sorted(other))} is none of {', '.join(REFERENCE_KINDS)}")
        wanted = ["method", "size", "metric", "category", *REFERENCE_HEADINGS, "runs", "kind", "source"]
        return results.loc[results["metric"] == metric, wanted]


def reference_source(row: Row) -> str:
    """Whether a row of `reference_results` is published or reproduced, where it stands, and over how many runs."""
    runs = f", {row['runs']} run{'s' if row['runs'] != '1' else ''}" if row["runs"] else ""
    return f"{REFERENCE_KINDS[row['kind']]}: {row['source']}{runs}"


def _reference_rows(metric: str, context: Context) -> pd.DataFrame:
    if context.reference is None:
        return pd.DataFrame()
    return pd.DataFrame(
        [
            {
                **context.mark,
                "category": ALL if row["category"] == "all" else row["category"],
                "": "-".join(filter(None, [row["method"], row["size"]])),
                **{heading: row[heading] for heading in REFERENCE_HEADINGS},
                "source": reference_source(row),
            }
            for row in reference_results(metric, context.reference).to_dict("records")
        ]
    )


def method_table(
    comparison: pd.DataFrame, methods: list[Method], metric: str, context: Context, spread: bool = True
) -> pd.DataFrame:
    """Tables 3 and 4: a row per method, with its difference from its baseline; the best is named as chosen late.

    `spread`: with the difference's standard deviation, as `gain`.
    """
    rows = []
    chosen = comparison[(comparison["metric"] == metric) & comparison["method"].isin([one.name for one in methods])]
    baselines = dict.fromkeys(method.pairs_with for method in methods)
    for baseline, category in product(baselines, (*context.grid.categories, ALL)):
        group = chosen[(chosen["baseline"] == baseline) & (chosen["category"] == category)]
        best = best_method(group, baseline)
        for method in (method for method in methods if method.pairs_with == baseline):
            of_method = group[group["method"] == method.name]
            if of_method.empty and context.partial:
                continue
            rows.append(
                {
                    **context.mark,
                    "category": category,
                    "": context.label(method, category),
                    **method_numbers(of_method, per_cent),
                    "difference of mean [95 %]": of_mean(of_method, lambda row: gain(row, spread)),
                    CHANCE: of_mean(of_method, probability),
                    INSIDE: share(of_method["inside_margin"].iloc[0]) if len(of_method) else "",
                    "note": method_note(method, best, context),
                }
            )
    return without_unmeasured(pd.DataFrame(rows), OPTIONAL)


def best_method(group: pd.DataFrame, baseline: str) -> str | None:
    """The best of several methods beside their baseline, in a category's rows of one metric."""
    means = group[(group["anomaly_type"] == "mean") & (group["method"] != baseline)]
    return str(means.loc[means["value"].idxmax(), "method"]) if len(means) > 1 else None


def method_note(method: Method, best: str | None, context: Context) -> str:
    """Whether a method is declared, and whether it is the best, as `best_method` says."""
    notes = ["declared" if method.name in context.grid.headlines else "", OPTIMISTIC if method.name == best else ""]
    return ", ".join(filter(None, notes))


@dataclass(frozen=True)
class Table:
    """A table ready to be written: what a person reads, what a machine reads, and the caption."""

    name: str
    title: str
    caption: str
    shown: pd.DataFrame
    numbers: pd.DataFrame  # metrics in 0..1


def build_tables(comparison: pd.DataFrame, context: Context) -> list[Table]:
    """Tables 1 to 4 of a comparison as `dfsc.report.compare.compare` returns it."""
    grid = context.grid
    pairs = [method for pair in grid.pairs for method in pair]
    trained = [method for method in grid.methods if not (method.is_outside or method.protocol)]
    over_quantile = [method for method in trained if not method.changed]
    readings = [method for method in trained if method in pairs or method.changed]
    ours = [pair for pair in grid.pairs if not pair[1].is_outside]
    both = " and ".join(f"{declared.label} beat {baseline.label}" for baseline, declared in ours)
    stated = f" Declared in the configuration: {', '.join(declared.label for _, declared in ours)}."
    all_stated = declared_methods(context)
    acted = inactive_note(context)
    same_data = context.reference is None or grid.source == "mvtec_loco"
    others = "" if same_data else " Others' numbers are of MVTec LOCO AD, other data than ours."
    none = (
        ""
        if any(method.changed for method in trained)
        else " No other reading was run: config/ablations.yaml has them ready."
    )
    auroc, spro = HEADLINE_METRICS
    chosen: list[tuple[str, str, str, str, list[Method], pd.DataFrame]] = [
        ("table1_image_auroc", f"Does {both} at telling anomalous images from good ones?",
         all_stated + others, auroc, pairs, main_table(comparison, auroc, context)),
        ("table2_au_spro", f"Does {both} at localising anomalies?",
         all_stated + others, spro, pairs, main_table(comparison, spro, context)),
        ("table3_quantiles", "How much does the quantile τ' matter?",
         stated, auroc, over_quantile, method_table(comparison, over_quantile, auroc, context)),
        ("table4_readings", "How much do the margin and the readings left open matter?",
         stated + none, auroc, readings, method_table(comparison, readings, auroc, context)),
    ]  # fmt: skip
    tables = []
    for number, (name, question, more, metric, methods, shown) in enumerate(chosen, 1):
        of_methods = comparison["method"].isin([method.name for method in methods])
        numbers = comparison[of_methods].assign(pretraining_images=context.pretraining_images)
        family = (numbers["metric"] == auroc) == (metric == auroc)
        numbers = numbers[family] if number < 4 else numbers
        text = caption(metric, context) + more + acted + not_measured(comparison, metric, context)
        tables.append(Table(name, f"Table {number}. {question}", text, shown, numbers.assign(**context.mark)))
    return tables


def caption(metric: str, context: Context) -> str:
    """What the numbers are, how sure, and what they rest on."""
    seeds, resampled = len(context.grid.seeds), metric == HEADLINE_METRICS[0]
    if seeds > 1:
        spread = f"mean ± standard deviation over {seeds} seeds"
        source = "test images resampled, seeds by Student's t" if resampled else "Student's t over seeds"
    else:
        spread = "one seed"
        source = "test images resampled; nothing said of other seeds" if resampled else "none"
    return (
        f"{TITLES.get(metric, metric)} in per cent, {spread}. Difference: the method minus its baseline in points, "
        f"paired by category and seed, with its 95 % interval ({source}). "
        f"Pretraining and penalty images: {context.pretraining_images}."
        + (f" {RUNS_MISSING}." if context.partial else "")
    )


def declared_methods(context: Context) -> str:
    """Says which methods were declared to be compared, and what `from_outside` says of them."""
    names = ", ".join(declared.label for _, declared in context.grid.pairs)
    return f" Declared in the configuration: {names}.{from_outside(context)}"


def from_outside(context: Context) -> str:
    """Says which methods are from outside, and how one without seeds is compared; empty if there is none."""
    outside = [method for method in context.grid.methods if method.is_outside]
    if not outside:
        return ""
    text = f" From outside, so that their pretraining is not known here: {', '.join(one.label for one in outside)}."
    if unseeded := [method.label for method in outside if not method.seeded]:
        text += f" Without seeds, so that one run is compared with each of the baseline's: {', '.join(unseeded)}."
    return text


def inactive_note(context: Context) -> str:
    """Says what a mark at a method means; empty if none has it."""
    if not context.inactive:
        return ""
    return (
        f" {CONSTRAINT_INACTIVE.capitalize()}: over training, fewer than {INACTIVE_BELOW:.0%} of the novel elements "
        "lay inside the margin, so that the constraint acted on hardly any."
    )


def not_measured(comparison: pd.DataFrame, metric: str, context: Context) -> str:
    """Says what of a metric could not be measured on which category, and what that does to the means; else empty."""
    localised = metric.startswith("au_spro")
    of_metric = comparison[comparison["metric"] == metric]
    types = {
        name: set(of_metric.loc[of_metric["category"] == name, "anomaly_type"]) for name in context.grid.categories
    }
    if context.partial:  # then a category without numbers may have no run yet
        types = {name: of_category for name, of_category in types.items() if of_category}
    names = [name for name in ANOMALY_TYPES if any(name in of_category for of_category in types.values())]
    lacking = []
    for category, of_category in types.items():
        if not of_category:
            lacking.append(f"{category} has no {'masks' if localised else 'anomalous images'}")
        for name in names if of_category else ():
            if name not in of_category:
                lacking.append(f"{category} has no {'masks of ' if localised else ''}{HEADINGS[name]} anomalies")
    if not lacking:
        return ""
    return (
        f" {'; '.join(lacking)}: this is not measured. A category's mean is over the types that are; a mean of "
        "categories is given only of what is measured on all of them."
    )
