"""What all figures share: how they are saved, and colours that differ in grey and to the colour-blind."""

from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dfsc.files import written_whole

# A matplotlibrc in the working directory is read before any other, and nothing but this undoes it.
matplotlib.rcdefaults()
matplotlib.use("agg")

# The metadata's dates would make equal figures differ.
METADATA: dict[str, dict[str, Any]] = {"pdf": {"CreationDate": None}, "png": {"Software": None}}
# Okabe and Ito's, and a grey.
BLUE, ORANGE, GREEN, BLACK, GREY = "#0072b2", "#e69f00", "#009e73", "#000000", "#bbbbbb"
COLOURS = {
    "good": GREY, "logical_anomalies": BLUE, "structural_anomalies": ORANGE, "untyped_anomalies": GREEN, "mean": BLACK,
}  # fmt: skip


def say_not_measured(axis: Axes) -> None:
    """Write it into an empty panel."""
    axis.text(0.5, 0.5, "not measured", transform=axis.transAxes, ha="center", va="center", fontsize=8)


def save_figure(figure: Figure, path: Path) -> None:
    """Save as `path`.pdf and `path`.png, each whole, and close the figure."""
    for ending, metadata in METADATA.items():
        with written_whole(path.with_name(f"{path.name}.{ending}")) as temporary:
            figure.savefig(temporary, format=ending, dpi=150, bbox_inches="tight", metadata=metadata)
    plt.close(figure)
