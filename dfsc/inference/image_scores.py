"""The image scores of a model: computed once, when scored, and read from here wherever images are ranked."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from dfsc.files import read_lines, reading, write_text

COLUMNS = ("path", "image_score")


def write_scores(path: Path, scores: Mapping[str, float]) -> None:
    """Write image scores as CSV (path, image_score), whole or not at all; digits suffice to read them back exactly."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(scores.items())
    write_text(path, text.getvalue())


def read_scores(path: Path) -> dict[str, float]:
    """Read what `write_scores` wrote: 'test/good/000.png' -> score. Raises UserError naming the file."""
    with reading(path, "image scores", "write them with `dfsc score`"):
        rows = csv.DictReader(read_lines(path).splitlines())
        scores = {row["path"]: float(row["image_score"]) for row in rows}
        if not scores:
            raise ValueError("it has none")
        return scores
