"""What a method from outside has written, read strictly: nothing is judged by half."""

import csv
import math
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dfsc.data.images import visible
from dfsc.errors import UserError
from dfsc.files import reading
from dfsc.inference.evaluate import read_official_map

SCORES = "scores.csv"
COLUMNS = ["name", "image_score"]
ENDINGS = (".tiff", ".npy")


class Output(NamedTuple):
    """Image's name -> anomaly map float32 [h, w], of any size; and -> image score, None if the method wrote none."""

    maps: dict[str, NDArray[np.float32]]
    scores: dict[str, float] | None


def read_output(folder: Path, names: Collection[str], optional: Collection[str] = ()) -> Output:
    """Read the maps of the images `names` ('test_0003.png') from `folder`, and scores.csv if it is there.

    Maps and scores of the images `optional` may be there: of all of them or of none; and scores, if there are both maps
    and scores.csv. Raises UserError naming the file: missing, surplus, not one finite number per cell, scores of other
    images than the maps'; and if every map of `names` holds one and the same number.
    """
    by_stem = {Path(name).stem: name for name in (*names, *optional)}
    found: dict[str, Path] = {}
    for file in visible(folder):
        if file.name == SCORES:
            continue
        if file.stem not in by_stem or file.suffix not in ENDINGS:
            raise UserError(
                f"{file.name}: is surplus; the output holds a map <name>.tiff or <name>.npy for each test image, and "
                "optionally for each validation image"
            )
        if file.stem in found:
            raise UserError(f"{file.name}: is a second map beside {found[file.stem].name}; write one of them")
        found[file.stem] = file
    for kind, group in (("test", names), ("validation", optional)):
        missing = sorted(stem for stem in by_stem.keys() - found if by_stem[stem] in group)
        if missing and (kind == "test" or len(missing) < len(group)):
            raise UserError(f"{missing[0]}.tiff: is missing; {len(missing)} of {len(group)} {kind} images have no map")
    maps = {name: read_map(found[stem]) for stem, name in by_stem.items() if stem in found}
    values = {float(value) for name in names for value in (maps[name].min(), maps[name].max())}
    if len(values) == 1 and len(names) > 1:
        raise UserError(f"{folder.name}: every map holds {values.pop():g} everywhere, and tells no image from another")
    scores = folder / SCORES
    return Output(maps, _read_scores(scores, list(maps), optional) if scores.exists() else None)


def read_map(file: Path) -> NDArray[np.float32]:
    """An anomaly map [h, w] from TIFF or NumPy's format. Raises UserError naming the file."""
    loaded: NDArray[Any] = read_official_map(file) if file.suffix == ".tiff" else _read_array(file)
    if loaded.ndim != 2 or loaded.dtype.kind not in "fiu" or not loaded.size:
        raise UserError(
            f"{file.name}: holds {loaded.dtype} of shape {loaded.shape}; a map has one real number per cell, "
            "[height, width]"
        )
    with np.errstate(over="ignore"):
        values = loaded.astype(np.float32)
    if not np.isfinite(values).all():
        raise UserError(f"{file.name}: holds NaN or infinite values; every cell needs a finite number, as float32")
    return values


def _read_array(file: Path) -> NDArray[Any]:
    with reading(Path(file.name), "an array", "write it with numpy.save"), file.open("rb") as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)


def _read_scores(file: Path, names: Collection[str], optional: Collection[str]) -> dict[str, float]:
    """The scores of the images `names`, which have maps; and of all of `optional`, or of none of them."""
    with (
        reading(Path(SCORES), "image scores", f"its columns are {','.join(COLUMNS)}"),
        file.open(newline="", encoding="utf-8") as stream,
    ):
        rows = csv.DictReader(stream)
        if rows.fieldnames != COLUMNS:
            raise ValueError(f"its first line is {rows.fieldnames}")
        listed = [(row["name"], float(row["image_score"])) for row in rows]
    scores = dict(listed)
    if not scores.keys().isdisjoint(optional):
        names = list(dict.fromkeys([*names, *optional]))
    if missing := sorted(set(names) - scores.keys()):
        raise UserError(f"{SCORES}: has no score of {missing[0]} ({len(missing)} of {len(names)} are missing)")
    if surplus := sorted(scores.keys() - set(names)):
        raise UserError(f"{SCORES}: {surplus[0]} is no test or validation image ({len(surplus)} such names)")
    if len(listed) > len(scores):
        raise UserError(f"{SCORES}: lists an image twice")
    for name, score in scores.items():
        if not math.isfinite(score):
            raise UserError(f"{SCORES}: the score of {name} is {score}; it must be a finite number")
    return scores
