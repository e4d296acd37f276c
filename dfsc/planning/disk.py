"""How many bytes a benchmark's trained models fill: measured of one that is there, else computed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import torch

from dfsc.files import read_record
from dfsc.model.networks import SIZES, STRIDE, EfficientAD
from dfsc.report.store import artifact_place
from dfsc.settings.grid import CELL_FILES, TRAINED, Cell, Grid
from dfsc.training.feature_distance import SHARES

MODEL, RECEIPT = CELL_FILES["train"]["model"], CELL_FILES["track"]["receipt"]


class Filled(NamedTuple):
    """Bytes that one model of a network size fills."""

    results: int  # in the cell's folder
    store: int  # beside a tracking store of this machine, which keeps a copy of most files
    measured: bool  # of a model that is there; what is computed leaves out curves, heatmaps and anomaly maps


def model_bytes(size: str, image_size: int) -> int:
    """Bytes of all weights and statistics of a model, and so of its file but for a few kilobytes."""
    with torch.device("meta"):
        return sum(value.nbytes for value in EfficientAD(size, image_size).state_dict().values())


def checkpoint_bytes(size: str, image_size: int) -> int:
    """Bytes of the checkpoint of a training: the model, and two moments of Adam for each weight that learns."""
    with torch.device("meta"):
        learned = [weight for weight in EfficientAD(size, image_size).parameters() if weight.requires_grad]
    return model_bytes(size, image_size) + 2 * sum(weight.nbytes for weight in learned)


def filled_by(config: Mapping[str, Any], size: str) -> Filled:
    """Bytes that a trained and judged model of a size fills. Raises UserError naming a damaged receipt."""
    grid, benchmark = Grid.from_config(config), config["benchmark"]
    artifacts = artifact_folder(config)
    for cell in trained_cells(grid, size):
        folder = Path("results", benchmark, cell.path)
        if (folder / RECEIPT).exists() and (folder / MODEL).exists():
            run = read_record(folder / RECEIPT, "a receipt of a tracked run", ("run_id",))["run_id"]
            return Filled(_bytes_below(folder), _bytes_below(artifacts / str(run)) if artifacts else 0, True)
    image_size = config["training"]["image_size"]
    model = model_bytes(size, image_size)
    distances = len(SHARES) * SIZES[size].output * (image_size // STRIDE - 8) ** 2 * torch.half.itemsize
    return Filled(model + distances, model if artifacts else 0, False)


def artifact_folder(config: Mapping[str, Any]) -> Path | None:
    """Where this machine keeps the files of a benchmark's tracked runs; None where a server says where."""
    place = artifact_place(config["tracking"]["uri"], config["benchmark"])
    return None if place is None else Path(unquote(urlsplit(place).path))


def trained_cells(grid: Grid, size: str) -> list[Cell]:
    """The cells of a network size whose model is trained here."""
    methods = {method.name for method in grid.methods if method.origin == TRAINED and method.size == size}
    return [cell for cell in grid.cells() if cell.method in methods]


def missing_cells(config: Mapping[str, Any], size: str) -> list[Cell]:
    """Those of them that have no model yet."""
    results = Path("results", config["benchmark"])
    return [
        cell for cell in trained_cells(Grid.from_config(config), size) if not (results / cell.path / MODEL).exists()
    ]


def _bytes_below(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
