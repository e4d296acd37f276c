"""Every cell of Table 7 against plain arithmetic on made-up runs; and its rows stand in no other table."""

import statistics
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from dfsc.errors import UserError
from dfsc.report.compare import ALL, SETTINGS, compare, paired_differences, runs_frame
from dfsc.report.cost import cost_frame
from dfsc.report.defects import build_defect_table, defect_numbers
from dfsc.report.operating_points import build_operating_table, operating_points
from dfsc.report.page.benchmark import Benchmark
from dfsc.report.page.tables import page_tables
from dfsc.report.paper import write_compared
from dfsc.report.protocols import NAME, build_protocol_table, with_pooled
from dfsc.report.tables import Context, Table, build_tables
from dfsc.report.terminal import print_tables
from dfsc.settings.grid import Cell, Grid
from support.protocol_grid import (
    CONFIG,
    GRID,
    IMAGES,
    LIMITS,
    OTHERS,
    OURS,
    TYPES,
    counted_auroc,
    scores_of,
    told_auroc,
    told_run,
    told_runs,
    told_scores,
    told_spro,
    values_in,
)
from support.read_tables import check_gain, check_value
from support.told_arithmetic import centred, common_variance, deviation, reach_of
from support.tracked_grid import CATEGORIES, SEEDS

BASELINE = "efficientad-tiny"
LABELS = {
    BASELINE: "EfficientAD-tiny",
    f"{BASELINE}-no_penalty": "EfficientAD-tiny, no penalty images",
    f"{BASELINE}-other_penalty": "EfficientAD-tiny, penalty images: imagenette",
    f"{BASELINE}-checkpoints_7": "EfficientAD-tiny, best of 7 checkpoints on the test images",
    f"{BASELINE}-calibration_images_8": "EfficientAD-tiny, map quantiles from 8 validation images",
    f"{BASELINE}-padding_minimum": "EfficientAD-tiny, padding: minimum",
    f"{BASELINE}-padding_replicate": "EfficientAD-tiny, padding: replicate",
    f"{BASELINE}-pooled_types": "EfficientAD-tiny, AUROC of both types pooled",
}
POOLED = f"{BASELINE}-pooled_types"
DEVIATING = [name for name in LABELS if name not in (BASELINE, POOLED)]
CONTEXT = Context(GRID, OURS, False)


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """The runs."""
    return runs_frame(told_runs(), GRID)


@pytest.fixture(scope="module")
def comparison(frame: pd.DataFrame) -> pd.DataFrame:
    """Of the whole grid."""
    return compare(frame, told_scores(), GRID)


@pytest.fixture(scope="module")
def table(comparison: pd.DataFrame, frame: pd.DataFrame) -> Table:
    """Table 7."""
    (found,) = build_protocol_table(comparison, frame, told_scores(), CONTEXT)
    return found


def values(method: str, category: str, metric: str, column: str) -> list[float]:
    """Of each seed, its mean over the category, or over all."""
    names = CATEGORIES if category == ALL else [category]
    own = BASELINE if method == POOLED else method
    column = "pooled" if method == POOLED and column == "mean" else column

    def one(cell: Cell) -> float:
        return told_auroc(cell, column) if metric == "image_auroc" else told_spro(cell, metric[8:], column)

    return [statistics.fmean(one(Cell(name, own, seed)) for name in names) for seed in SEEDS]


def gains(method: str, category: str, metric: str, column: str) -> list[float]:
    """Of each seed, the method minus the baseline."""
    own, baseline = (values(name, category, metric, column) for name in (method, BASELINE))
    return [one - other for one, other in zip(own, baseline, strict=True)]


def test_every_row_is_there_once(table: Table) -> None:
    blocks = [(row["category"], row[""]) for row in table.shown.to_dict("records")]
    assert blocks == list(product((*CATEGORIES, ALL), LABELS.values()))
    assert table.name == NAME and table.title.startswith("Table 7. ")


def test_every_cell(table: Table) -> None:
    numbers = table.numbers.set_index(["metric", "category", "method", "anomaly_type"])
    names = {label: name for name, label in LABELS.items()}
    for row in table.shown.to_dict("records"):
        method, category = names[row[""]], row["category"]
        for heading, column in (("logical", TYPES[0]), ("structural", TYPES[1]), ("mean", "mean")):
            if method == POOLED and heading != "mean":
                assert row[heading] == ""
            else:
                check_value(row[heading], values(method, category, "image_auroc", column))
        shown: list[tuple[str, str]] = [("difference of mean [95 %]", "image_auroc")]
        if method == POOLED:
            assert row["AU-sPRO"] == row["difference of AU-sPRO [95 %]"] == ""
        else:
            shown.append(("difference of AU-sPRO [95 %]", "au_spro_0.05"))
            check_value(row["AU-sPRO"], values(method, category, "au_spro_0.05", "mean"))
        for heading, metric in shown:
            if method == BASELINE:
                assert row[heading] == ""
            else:
                told = dict(numbers.loc[metric, category, method, "mean"])
                check_gain(row[heading], gains(method, category, metric, "mean"), told)
    assert "untyped" not in table.shown


