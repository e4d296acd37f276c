"""The file of predictions: a row for each image, added as it is judged, so that a run that was stopped goes on."""

import csv
import fcntl
import io
import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dfsc.errors import UserError
from dfsc.files import read_json, reading, write_json, write_text

ACCEPTED, REJECTED, UNREADABLE = "accepted", "rejected", "unreadable"


class Prediction(NamedTuple):
    """A row. All but path and verdict are empty where there is nothing to say."""

    path: str
    verdict: str  # ACCEPTED, REJECTED or UNREADABLE
    image_score: float | None = None
    percentile: float | None = None  # share of the validation images that score lower, in 0..100; equal: half
    x: int | None = None  # position of the map's maximum, in pixels of the image
    y: int | None = None
    reason: str = ""  # why it is unreadable
    sha256: str = ""  # of the file that was judged: another image may come under the same path


Judged = tuple[str, str]  # path and sha256 of an image that has a row


class Summary(NamedTuple):
    """What the rows of some images say together."""

    counts: Mapping[str, int]  # verdict -> images
    median_percentile: float | None  # of the images that were read; 50 for images like those of validation

    @property
    def all_accepted(self) -> bool:
        """Whether no image was rejected or unreadable."""
        return not self.counts.get(REJECTED) and not self.counts.get(UNREADABLE)

    def __str__(self) -> str:
        """One line for a person."""
        counts = ", ".join(f"{self.counts.get(name, 0)} {name}" for name in (ACCEPTED, REJECTED, UNREADABLE))
        line = f"{sum(self.counts.values())} images: {counts}"
        if self.median_percentile is not None:
            line += (
                f"; half of them score above {self.median_percentile:.0f} % of the validation images "
                "(about 50 % where nothing has changed)"
            )
        return line


class PredictionFile:
    """predictions.csv in a folder, and predictions.json, which says what made it. One process writes it at a time."""

    def __init__(self, folder: Path, made_with: Mapping[str, Any]) -> None:
        """Begin the files, or go on: rows of images that were judged before are kept, unreadable images tried again.

        `made_with`: what all rows depend on, as JSON. Raises UserError naming the file if it was made with something
        else, is damaged, cannot be written, or if another process writes it.
        """
        self.path, self.settings = folder / "predictions.csv", folder / "predictions.json"
        self._lock(folder)
        if self.path.exists() or self.settings.exists():
            self._refuse_other(made_with)
        write_json(self.settings, dict(made_with))
        kept = [row for row in self._rows() if row["verdict"] != UNREADABLE] if self.path.exists() else []
        self.judged: set[Judged] = {(row["path"], row["sha256"]) for row in kept}
        write_text(self.path, _lines([Prediction._fields, *(row.values() for row in kept)]))
        self._stream = self.path.open("a", encoding="utf-8", newline="")

    def _lock(self, folder: Path) -> None:
        with reading(folder, "a folder for predictions", "choose another folder"):
            folder.mkdir(parents=True, exist_ok=True)
            self._folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(self._folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(f"{folder}: another process writes predictions there; wait for it to end") from error

    def _refuse_other(self, made_with: Mapping[str, Any]) -> None:
        found = read_json(self.settings, "the settings of predictions", "choose another folder")
        for key, value in made_with.items():
            other = found.get(key) if isinstance(found, dict) else None
            if other != value:
                raise UserError(f"{self.settings}: {key} is {other} there, and {value} now; choose another folder")

    def _rows(self) -> list[dict[str, str]]:
        """The whole rows: what a kill left of the last line is not one."""
        with reading(self.path, "predictions", "choose another folder"):
            text = self.path.read_text(encoding="utf-8", errors="replace")
            lines = csv.DictReader(text[: text.rfind("\n") + 1].splitlines())
            rows = list(lines)
            if rows and lines.fieldnames != list(Prediction._fields):
                raise ValueError(f"its first line is not {','.join(Prediction._fields)}")
            if any(None in row or None in row.values() for row in rows):
                raise ValueError("damaged")
            return rows

    def add(self, rows: Iterable[Prediction]) -> None:
        """Add rows, whole, before anything else is done."""
        self._stream.write(_lines(rows))
        self._stream.flush()
        os.fsync(self._stream.fileno())

    def close(self) -> None:
        """Let others write."""
        self._stream.close()
        os.close(self._folder)

    def summary(self, images: Collection[Judged]) -> Summary:
        """What the rows of these images say together."""
        found = [row for row in self._rows() if (row["path"], row["sha256"]) in images]
        percentiles = [float(row["percentile"]) for row in found if row["percentile"]]
        median = float(np.median(percentiles)) if percentiles else None
        return Summary(Counter(row["verdict"] for row in found), median)


def _lines(rows: Iterable[Iterable[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
