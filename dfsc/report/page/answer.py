"""The first screen: the question, its answer with the interval, and what the answer rests on."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from dfsc.metrics.summary import HEADLINE_METRICS
from dfsc.report.compare import ALL
from dfsc.report.page.benchmark import Benchmark
from dfsc.report.tables import (
    BETTER,
    HEADINGS,
    NOT_MEASURED,
    OPEN,
    TITLES,
    WORSE,
    Context,
    from_outside,
    inactive_note,
    not_measured,
    points,
    probability,
    verdict,
)
from dfsc.settings.grid import Method

SEVERAL = 2  # seeds


@dataclass(frozen=True)
class Answer:
    """What is said of one declared comparison: 'DFSC-S minus EfficientAD-S', '+0.8', '[−0.4, +2.0]', the verdict."""

    question: str
    comparison: str
    difference: str
    interval: str
    verdict: str
    basis: str  # of what the number is, and over how many pairs
    chance: str  # P(better), as the tables say it

    @property
    def said(self) -> str:
        """The verdict in a sentence, with what it follows from."""
        why = {BETTER: "the 95 % interval leaves out 0", WORSE: "the 95 % interval leaves out 0"}
        reason = why.get(self.verdict, "the 95 % interval holds 0") if self.interval else self.difference
        return f"{self.verdict.capitalize()}: {reason}." + (f" P(better) {self.chance}." if self.chance else "")

    @property
    def style(self) -> str:
        """The verdict as a class of the page's style."""
        return self.verdict.replace(" ", "-")


def answers(comparison: pd.DataFrame, context: Context) -> list[Answer]:
    """An answer for each declared comparison, in the grid's order: the first is the benchmark's."""
    return [_answer(comparison, context, *pair) for pair in context.grid.pairs]


def _answer(comparison: pd.DataFrame, context: Context, baseline: Method, method: Method) -> Answer:
    metric, grid = HEADLINE_METRICS[0], context.grid
    of_method = comparison[(comparison["metric"] == metric) & (comparison["method"] == method.name)]
    over_all = of_method[of_method["category"] == ALL].set_index("anomaly_type")
    question = f"Does {method.label} tell anomalous images from good ones better than {baseline.label}?"
    label = f"{context.label(method, ALL)} minus {baseline.label}"
    if "mean" not in over_all.index or pd.isna(over_all.loc["mean", "difference"]):
        return Answer(question, label, NOT_MEASURED, "", OPEN, TITLES[metric], "")
    row = over_all.loc["mean"]
    types = [HEADINGS[kind] for kind in over_all.index if kind != "mean"]
    over = f"mean of {' and '.join(types)} anomalies" if len(types) > 1 else f"{types[0]} anomalies"
    pairs = _counted(int(row["pairs"]), "seed")
    basis = f"points of image AUROC; {over}; {_counted(len(grid.categories), 'category', 'categories')}, {pairs}"
    known = not pd.isna(row["low"])
    interval = f"[{points(row['low'])}, {points(row['high'])}]" if known else ""
    return Answer(question, label, points(row["difference"]), interval, verdict(row), basis, probability(row))


def notes(comparison: pd.DataFrame, context: Context) -> list[str]:
    """What must be read with the answer: one seed, an inactive constraint, what was not measured."""
    seeds = len(context.grid.seeds)
    found = [
        "One seed: the interval is about the test images alone, and says nothing of other seeds."
        if seeds < SEVERAL
        else "",
        inactive_note(context),
        from_outside(context),
        *(not_measured(comparison, metric, context) for metric in HEADLINE_METRICS),
    ]
    return [text.strip() for text in dict.fromkeys(found) if text.strip()]


def rests_on(benchmark: Benchmark, images: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    """(what, text) of all that the answer rests on. images: 'good' or anomaly type -> test images of all categories."""
    grid, runs, records = benchmark.grid, benchmark.runs, benchmark.records.values()
    counted = ", ".join(f"{number} {HEADINGS.get(kind, kind)}" for kind, number in images.items() if number)
    yield "Images", f"{grid.source}: {', '.join(grid.categories)}; test images: {counted}"
    yield "Pretraining and penalty images", benchmark.context.pretraining_images or "none"
    seeds = f"{'seeds' if len(grid.seeds) >= SEVERAL else 'seed'} {_listed(grid.seeds)}"
    yield "Runs", f"{len(runs)} of {len(list(grid.cells()))}; {len(grid.methods)} methods, {seeds}"
    yield "Commit", _listed(sorted({*runs["commit"]})) if "commit" in runs else "unknown"
    yield "Finished", max((str(made["finished"])[:10] for made in records if "finished" in made), default="unknown")
    took, on_gpu = (sum(made.get(key, 0) for made in records) / 3600 for key in ("seconds", "gpu_seconds"))
    yield "Cost", f"{took:.2g} hours of training, {on_gpu:.2g} of them on a GPU; tables/cost.md has each method's"
    if "hardware" in runs:
        yield "Hardware", _listed(sorted({*runs["hardware"]} - {""}))


def _counted(number: int, one: str, several: str = "") -> str:
    return f"{number} {one if number == 1 else several or one + 's'}"


def _listed(values: Sequence[object]) -> str:
    return ", ".join(map(str, values))
