"""Tables of two labs in one: as if one lab had run everything, and refused where one lab's would be."""

from dataclasses import replace
from pathlib import Path

import pytest

from dfsc.report.compare import runs_frame
from dfsc.report.paper import read_paper_tables, write_compared
from dfsc.settings.grid import Grid
from support.checkout import CHECKOUT
from support.command_line import Outcome, dfsc
from support.outside_grid import GRID, scores, told_run
from support.tracked_grid import CATEGORIES, SEEDS

SMALL = replace(GRID, methods=GRID.methods[:4], headlines=GRID.headlines[:3])
FIRST, SECOND = (replace(SMALL, benchmark=name, categories=[name]) for name in CATEGORIES)


def tables(folder: Path, grid: Grid, **changed: str) -> Path:
    """What a lab has: results/<benchmark> with its tables; `changed`: what its runs have otherwise."""
    runs = [told_run(cell, **changed) for cell in grid.cells()]
    write_compared(runs_frame(runs, grid), scores(grid), grid, folder / "tables")
    return folder


def merged(output: Path, *folders: Path) -> Outcome:
    """Merge them."""
    return dfsc("merge", *folders, "--output", output)


def test_two_halves_are_the_whole(tmp_path: Path) -> None:
    outcome = merged(tmp_path / "all", tables(tmp_path / "a", FIRST), tables(tmp_path / "b", SECOND))
    assert outcome.code == 0, outcome.errors
    whole = tables(tmp_path / "whole", replace(SMALL, benchmark="+".join(CATEGORIES)))
    for file in sorted((whole / "tables").iterdir()):
        assert (tmp_path / "all/tables" / file.name).read_bytes() == file.read_bytes(), file.name
    assert dfsc("show", tmp_path / "all").code == 0


def test_a_lab_s_own_tables_are_not_written_over(tmp_path: Path) -> None:
    folders = tables(tmp_path / "a", FIRST), tables(tmp_path / "b", SECOND)
    before = {file: file.read_bytes() for file in (folders[0] / "tables").iterdir()}
    outcome = merged(tmp_path / "b/../a", *folders)
    assert outcome.code == 2 and "--output is one of the folders to be joined" in outcome.errors
    assert {file: file.read_bytes() for file in (folders[0] / "tables").iterdir()} == before


def test_what_two_labs_have_of_one_grid_is_the_whole_without_a_mark(tmp_path: Path) -> None:
    for category in CATEGORIES:
        runs = [told_run(cell) for cell in SMALL.cells() if cell.category == category]
        write_compared(runs_frame(runs, SMALL, partial=True), scores(SMALL), SMALL, tmp_path / category / "tables")
        assert read_paper_tables(tmp_path / category / "tables")[2].partial
    outcome = merged(tmp_path / "all", *(tmp_path / category for category in CATEGORIES))
    assert outcome.code == 0, outcome.errors
    whole = tables(tmp_path / "whole", SMALL)
    for file in sorted((whole / "tables").iterdir()):
        assert (tmp_path / "all/tables" / file.name).read_bytes() == file.read_bytes(), file.name


def test_results_of_others_stand_beside_the_whole(tmp_path: Path) -> None:
    folders = tables(tmp_path / "a", FIRST), tables(tmp_path / "b", SECOND)
    others = CHECKOUT / "config/reference_results.csv"
    for output, more in (("with", ("--reference", others)), ("without", ())):
        assert dfsc("merge", *folders, "--output", tmp_path / output, *more).code == 0
        shown = (tmp_path / output / "tables/table1_image_auroc.md").read_text()
        assert ("GCAD" in shown) == (output == "with")


def test_seeds_of_two_labs_are_joined(tmp_path: Path) -> None:
    labs = [replace(FIRST, seeds=SEEDS[:1]), replace(FIRST, seeds=SEEDS[1:])]
    labs = [replace(lab, methods=lab.methods[:3], headlines=lab.headlines[:2]) for lab in labs]
    outcome = merged(tmp_path / "all", *(tables(tmp_path / str(len(lab.seeds)), lab) for lab in labs))
    assert outcome.code == 0, outcome.errors
    runs, _, context = read_paper_tables(tmp_path / "all/tables")
    assert sorted(runs["seed"].unique()) == SEEDS == context.grid.seeds and len(runs) == 9


def test_a_cell_that_both_have_is_refused(tmp_path: Path) -> None:
    outcome = merged(tmp_path / "all", tables(tmp_path / "a", FIRST), tables(tmp_path / "b", SMALL))
    assert outcome.code == 2 and "two runs of coin_tray/dfsc-tiny-q0.9/seed0; one is wanted" in outcome.errors
    assert not (tmp_path / "all").exists()


def test_cells_that_none_has_are_refused_unless_asked_for(tmp_path: Path) -> None:
    other = replace(SECOND, seeds=[*SEEDS, 9])
    folders = tables(tmp_path / "a", FIRST), tables(tmp_path / "b", other)
    outcome = merged(tmp_path / "all", *folders)
    assert outcome.code == 2 and "3 of 26 runs are missing: coin_tray/efficientad-tiny/seed9" in outcome.errors
    assert dfsc("merge", *folders, "--output", tmp_path / "all", "--partial").code == 0
    assert "PARTIAL" in (tmp_path / "all/tables/table1_image_auroc.md").read_text()


@pytest.mark.parametrize("tag", ["teacher_digest", "code_digest", "penalty_digest", "pretraining_images"])
def test_runs_that_were_not_made_alike_are_refused(tmp_path: Path, tag: str) -> None:
    outcome = merged(tmp_path / "all", tables(tmp_path / "a", FIRST), tables(tmp_path / "b", SECOND, **{tag: "other"}))
    assert outcome.code == 2 and f"differ in {tag}" in outcome.errors


def test_data_that_differ_are_refused(tmp_path: Path) -> None:
    later = replace(FIRST, seeds=[7], methods=FIRST.methods[:3], headlines=FIRST.headlines[:2])
    outcome = merged(
        tmp_path / "all", tables(tmp_path / "a", FIRST), tables(tmp_path / "b", later, data_digest="other")
    )
    assert outcome.code == 2 and "differ in data_digest" in outcome.errors


def test_settings_that_differ_are_refused(tmp_path: Path) -> None:
    first = tables(tmp_path / "a", FIRST)
    runs = [told_run(cell) | {"parameters": {"steps": "9"}} for cell in SECOND.cells()]
    write_compared(runs_frame(runs, SECOND), scores(SECOND), SECOND, tmp_path / "b/tables")
    outcome = merged(tmp_path / "all", first, tmp_path / "b")
    assert outcome.code == 2 and "differ in settings_digest" in outcome.errors


def test_one_name_for_two_methods_is_refused(tmp_path: Path) -> None:
    changed = [replace(method, label="Another") if method.name == "seeded" else method for method in SECOND.methods]
    other = tables(tmp_path / "b", replace(SECOND, methods=changed))
    outcome = merged(tmp_path / "all", tables(tmp_path / "a", FIRST), other)
    assert outcome.code == 2 and "its seeded has other settings than that of" in outcome.errors


def test_a_folder_without_tables_is_named(tmp_path: Path) -> None:
    outcome = merged(tmp_path / "all", tmp_path / "none")
    assert outcome.code == 2 and f"{tmp_path}/none/tables/comparison.csv: no tables yet" in outcome.errors
