"""Tables of several labs in one: their runs joined and compared anew, refused where one lab's would be."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from dfsc.errors import UserError
from dfsc.report.compare import SETTINGS, cells_of, check_runs, scores_by_cell
from dfsc.report.paper import read_image_scores, read_paper_tables, write_compared
from dfsc.settings.grid import Grid


def merge_tables(folders: Sequence[Path], output: Path, partial: bool = False, reference: Path | None = None) -> None:
    """Join the runs of folders that `dfsc tables` wrote, compare them anew, and write tables into `output`.

    `partial`: with cells missing from the grid of all categories, methods and seeds. `reference`: as for `dfsc tables`.
    Raises UserError naming a cell that two folders have, runs that were not made alike, data that differ, a method or
    declared comparison that means something else in another folder, and as `read_paper_tables` and `compare` do.
    """
    read = [(folder, *read_paper_tables(folder)) for folder in folders]
    grid = _joined([(folder, context.grid) for folder, _, _, context in read])
    frames = [runs.drop(columns="status", errors="ignore") for _, runs, _, _ in read]
    for folder, runs in zip(folders, frames, strict=True):
        if SETTINGS not in runs:
            raise UserError(f"{folder / 'runs.csv'}: has no column {SETTINGS}; make these tables again with this dfsc")
    frame = pd.concat(frames, ignore_index=True)
    scores: dict[str, dict[str, float]] = {}
    for folder, of_lab in zip(folders, frames, strict=True):
        scores |= _scores_of(folder, of_lab)
    check_runs(frame, grid, partial, [SETTINGS])
    write_compared(frame, scores, grid, output, reference)


def _scores_of(folder: Path, runs: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Run id -> path -> image score, of the runs in a folder of tables."""
    run_ids = dict(zip(cells_of(runs), runs["run_id"], strict=True))
    found = {run_ids[cell]: of_cell for cell, of_cell in scores_by_cell(read_image_scores(folder)).items()}
    return {run_id: found.get(run_id, {}) for run_id in run_ids.values()}


def _joined(grids: Sequence[tuple[Path, Grid]]) -> Grid:
    """The grid of all categories, methods and seeds."""
    (first_folder, first), *others = grids
    methods = {method.name: (first_folder, method) for method in first.methods}
    for folder, grid in others:
        for method in grid.methods:
            other, known = methods.setdefault(method.name, (folder, method))
            if known != method:
                raise UserError(
                    f"{folder}: its {method.name} has other settings than that of {other}; rename one of them"
                )
    found = [grid for _, grid in grids]
    return replace(
        first,
        benchmark="+".join(dict.fromkeys(grid.benchmark for grid in found)),
        categories=list(dict.fromkeys(name for grid in found for name in grid.categories)),
        methods=[method for _, method in methods.values()],
        seeds=sorted({seed for grid in found for seed in grid.seeds}),
        headlines=list(dict.fromkeys(name for grid in found for name in grid.headlines)),
    )
