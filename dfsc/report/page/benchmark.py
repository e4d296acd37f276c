"""What the page is made from: the tables of a benchmark, its cells' files, and its images."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from dfsc.errors import UserError
from dfsc.files import MADE_ANEW, read_json
from dfsc.report.compare import cells_of, scores_by_cell
from dfsc.report.paper import read_image_scores, read_paper_tables
from dfsc.report.tables import Context
from dfsc.settings.grid import CELL_FILES, Cell, Grid

RECORDS = (CELL_FILES["train"]["record"], CELL_FILES["run_method"]["method_record"])


@dataclass(frozen=True)
class Benchmark:
    """A benchmark that has run: results/<benchmark>, the folder of its images, and what its tables say."""

    results: Path
    dataset: Path
    runs: pd.DataFrame
    comparison: pd.DataFrame
    context: Context

    @classmethod
    def read(cls, results: Path, dataset: Path, reference: Path | None = None) -> "Benchmark":
        """Read its tables. Raises UserError as `read_paper_tables`, and if the images are not there."""
        runs, comparison, context = read_paper_tables(results / "tables")
        context = replace(context, reference=reference)
        for category in context.grid.categories:
            if not (dataset / category).is_dir():
                raise UserError(f"{dataset / category}: is not there; the page shows its images: see --dataset")
        return cls(results, dataset, runs, comparison, context)

    @property
    def tables(self) -> Path:
        """The folder of its tables."""
        return self.results / "tables"

    @property
    def grid(self) -> Grid:
        """Its methods, categories and seeds."""
        return self.context.grid

    @property
    def cells(self) -> list[Cell]:
        """The cells that have a run, in the order of runs.csv."""
        return cells_of(self.runs)

    def file(self, cell: Cell, name: str) -> Path:
        """A file of a cell, there or not."""
        return self.results / cell.path / name

    def key(self, cell: Cell) -> str:
        """What the page calls a run of a category: number of the method, and its seed. Names may hold any sign."""
        return f"{self.grid.names.index(cell.method)}/{cell.seed}"

    def cells_in(self, category: str) -> Iterator[tuple[str, Cell]]:
        """Key and cell of each run of a category."""
        return ((self.key(cell), cell) for cell in self.cells if cell.category == category)

    @cached_property
    def scores(self) -> Mapping[Cell, Mapping[str, float]]:
        """The image scores of each cell that has a run: path -> score, of test and validation images."""
        return scores_by_cell(read_image_scores(self.tables))

    @cached_property
    def records(self) -> dict[Cell, dict[str, Any]]:
        """What each cell's record of its training, or of its run, says; of cells whose record is there."""
        found = {cell: [path for name in RECORDS if (path := self.file(cell, name)).exists()] for cell in self.cells}
        return {cell: read_json(paths[0], "a record", MADE_ANEW) for cell, paths in found.items() if paths}
