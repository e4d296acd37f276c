"""Methods from outside in the comparison: by seed where they have seeds, else against each of the baseline's runs."""

import numpy as np
import pandas as pd
import pytest

from dfsc.errors import UserError
from dfsc.report.compare import ALL, compare, paired_differences, runs_frame
from dfsc.report.paper import provenance
from dfsc.report.table_files import starts_block
from dfsc.report.tables import Context, build_tables, source_of
from dfsc.settings.grid import NO_SEED, Cell, Grid
from support.checkout import CHECKOUT
from support.outside_grid import CONFIG, GRID, OURS, scores, told_run, told_runs
from support.tracked_grid import CATEGORIES, SEEDS

REFERENCE = CHECKOUT / "config/reference_results.csv"


@pytest.fixture(scope="module")
def comparison() -> pd.DataFrame:
    """The comparison of the whole grid."""
    found = compare(runs_frame(told_runs(GRID), GRID), scores(GRID), GRID)
    return found.set_index(["method", "metric", "category", "anomaly_type"]).sort_index()


def test_the_grid_has_one_cell_where_there_is_no_seed() -> None:
    assert GRID.names == [*OURS, "seeded", "unseeded", "random", "oracle"]
    assert GRID.headlines == ["dfsc-tiny-q0.9", "seeded", "unseeded", "random", "oracle"]
    seeds = {name: [cell.seed for cell in GRID.cells() if cell.method == name] for name in GRID.names}
    assert seeds["seeded"] == seeds["random"] == seeds["efficientad-tiny"] == [*SEEDS, *SEEDS]
    assert seeds["unseeded"] == seeds["oracle"] == [NO_SEED, NO_SEED]
    assert all(method.pairs_with == "efficientad-tiny" for method in GRID.methods)
    assert Grid.from_text(GRID.as_text()) == GRID


def test_one_without_seeds_is_compared_with_each_of_the_baselines_runs(comparison: pd.DataFrame) -> None:
    for metric in ("image_auroc", "au_spro_0.05"):
        for category in (*CATEGORIES, ALL):
            row = comparison.loc["unseeded", metric, category, "mean"]
            baseline = comparison.loc["efficientad-tiny", metric, category, "mean"]
            assert (row["seeds"], row["pairs"]) == (1, 3) and np.isnan(row["value_std"])
            assert row["difference"] == pytest.approx(row["value"] - baseline["value"])
            assert row["difference_std"] == pytest.approx(baseline["value_std"])
            # As it would be of a method whose seeds change nothing.
            same = comparison.loc["seeded", metric, category, "mean"]
            for name in ("value", "difference", "difference_std", "low", "high", "probability"):
                assert row[name] == pytest.approx(same[name]), name
            assert same["value_std"] == pytest.approx(0) and same["seeds"] == 3


def test_mlflow_is_told_the_difference_from_the_baselines_mean() -> None:
    frame = runs_frame(told_runs(GRID), GRID)
    found = paired_differences(frame, GRID)
    names, differences = found["coin_tray/unseeded/seednone"]
    assert names == ",".join(f"coin_tray/efficientad-tiny/seed{seed}" for seed in SEEDS)
    values = frame.set_index("run_id")["image_auroc.mean"]
    expected = values["coin_tray/unseeded/seednone"] - np.mean([values[name] for name in names.split(",")])
    assert differences["image_auroc.mean"] == pytest.approx(expected)
    assert found["coin_tray/seeded/seed1"][0] == "coin_tray/efficientad-tiny/seed1"


def test_tables_show_each_baseline_once_and_say_who_is_from_outside(comparison: pd.DataFrame) -> None:
    tables = build_tables(comparison.reset_index(), Context(GRID, "generated (3 images)", False))
    shown = {table.name: table for table in tables}
    first = shown["table1_image_auroc"]
    lines = list(first.shown[first.shown["category"] == "coin_tray"][""])
    labels = ["EfficientAD-tiny", "DFSC-tiny τ'=0.9", "With seeds", "Without", "random (control)", "oracle (control)"]
    assert [line for line in lines if line in labels] == labels
    assert lines.count("difference [95 %]") == 5
    assert "From outside, so that their pretraining is not known here: With seeds, Without, random" in first.caption
    assert "one run is compared with each of the baseline's: Without, oracle (control)." in first.caption
    assert "EfficientAD-tiny beat" not in first.title and "Without" not in first.title
    for name in ("table3_quantiles", "table4_readings"):
        assert not {*labels[2:]} & {*shown[name].shown[""]} and "From outside" not in shown[name].caption


def test_a_source_is_ours_only_of_what_is_trained_here(comparison: pd.DataFrame) -> None:
    grid = Grid.from_config(CONFIG | {"methods": {**CONFIG["methods"], "maps": {"label": "Maps", "maps": "maps"}}})
    sources = {method.name: source_of(method) for method in grid.methods}
    assert sources == dict.fromkeys(OURS, "ours") | {"seeded": "command", "unseeded": "command"} | {
        "maps": "maps made elsewhere", "random": "control", "oracle": "control"
    }  # fmt: skip
    context = Context(GRID, "generated (3 images)", False, REFERENCE)
    first = build_tables(comparison.reset_index(), context)[0].shown
    named = first[first[""].isin([method.label for method in GRID.methods])]
    ours = named[~named["source"].str.contains(":")]
    wanted = [sources[method.name] for method in GRID.methods]
    assert list(ours["source"]) == wanted * (len(CATEGORIES) + 1)
    # A line sets off each category from the next, and the results of others, but no source within a category.
    rows, blocks = len(ours) + 2 * 5 * (len(CATEGORIES) + 1), starts_block(first)
    rows_of_one = rows // (len(CATEGORIES) + 1)
    assert [number for number, begins in enumerate(blocks) if begins] == [rows_of_one, 2 * rows_of_one, rows]
    assert len(first) > rows


def test_runs_from_outside_agree_in_data_with_ours_and_in_the_rest_with_each_other() -> None:
    runs = told_runs(GRID)
    place = [run["run_id"] for run in runs].index("picture_wall/seeded/seed1")
    cell = Cell("picture_wall", "seeded", 1)
    for tag, told in (("code_digest", "differ in code_digest"), ("data_digest", "differ in data_digest")):
        changed = [*runs[:place], told_run(cell, **{tag: "another"}), *runs[place + 1 :]]
        with pytest.raises(UserError, match=f"picture_wall/.*{told}"):
            runs_frame(changed, GRID)


def test_provenance_asks_no_versions_of_what_is_from_outside() -> None:
    runs = told_runs(GRID)
    for run in runs:
        if run["tags"]["method"] in OURS:
            run["tags"] |= {"version.torch": "2.11.0"}
    rows = provenance(runs, runs_frame(runs, GRID)).values.tolist()
    assert ["version of torch", "2.11.0"] in rows and ["teacher digest", "t"] in rows
    assert ["code digest", "code of oracle"] in rows and not any(value == "" for _, value in rows[:-1])


def test_settings_are_alike_in_whatever_order_a_server_gives_them() -> None:
    first, *others = [run | {"parameters": {"steps": "3", "batch_size": "1"}} for run in told_runs(GRID)]
    turned = first | {"parameters": {"batch_size": "1", "steps": "3"}}
    assert len(runs_frame([turned, *others], GRID)) == len(others) + 1
