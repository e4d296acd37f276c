"""Tracked runs to tables: per category and anomaly type, mean and spread over seeds, and the paired difference."""

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from dfsc.config import BASELINE, quantile_of
from dfsc.errors import UserError
from dfsc.files import write_text

COLUMNS = ("logical_anomalies", "structural_anomalies", "mean")
ALL = "mean of categories"
TITLES = {"image_auroc": "Image AUROC", "au_spro_0.05": "AU-sPRO up to FPR 0.05"}
HEADINGS = dict(zip(COLUMNS, ("logical", "structural", "mean"), strict=True))


def runs_frame(runs: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """One row per tracked run: size, category, method, quantile, seed, its metrics, and what it was made from.

    Raises UserError naming what is missing or double if the runs are no full grid.
    """
    rows = [
        {
            **{name: run["tags"][name] for name in ("size", "category", "method", "seed")},
            **run["metrics"],
            "pretraining_images": run["tags"]["pretraining_images"],
            "commit": run["tags"]["commit"],
            "run_id": run["run_id"],
        }
        for run in runs
    ]
    frame = pd.DataFrame(rows)
    frame.insert(3, "quantile", frame["method"].map(quantile_of))
    frame["seed"] = frame["seed"].astype(int)
    _refuse_gaps(frame)
    return frame


def _refuse_gaps(frame: pd.DataFrame) -> None:
    cells = frame.groupby(["size", "category", "method", "seed"]).size()
    if (cells > 1).any():
        raise UserError(f"tables: two runs of {cells.index[cells > 1][0]}; one is wanted")
    full = pd.MultiIndex.from_product([level.unique() for _, level in frame[cells.index.names].items()])
    if len(missing := full.difference(cells.index)):
        raise UserError(f"tables: no run of {missing[0]} (and {len(missing) - 1} more); run the workflow to its end")


def summarise(frame: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Mean and standard deviation over seeds of one metric, and of its paired difference from the baseline.

    Returns one row per (size, category, method, anomaly type), the mean of the categories included: value, value_std,
    difference, difference_std, seeds; metrics in 0..1, deviations with n - 1 (empty for one seed).
    """
    keys = ["size", "category", "method", "seed"]
    values = frame.set_index(keys)[[f"{metric}.{column}" for column in COLUMNS]]
    values.columns = pd.Index(COLUMNS, name="anomaly_type")
    means = values.groupby(["size", "method", "seed"]).mean()
    means = pd.concat({ALL: means}, names=["category"]).reorder_levels(keys)
    long = pd.concat([values, means]).stack()
    baseline = long.xs(BASELINE, level="method")
    difference = long - baseline.reindex(long.index.droplevel("method")).to_numpy()
    cell = ["size", "category", "method", "anomaly_type"]
    summary = (
        pd.concat({"value": long, "difference": difference}, axis=1)
        .groupby(cell, sort=False)
        .agg(
            value=("value", "mean"),
            value_std=("value", "std"),
            difference=("difference", "mean"),
            difference_std=("difference", "std"),
            seeds=("value", "size"),
        )
    )
    return summary.reset_index()


def layout(summary: pd.DataFrame, plus_minus: str = " ± ") -> pd.DataFrame:
    """The table a person reads: a row per category and method, values in per cent with their spread over seeds."""

    def cell(mean: float, deviation: float, sign: str) -> str:
        spread = "" if pd.isna(deviation) else f"{plus_minus}{100 * deviation:.1f}"
        return f"{100 * mean:{sign}.1f}{spread}"

    rows = []
    for (size, category, method), group in summary.groupby(["size", "category", "method"], sort=False):
        by_type = group.set_index("anomaly_type")
        row = {"size": size, "category": category, "method": display_name(str(method))}
        row |= {
            HEADINGS[name]: cell(by_type.loc[name, "value"], by_type.loc[name, "value_std"], "") for name in COLUMNS
        }
        row["difference of mean"] = (
            ""
            if method == BASELINE
            else cell(by_type.loc["mean", "difference"], by_type.loc["mean", "difference_std"], "+")
        )
        rows.append(row)
    return pd.DataFrame(rows)


def display_name(method: str) -> str:
    """'efficientad' and 'dfsc-q0.95' as papers print them."""
    quantile = quantile_of(method)
    return "EfficientAD" if quantile is None else f"DFSC τ'={quantile:g}"


def caption(frame: pd.DataFrame, metric: str) -> str:
    """What the table shows, and what its runs were pretrained on."""
    seeds = frame["seed"].nunique()
    return (
        f"{TITLES[metric]} in per cent, mean ± standard deviation over {seeds} seed{'s' if seeds > 1 else ''}; "
        f"difference: DFSC minus EfficientAD, paired by seed. "
        f"Pretraining and penalty images: {', '.join(sorted(frame['pretraining_images'].unique()))}."
    )


def write_tables(frame: pd.DataFrame, folder: Path) -> None:
    """Write runs.csv (every metric of every run) and, per metric, a table as CSV, Markdown and LaTeX (booktabs)."""
    write_text(folder / "runs.csv", frame.to_csv(index=False))
    for metric in TITLES:
        summary = summarise(frame, metric)
        images = "; ".join(sorted(frame["pretraining_images"].unique()))
        write_text(folder / f"{metric}.csv", summary.assign(pretraining_images=images).to_csv(index=False))
        write_text(folder / f"{metric}.md", f"{caption(frame, metric)}\n\n{layout(summary).to_markdown(index=False)}\n")
        write_text(folder / f"{metric}.tex", _latex(layout(summary, r" \pm "), caption(frame, metric)))


def _latex(table: pd.DataFrame, text: str) -> str:
    def escape(value: str) -> str:
        return value.replace("_", r"\_").replace("τ'", r"$\tau'$").replace("±", r"$\pm$")

    numbers = [*HEADINGS.values(), "difference of mean"]
    table = table.assign(
        **{name: table[name].map(lambda value: f"${value}$" if value else "") for name in numbers},
        **{name: table[name].map(escape) for name in ("category", "method")},
    )
    buffer = io.StringIO()
    table.to_latex(buffer, index=False, escape=False, column_format="lll" + "r" * len(numbers), caption=escape(text))
    return buffer.getvalue()


def print_tables(folder: Path) -> None:
    """Print the image AUROC and AU-sPRO tables of `folder` to the terminal, and the paths of what else there is."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    frame = pd.read_csv(folder / "runs.csv")
    for metric in TITLES:
        table = Table(title=TITLES[metric], caption=caption(frame, metric), title_justify="left")
        rows = layout(summarise(frame, metric))
        for column in rows.columns:
            table.add_column(column, justify="left" if column in ("size", "category", "method") else "right")
        previous = None
        for row in rows.itertuples(index=False):
            if previous not in (None, row.category):
                table.add_section()
            table.add_row(
                *(str(value) if row.category != previous or number > 1 else "" for number, value in enumerate(row))
            )
            previous = row.category
        console.print(table)