def test_every_number_of_the_csv(table: Table) -> None:
    metrics = ["image_auroc", *(f"au_spro_{limit}" for limit in LIMITS)]
    wanted = {
        *product(metrics, (*CATEGORIES, ALL), (BASELINE, *DEVIATING), (*TYPES, "mean")),
        *product(["image_auroc"], (*CATEGORIES, ALL), [POOLED], ["mean"]),
    }
    rows = {tuple(row[key] for key in ("metric", "category", "method", "anomaly_type")): row
            for row in table.numbers.to_dict("records")}  # fmt: skip
    assert rows.keys() == wanted and len(table.numbers) == len(wanted)
    for (metric, category, method, column), row in rows.items():
        assert row["baseline"] == BASELINE and row["seeds"] == 3 and row["pretraining_images"] == OURS
        assert row["value"] == pytest.approx(statistics.fmean(values(method, category, metric, column)))
        if method == BASELINE:
            assert row["pairs"] == 0 and np.isnan(row["difference"])
        else:
            gained = gains(method, category, metric, column)
            assert row["difference"] == pytest.approx(statistics.fmean(gained), abs=1e-12) and row["pairs"] == 3
            assert row["difference_std"] == pytest.approx(deviation(gained), abs=1e-12)


def pooling_covariance(category: str) -> NDArray[np.float64]:
    """Covariance of pooled minus mean AUROC between seeds when images of each folder are drawn again: exact.

    As `support.told_arithmetic.image_covariance`, of one run's wins: a pair of images counts 1 / (all pairs) when types
    are pooled, and 1 / (2 x the pairs of its type) in the mean of both.
    """
    names = CATEGORIES if category == ALL else [category]
    covariance = np.zeros((3, 3))
    for name in names:
        by_good = np.zeros((3, 1))
        anomalous = sum(IMAGES[kind] for kind in TYPES)
        for kind in TYPES:
            scores = [scores_of(Cell(name, BASELINE, seed)) for seed in SEEDS]
            won = np.array([np.greater.outer(values_in(one, kind), values_in(one, "good")) for one in scores], float)
            weighted = won * (1 / anomalous - 1 / (2 * IMAGES[kind])) / IMAGES["good"]
            by_good = by_good + weighted.sum(axis=1)
            by_anomalous = centred(weighted.sum(axis=2), 1)
            both = centred(centred(weighted, 1), 2)
            covariance += by_anomalous @ by_anomalous.T + np.einsum("smn,tmn->st", both, both)
        covariance += centred(by_good, 1) @ centred(by_good, 1).T
    return covariance / len(names) ** 2


@pytest.mark.parametrize("category", [*CATEGORIES, ALL])
def test_the_interval_of_pooled_types(table: Table, category: str) -> None:
    rows = table.numbers.set_index(["method", "category"])
    row = rows.loc[POOLED, category]
    gained = gains(POOLED, category, "image_auroc", "mean")
    low, high = (reach_of(variance, deviation(gained), 3) for variance in common_variance(pooling_covariance(category)))
    assert low * 0.999 <= row["difference"] - row["low"] <= high * 1.001
    assert row["high"] - row["difference"] == pytest.approx(row["difference"] - row["low"])
    assert high < 1.5 * low, "the bounds tell something"


def test_pooling_is_another_number() -> None:
    """By a count of pairs: of six images, one type with one image, the other with three."""
    good, logical, structural = [1.0, 3.0], [2.0], [4.0, 5.0, 0.0]
    assert counted_auroc(good, logical + structural) == 5 / 8
    assert (counted_auroc(good, logical) + counted_auroc(good, structural)) / 2 == pytest.approx((1 / 2 + 4 / 6) / 2)


def test_the_caption_says_what_the_rows_are(table: Table) -> None:
    assert f"Pretraining and penalty images: {OURS}." in table.caption
    assert f"Other penalty images: {OTHERS}." in table.caption
    assert "no other is a result of it" in table.caption


def test_no_other_table_shows_them(comparison: pd.DataFrame, frame: pd.DataFrame) -> None:
    others = [
        *build_tables(comparison, CONTEXT),
        build_operating_table(operating_points(frame, told_scores(), GRID), CONTEXT),
        build_defect_table(defect_numbers(frame, GRID), CONTEXT),
    ]
    assert len(others) == 6
    for table in others:
        text = table.title + table.caption + table.shown.to_csv()
        assert not [label for name, label in LABELS.items() if name != BASELINE and label in text], table.name
    for table in others[:4]:
        assert not {*DEVIATING} & {*table.numbers["method"]}
    assert not {*DEVIATING} & {*GRID.headlines}


def test_without_protocols_there_is_no_table() -> None:
    grid = Grid.from_config({key: value for key, value in CONFIG.items() if key != "protocols"})
    assert grid.names == ["efficientad-tiny", "dfsc-tiny-q0.9"]
    runs = [run for run in told_runs() if run["tags"]["method"] in grid.names]
    frame = runs_frame(runs, grid)
    context = Context(grid, OURS, False)
    assert build_protocol_table(compare(frame, told_scores(), grid), frame, told_scores(), context) == []


