"""What the trainings cost, and how fast their models are: seconds, GPU-seconds and memory of each run, in a table."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from dfsc.files import MADE_ANEW, read_json, reading, write_text
from dfsc.report.tables import NOT_MEASURED
from dfsc.settings.grid import speed_path

CELL = ["category", "method"]
TOTAL = "all"
SPEED = {"latency_ms": "latency, ms", "images_per_second": "images/s"}  # as `dfsc speed` measures it -> heading
MEASURED_ON = "measured_on"
Speed = Mapping[str, Any]  # each of SPEED, and MEASURED_ON


def read_speeds(results: Path, runs: Iterable[Mapping[str, Any]]) -> dict[str, Speed]:
    """Of each network size that runs have: what `dfsc speed` wrote below `results` (results/<benchmark>), if it did.

    Raises UserError naming a file that is damaged.
    """
    found: dict[str, Speed] = {}
    for size in sorted({run["tags"].get("size", "") for run in runs} - {""}):
        path = results / speed_path(size)
        if path.exists():
            measured = read_json(path, "a measured speed", MADE_ANEW)
            with reading(path, "a measured speed", MADE_ANEW):
                numbers = {name: float(measured[name]) for name in SPEED}
                found[size] = {**numbers, MEASURED_ON: str(measured[MEASURED_ON])}
    return found


def cost_frame(runs: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """One row per tracked run: category, method, seed, size; seconds, gpu_seconds and peak_memory_bytes.

    Runs that were tracked without their cost have empty fields.
    """
    rows = [
        {**{name: run["tags"][name] for name in (*CELL, "seed")}, "size": run["tags"].get("size", ""), **run["costs"]}
        for run in runs
    ]
    return pd.DataFrame(rows, columns=[*CELL, "seed", "size", "seconds", "gpu_seconds", "peak_memory_bytes"])


def summarise_cost(frame: pd.DataFrame, speeds: Mapping[str, Speed]) -> pd.DataFrame:
    """Sums over seeds, the largest peak of memory, and the speed, per category and method; the last row is over all."""
    columns = {
        "trainings": ("seconds", "size"),
        "seconds": ("seconds", "sum"),
        "gpu_seconds": ("gpu_seconds", "sum"),
        "peak_memory_bytes": ("peak_memory_bytes", "max"),
    }
    cells = frame.groupby([*CELL, "size"], sort=False).agg(**columns).reset_index()
    for name in (*SPEED, MEASURED_ON):
        cells[name] = [speeds.get(size, {}).get(name) for size in cells["size"]]
    everything = frame.assign(**dict.fromkeys(CELL, TOTAL)).groupby(CELL).agg(**columns).reset_index()
    return pd.concat([cells.drop(columns="size"), everything], ignore_index=True)


def write_cost_table(runs: list[dict[str, Any]], folder: Path, speeds: Mapping[str, Speed]) -> pd.DataFrame:
    """Write cost.csv (seconds and bytes) and cost.md (hours and GiB) into `folder`; returns what is in cost.csv.

    `speeds`: as `read_speeds` gives them.
    """
    summary = summarise_cost(cost_frame(runs), speeds)
    write_text(folder / "cost.csv", summary.to_csv(index=False))
    hours = summary[[*CELL, "trainings"]].assign(
        **{
            "wall hours": summary["seconds"] / 3600,
            "GPU hours": summary["gpu_seconds"] / 3600,
            "peak memory, GiB": summary["peak_memory_bytes"] / 2**30,
            **{heading: summary[name].map(_shown) for name, heading in SPEED.items()},
        }
    )
    hours.loc[hours["category"] == TOTAL, list(SPEED.values())] = ""
    table = hours.to_markdown(index=False, floatfmt=("", "", "", ".3f", ".3f", ".2f"), disable_numparse=[6, 7])
    images = "; ".join(sorted({run["tags"].get("pretraining_images", "") for run in runs} - {""}))
    places = "; ".join(f"{size}: {speed[MEASURED_ON]}" for size, speed in speeds.items()) or NOT_MEASURED
    text = (
        "Cost of training, summed over seeds; memory of the GPU, or of the process where there was none. "
        f"Pretraining and penalty images: {images}. Speed of judging: latency of one image alone, images per second in "
        f"batches of 16, from pixels in memory to the image score. Measured on: {places}."
    )
    write_text(folder / "cost.md", f"{text}\n\n{table}\n")
    return summary


def _shown(value: float) -> str:
    return NOT_MEASURED if pd.isna(value) else f"{value:.1f}"
