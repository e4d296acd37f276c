"""What the trainings cost: seconds, GPU-seconds and memory of each run, summed in a table."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from dfsc.files import write_text

CELL = ["category", "method"]
TOTAL = "all"


def cost_frame(runs: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """One row per tracked run: category, method, seed; seconds, gpu_seconds and peak_memory_bytes.

    Runs that were tracked without their cost have empty fields.
    """
    rows = [{**{name: run["tags"][name] for name in (*CELL, "seed")}, **run["costs"]} for run in runs]
    return pd.DataFrame(rows, columns=[*CELL, "seed", "seconds", "gpu_seconds", "peak_memory_bytes"])


def summarise_cost(frame: pd.DataFrame) -> pd.DataFrame:
    """Sums over seeds, and the largest peak of memory, per category and method; the last row is over all."""
    columns = {
        "trainings": ("seconds", "size"),
        "seconds": ("seconds", "sum"),
        "gpu_seconds": ("gpu_seconds", "sum"),
        "peak_memory_bytes": ("peak_memory_bytes", "max"),
    }
    cells = frame.groupby(CELL, sort=False).agg(**columns).reset_index()
    everything = frame.assign(**dict.fromkeys(CELL, TOTAL)).groupby(CELL).agg(**columns).reset_index()
    return pd.concat([cells, everything], ignore_index=True)


def write_cost_table(runs: list[dict[str, Any]], folder: Path) -> pd.DataFrame:
    """Write cost.csv (seconds and bytes) and cost.md (hours and GiB) into `folder`; returns what is in cost.csv."""
    summary = summarise_cost(cost_frame(runs))
    write_text(folder / "cost.csv", summary.to_csv(index=False))
    hours = summary[[*CELL, "trainings"]].assign(
        **{
            "wall hours": summary["seconds"] / 3600,
            "GPU hours": summary["gpu_seconds"] / 3600,
            "peak memory, GiB": summary["peak_memory_bytes"] / 2**30,
        }
    )
    table = hours.to_markdown(index=False, floatfmt=("", "", "", ".3f", ".3f", ".2f"))
    images = "; ".join(sorted({run["tags"].get("pretraining_images", "") for run in runs} - {""}))
    text = (
        "Cost of training, summed over seeds; memory of the GPU, or of the process where there was none. "
        f"Pretraining and penalty images: {images}."
    )
    write_text(folder / "cost.md", f"{text}\n\n{table}\n")
    return summary
