"""Titles and captions word by word; and partial tables, of which the first category, or all but one run, is missing."""

from typing import Any

import pandas as pd
import pytest

from dfsc.report.compare import compare, runs_frame
from dfsc.report.tables import (
    CONSTRAINT_INACTIVE,
    NOT_MEASURED,
    Context,
    Table,
    build_tables,
    inactive_in,
    not_measured,
)
from dfsc.settings.grid import Grid
from support.checkout import CHECKOUT
from support.outside_grid import CONFIG, GRID, OURS, scores, told_run, told_runs, told_scores
from support.tracked_grid import CATEGORIES

IMAGES = "generated (3 images)"
REFERENCE = CHECKOUT / "config/reference_results.csv"
NUMBERS = (
    "{metric} in per cent, mean ± standard deviation over 3 seeds. Difference: the method minus its baseline in points,"
    " paired by category and seed, with its 95 % interval ({source}). "
    "Pretraining and penalty images: generated (3 images)."
)
AUROC = NUMBERS.format(metric="Image AUROC", source="test images resampled, seeds by Student's t")
SPRO = NUMBERS.format(metric="AU-sPRO up to FPR 0.05", source="Student's t over seeds")
ALL_DECLARED = (
    " Declared in the configuration: DFSC-tiny τ'=0.9, With seeds, Without, random (control), oracle (control)."
    " From outside, so that their pretraining is not known here: With seeds, Without, random (control),"
    " oracle (control)."
    " Without seeds, so that one run is compared with each of the baseline's: Without, oracle (control)."
)
OTHERS = " Others' numbers are of MVTec LOCO AD, other data than ours."
DECLARED = " Declared in the configuration: DFSC-tiny τ'=0.9."
NONE = " No other reading was run: config/ablations.yaml has them ready."


@pytest.fixture(scope="module")
def comparison() -> pd.DataFrame:
    """Of the whole grid."""
    return compare(runs_frame(told_runs(GRID), GRID), scores(GRID), GRID)


def captions(tables: list[Table]) -> list[str]:
    """Of Tables 1 to 4."""
    return [table.caption for table in tables]


def with_settings(**settings: Any) -> Grid:
    """The grid with other settings."""
    return Grid.from_config(CONFIG | {name: CONFIG[name] | values for name, values in settings.items()})


def test_titles(comparison: pd.DataFrame) -> None:
    assert [table.title for table in build_tables(comparison, Context(GRID, IMAGES, False))] == [
        "Table 1. Does DFSC-tiny τ'=0.9 beat EfficientAD-tiny at telling anomalous images from good ones?",
        "Table 2. Does DFSC-tiny τ'=0.9 beat EfficientAD-tiny at localising anomalies?",
        "Table 3. How much does the quantile τ' matter?",
        "Table 4. How much do the margin and the readings left open matter?",
    ]


def test_captions(comparison: pd.DataFrame) -> None:
    expected = [AUROC + ALL_DECLARED, SPRO + ALL_DECLARED, AUROC + DECLARED, AUROC + DECLARED + NONE]
    assert captions(build_tables(comparison, Context(GRID, IMAGES, False))) == expected


def test_others_numbers_are_of_other_data_unless_ours_are_of_loco(comparison: pd.DataFrame) -> None:
    for grid, more in ((GRID, OTHERS), (with_settings(dataset={"source": "mvtec_loco"}), "")):
        tables = build_tables(comparison, Context(grid, IMAGES, False, reference=REFERENCE))
        assert captions(tables)[:2] == [AUROC + ALL_DECLARED + more, SPRO + ALL_DECLARED + more]


def test_a_reading_that_was_run_needs_no_advice(comparison: pd.DataFrame) -> None:
    grid = with_settings(dfsc={"ablations": [{"novel_weight": 0.5}]})
    assert captions(build_tables(comparison, Context(grid, IMAGES, False)))[3] == AUROC + DECLARED


@pytest.mark.parametrize(("method", "label"), [(OURS[0], "EfficientAD-tiny"), (OURS[1], "DFSC-tiny τ'=0.9")])
def test_one_run_of_a_later_category_is_shown_alone(method: str, label: str) -> None:
    cell = next(cell for cell in GRID.cells() if cell.category == CATEGORIES[1] and cell.method == method)
    found = compare(runs_frame([told_run(cell)], GRID, partial=True), {cell.path: told_scores(cell)}, GRID)
    tables = build_tables(found, Context(GRID, IMAGES, True))
    assert captions(tables)[2] == f"{AUROC} PARTIAL: runs of the grid are missing.{DECLARED}"
    for table in tables:
        assert set(table.shown["category"]) == {CATEGORIES[1]} and set(table.shown["status"]) == {"PARTIAL"}
        (shown,) = table.shown[~table.shown["mean"].isin(["", NOT_MEASURED])].to_dict("records")
        assert shown[""] == label and "±" not in shown["mean"]


@pytest.mark.parametrize(
    ("metric", "types", "lacking"),
    [
        ("image_auroc", None, "anomalous images"),
        ("image_auroc", "logical_anomalies", "logical anomalies"),
        ("au_spro_0.05", None, "masks"),
        ("au_spro_0.05", "logical_anomalies", "masks of logical anomalies"),
    ],
)
def test_what_is_not_measured_is_said_and_what_that_does(
    comparison: pd.DataFrame, metric: str, types: str | None, lacking: str
) -> None:
    context = Context(GRID, IMAGES, False)
    assert not_measured(comparison, metric, context) == ""
    gone = (comparison["category"] == CATEGORIES[1]) & (comparison["anomaly_type"].eq(types) | (types is None))
    assert not_measured(comparison[~gone], metric, context) == (
        f" picture_wall has no {lacking}: this is not measured. A category's mean is over the types that are; a mean "
        "of categories is given only of what is measured on all of them."
    )


def test_a_constraint_is_inactive_below_the_bound_and_not_at_it() -> None:
    shares = pd.DataFrame({"category": ["a", "b", "c"], "method": "m", "inside_margin": [0.01, 0.0099, float("nan")]})
    assert inactive_in(shares) == {("b", "m")}


def test_an_inactive_constraint_is_marked_in_its_category_alone(comparison: pd.DataFrame) -> None:
    context = Context(GRID, IMAGES, False, inactive=frozenset({(CATEGORIES[1], OURS[1])}))
    shown = build_tables(comparison, context)[0].shown
    marked = shown[[CONSTRAINT_INACTIVE in str(label) for label in shown[""]]]
    assert [*zip(marked["category"], marked[""], strict=True)] == [
        (CATEGORIES[1], f"DFSC-tiny τ'=0.9 ({CONSTRAINT_INACTIVE})")
    ]
