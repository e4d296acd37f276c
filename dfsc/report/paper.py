"""From receipts and MLflow to the folder of tables, and back from there."""

from pathlib import Path
from typing import Any

import pandas as pd

from dfsc.errors import UserError
from dfsc.files import write_text
from dfsc.report.compare import (
    COMPARED,
    KEYS,
    SAME,
    TEXT_COLUMNS,
    Scores,
    compare,
    other_penalty,
    receipts_below,
    runs_frame,
)
from dfsc.report.cost import read_speeds, write_cost_table
from dfsc.report.defects import build_defect_table, defect_numbers
from dfsc.report.frames import read_table
from dfsc.report.operating_points import build_operating_table, operating_points
from dfsc.report.protocols import build_protocol_table
from dfsc.report.table_files import page, write_tables
from dfsc.report.tables import Context, build_tables, inactive_in
from dfsc.report.tracking import read_runs, read_scores
from dfsc.settings.grid import REJUDGED, Grid


def write_paper_tables(
    uri: str, results: Path, grid: Grid, folder: Path, partial: bool = False, reference: Path | None = None
) -> None:
    """Write the tables of the grid's runs, by their receipts below `results` (results/<benchmark>), into `folder`.

    `partial`: of the receipts that there are. `reference`: results of others, for the main tables, in the form of
    config/reference_results.csv.

    runs.csv has every metric of every run, scores.csv every test image's score, comparison.csv the differences with
    their intervals; table1_... to table7_... are what is shown, tables.tex a document of them all, provenance.csv and
    .html what the runs were made from. MLflow is read, and not changed.
    Raises UserError, writing nothing, as `read_runs`, `runs_frame` and `check_scores` do.
    """
    runs = read_runs(uri, receipts_below(results, grid))
    frame = runs_frame(runs, grid, partial)
    made_from = provenance(runs, frame)
    write_compared(frame, read_scores(uri, runs), grid, folder, reference)
    write_text(folder / "provenance.csv", made_from.to_csv(index=False))
    write_text(folder / "provenance.html", page(f"What the {len(frame)} runs were made from", made_from))
    trained = [run for run in runs if grid.method(run["tags"]["method"]).origin != REJUDGED]
    cost = write_cost_table(trained, folder, read_speeds(results, runs)).fillna("")
    write_text(
        folder / "cost.html", page("What the trainings cost, summed over seeds, and how fast models judge", cost)
    )


def write_compared(
    frame: pd.DataFrame, scores: Scores, grid: Grid, folder: Path, reference: Path | None = None
) -> None:
    """Compare runs, and write the grid, runs, comparison, image scores and tables. Raises UserError as `compare`."""
    comparison = compare(frame, scores, grid)
    complete = len(frame) == len(list(grid.cells()))
    context = Context(grid, _images_of(frame, grid), not complete, reference, inactive_in(comparison))
    tables = [
        *build_tables(comparison, context),
        build_operating_table(operating_points(frame, scores, grid), context),
        build_defect_table(defect_numbers(frame, grid), context),
        *build_protocol_table(comparison, frame, scores, context),
    ]

    write_text(folder / "grid.json", grid.as_text())
    write_text(folder / "runs.csv", frame.assign(**context.mark).to_csv(index=False))
    write_text(folder / "comparison.csv", comparison.assign(**context.mark).to_csv(index=False))
    long = [(*run[:3], path, score) for run in frame[[*KEYS, "run_id"]].itertuples(index=False, name=None)
            for path, score in scores[run[3]].items()]  # fmt: skip
    write_text(folder / "scores.csv", pd.DataFrame(long, columns=[*KEYS, "path", "image_score"]).to_csv(index=False))
    write_tables(tables, folder)


def provenance(runs: list[dict[str, Any]], frame: pd.DataFrame) -> pd.DataFrame:
    """Rows of (what, value): each value that the runs have of what they were made from."""
    rows = [("runs", str(len(frame)))]
    for name in ("commit", "hardware", "teacher", *(tag for tag in SAME if tag != "data_digest")):
        of_runs = {run["tags"].get(name, "") for run in runs if name in run["tags"] or not _is_outside(run)}
        rows += [(name.replace("_", " "), value) for value in sorted(of_runs)]
    for category, group in frame.groupby("category"):
        rows.append((f"data digest of {category}", ", ".join(group["data_digest"].unique())))
    versions = dict.fromkeys(tag for run in runs for tag in run["tags"] if tag.startswith("version."))
    for tag in versions:
        values = sorted({run["tags"].get(tag, "unknown") for run in runs if not _is_outside(run)})
        rows.append((f"version of {tag.removeprefix('version.')}", ", ".join(values)))
    return pd.DataFrame(rows, columns=["what", "value"])


def _is_outside(run: dict[str, Any]) -> bool:
    """Whether a run is of a method from outside, which has its own packages and no teacher."""
    return not run["tags"].get("size")


def read_image_scores(folder: Path) -> pd.DataFrame:
    """Every image score, as `write_paper_tables` wrote them. Raises UserError naming the file."""
    columns = [*KEYS, "path", "image_score"]
    return read_table(folder / "scores.csv", "the image scores", columns, ["seed", "image_score"])


def read_paper_tables(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, Context]:
    """Runs, comparison and context of a folder of tables. Raises UserError naming what is missing or damaged."""
    if not (folder / "comparison.csv").exists():
        raise UserError(f"{folder / 'comparison.csv'}: no tables yet; run the workflow first")
    runs = read_table(
        folder / "runs.csv", "the table of runs", [*KEYS, "pretraining_images"], ["seed", "quantile", "seconds"]
    )
    comparison = read_table(
        folder / "comparison.csv",
        "the comparison",
        [*TEXT_COLUMNS, "value"],
        [name for name in COMPARED if name not in TEXT_COLUMNS],
    )
    grid = Grid.read(folder / "grid.json")
    return runs, comparison, Context(grid, _images_of(runs, grid), "status" in runs, inactive=inactive_in(comparison))


def _images_of(runs: pd.DataFrame, grid: Grid) -> str:
    """The sources of pretraining images; methods from outside name none, and those of Table 7 may have their own."""
    shared = runs[~runs["method"].isin(other_penalty(grid))]
    return ", ".join(sorted({*shared["pretraining_images"]} - {""}))