def test_deviations_stand_with_the_baseline_of_their_own_size() -> None:
    grid = Grid.from_config({**CONFIG, "training": {**CONFIG["training"], "sizes": ["S", "tiny"]}})
    names = [name.removeprefix(BASELINE) for name in LABELS]
    assert with_pooled(grid).names == [f"efficientad-{size}{name}" for size in ("S", "tiny") for name in names]


def test_runs_that_deviate_must_agree_in_the_rest() -> None:
    """Their own penalty images and settings are allowed; another teacher, code or step count is not."""
    runs = told_runs()
    assert runs_frame(runs, GRID)[SETTINGS].nunique() == 1
    cell = Cell("picture_wall", f"{BASELINE}-other_penalty", 1)
    place = [run["run_id"] for run in runs].index(cell.path)
    for changed in ({"teacher_digest": "x"}, {"code_digest": "x"}, {"penalty_digest": "x"}, {"data_digest": "x"}):
        with pytest.raises(UserError, match=f"differ in {next(iter(changed))}"):
            runs_frame([*runs[:place], told_run(cell, **changed), *runs[place + 1 :]], GRID)
    same = Cell("picture_wall", f"{BASELINE}-no_penalty", 1)
    place = [run["run_id"] for run in runs].index(same.path)
    with pytest.raises(UserError, match="differ in penalty_digest"):
        runs_frame([*runs[:place], told_run(same, penalty_digest="others"), *runs[place + 1 :]], GRID)
    others = [
        told_run(cell, penalty_digest="others") if cell.method == same.method else told_run(cell)
        for cell in GRID.cells()
    ]
    with pytest.raises(UserError, match="differ in penalty_digest"):
        runs_frame(others, GRID)
    steps = told_run(same) | {"parameters": {"steps": "4", "protocol.penalty": "False"}}
    with pytest.raises(UserError, match="differ in setting steps"):
        runs_frame([*runs[:place], steps, *runs[place + 1 :]], GRID)


def test_each_is_paired_with_the_baseline_of_its_seed(frame: pd.DataFrame) -> None:
    found = paired_differences(frame, GRID)
    for name, seed in product(DEVIATING, SEEDS):
        baseline, gained = found[f"coin_tray/{name}/seed{seed}"]
        assert baseline == f"coin_tray/{BASELINE}/seed{seed}"
        expected = told_auroc(Cell("coin_tray", name, seed), "mean") - told_auroc(
            Cell("coin_tray", BASELINE, seed), "mean"
        )
        assert gained["image_auroc.mean"] == pytest.approx(expected, abs=1e-12)


def test_what_is_judged_again_costs_no_training(frame: pd.DataFrame) -> None:
    runs: list[dict[str, Any]] = told_runs()
    costs = cost_frame(runs).set_index("method")["seconds"]
    assert costs[f"{BASELINE}-padding_minimum"].isna().all() and (costs[f"{BASELINE}-no_penalty"] == 2).all()


def test_the_page_shows_them_by_themselves(tmp_path: Path, frame: pd.DataFrame, comparison: pd.DataFrame) -> None:
    write_compared(frame, told_scores(), GRID, tmp_path / "tables")
    *others, last = page_tables(Benchmark(tmp_path, tmp_path, frame, comparison, CONTEXT))
    assert len(others) == 6 and last.name == NAME
    assert not [line for table in others for line in table.lines if line.method in DEVIATING]
    assert [(line.category, line.cells[1].text) for line in last.lines] == [
        *product((*CATEGORIES, ALL), LABELS.values())
    ]
    assert last.columns == ["category", "method", "logical", "structural", "mean", "AU-sPRO"]
    names = {label: name for name, label in LABELS.items()}
    places = [*product(["image_auroc"], (*TYPES, "mean")), ("au_spro_0.05", "mean")]
    for line in last.lines:
        method = names[line.cells[1].text]
        for cell, (metric, column) in zip(line.cells[2:], places, strict=True):
            if method == POOLED and (metric, column) != ("image_auroc", "mean"):
                assert cell.whole == ""
                continue
            told = values(method, line.category, metric, column)
            check_value(cell.text, told)
            assert cell.sort == pytest.approx(statistics.fmean(told))
            assert (cell.more == "") == (method == BASELINE) and (cell.link == "") == (method == POOLED)


def test_the_terminal_shows_them_by_themselves(
    tmp_path: Path, frame: pd.DataFrame, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    write_compared(frame, told_scores(), GRID, tmp_path)
    assert (tmp_path / f"{NAME}.tex").exists() and NAME in (tmp_path / "tables.tex").read_text()
    print_tables(tmp_path)
    printed = " ".join(capsys.readouterr().out.split())
    first, second, third, _ = printed.split("Difference: the method minus its baseline")
    assert "no penalty images" not in first + second
    assert all(label in third for label in LABELS.values()), third
