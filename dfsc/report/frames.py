"""Tables of ours, read back from CSV: a column is what it was when written, whatever its entries look like."""

import io
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pandas as pd

from dfsc.files import MADE_ANEW, read_lines, reading
from dfsc.settings.grid import seed_of


def read_table(path: Path, what: str, required: Collection[str], numbers: Collection[str]) -> pd.DataFrame:
    """Read a table of `what`; columns named in `numbers`, and metrics ('image_auroc.mean'), are numbers, others text.

    So categories 01, null and NA keep their names; an empty number is NaN, and a seed may be NO_SEED.
    Raises UserError naming the file: missing,
    cut short, lacking one of the columns `required`, or no such table.
    """
    with reading(path, what, MADE_ANEW):
        table = pd.read_csv(io.StringIO(read_lines(path)), dtype=str, keep_default_na=False)
        if missing := [name for name in required if name not in table]:
            raise ValueError(f"it has no column {missing[0]}")
        chosen = [name for name in table if name in numbers or "." in name]
        read: dict[str, Callable[[pd.Series], Any]] = {"seed": lambda column: [seed_of(text) for text in column]}
        return table.assign(**{name: read.get(name, pd.to_numeric)(table[name]) for name in chosen})
