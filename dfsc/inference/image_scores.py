"""The image scores of a model: computed once, when scored, and read from here wherever images are ranked.

Those of the validation images stand beside those of the test images: a threshold comes from them.
"""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from dfsc.files import read_lines, reading, write_text

COLUMNS = ("path", "image_score")
Value = TypeVar("Value")


def write_scores(path: Path, scores: Mapping[str, float]) -> None:
    """Write image scores as CSV (path, image_score), whole or not at all; digits suffice to read them back exactly."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(scores.items())
    write_text(path, text.getvalue())


def read_scores(path: Path, split: str = "test") -> dict[str, float]:
    """Read what `write_scores` wrote of one split, 'test' or 'validation': 'test/good/000.png' -> score.

    Raises UserError naming the file, one without a test image too; a method from outside may have none of validation.
    """
    with reading(path, "image scores", "write them with `dfsc score`"):
        rows = csv.DictReader(read_lines(path).splitlines())
        scores = {row["path"]: float(row["image_score"]) for row in rows}
        if not of_split(scores, "test"):
            raise ValueError("it has none of test images")
        return of_split(scores, split)


def of_split(scores: Mapping[str, Value], split: str) -> dict[str, Value]:
    """Of image scores by path, or whatever else, those of one split."""
    return {path: score for path, score in scores.items() if path.startswith(f"{split}/")}
