"""A benchmark as it lies on disk when it has run, made by a formula: maps find a defect with luck, nothing is trained.

The tables are those of `dfsc tables`, from runs as they are read back from MLflow.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dfsc.data.ground_truth import list_test_images, mask_files
from dfsc.data.images import decode_grey
from dfsc.data.layout import ANOMALY_TYPES, read_defects
from dfsc.inference.image_scores import write_scores
from dfsc.inference.maps import SmallMaps, write_maps
from dfsc.inference.threshold import promised_thresholds
from dfsc.metrics.auroc import auroc
from dfsc.metrics.operating_point import verdict_counts
from dfsc.metrics.spro import FPR_LIMITS
from dfsc.metrics.summary import flat_metrics
from dfsc.model.maps import NOT_PADDED, pad_map
from dfsc.report.compare import runs_frame
from dfsc.report.paper import write_compared
from dfsc.settings.grid import CELL_FILES, Cell, Grid

VALIDATION = 60  # images: they promise 5 %, and not 1 %
STEPS = (1, 100, 400, 700, 1000)


class Category:
    """What the formula needs of a category: its test images, and of each the share of a cell that is defect."""

    def __init__(self, folder: Path, cells: int) -> None:
        self.images = sorted(list_test_images(folder), key=lambda image: image.path)
        config = folder / "defects_config.json"
        self.defects = read_defects(config) if config.exists() else {}
        self.marked: dict[str, NDArray[np.float32]] = {}
        self.named: dict[str, set[str]] = {}
        for image in self.images:
            files = mask_files(folder, image.folder, image.stem)
            masks = [decode_grey(file) for file in files]
            self.named[image.path] = {self.defects[int(mask.max())].defect_name for mask in masks}
            union = np.zeros((cells, cells), np.float32)
            for mask in masks:
                shown = Image.fromarray((mask > 0).astype(np.uint8) * 255).resize((cells, cells), Image.Resampling.BOX)
                union = np.maximum(union, np.asarray(shown, np.float32) / 255)
            if not files and image.folder != "good":
                union[cells // 3 : cells // 2, cells // 3 : cells // 2] = 1
            self.marked[image.path] = union


def made_maps(category: Category, cell: Cell, grid: Grid, number: int) -> dict[str, NDArray[np.float32]]:
    """Maps of a cell: noise, and more of it where the defect is, as much as the method finds of this image."""
    place = grid.names.index(cell.method)
    seed = 0 if cell.seed == "none" else int(cell.seed)
    random = np.random.default_rng([number, place, seed])
    maps = {}
    for rank, image in enumerate(category.images):
        marked = category.marked[image.path]
        shared = np.random.default_rng([number, rank, 17]).normal(size=2)  # what is hard, is hard for all
        noise = 0.02 * random.normal(size=marked.shape) + 0.015 * np.abs(shared[0])
        finds = 0.055 + 0.012 * place + 0.05 * shared[1] + 0.03 * random.normal()
        maps[image.path] = (noise + marked * max(finds, 0.0)).astype(np.float32)
    return maps


def made_metrics(category: Category, scores: dict[str, float], validation: list[float]) -> dict[str, Any]:
    """metrics.json of image scores; AU-sPRO is made up from AUROC."""
    by_folder: dict[str, NDArray[np.float64]] = {}
    for image in category.images:
        by_folder[image.folder] = np.append(by_folder.get(image.folder, []), scores[image.path])
    found: dict[str, dict[str, list[float]]] = {}
    for image in category.images:
        for name in category.named[image.path]:
            found.setdefault(image.folder, {}).setdefault(name, []).append(scores[image.path])
    of_defect = {kind: {name: np.array(values) for name, values in names.items()} for kind, names in found.items()}
    return metrics_of(by_folder, of_defect, validation)


def metrics_of(
    by_folder: Mapping[str, NDArray[np.float64]],
    of_defect: Mapping[str, Mapping[str, NDArray[np.float64]]],
    validation: list[float],
) -> dict[str, Any]:
    """metrics.json of image scores: of 'good' and the anomaly types, and of each type by its defects."""
    kinds = [kind for kind in ANOMALY_TYPES if kind in by_folder]
    of_type = {kind: auroc(by_folder["good"], by_folder[kind]) for kind in kinds}
    areas = {kind: {str(limit): of_type[kind] * limit**0.2 for limit in FPR_LIMITS} for kind in of_defect}
    mean = {"mean": float(np.mean(list(of_type.values())))} if of_type else {}
    if areas:
        areas["mean"] = {
            limit: float(np.mean([area[limit] for area in areas.values()])) for limit in map(str, FPR_LIMITS)
        }
    return {
        "classification": {
            "auc_roc": of_type | mean,
            "auc_roc_per_defect": {
                kind: {name: auroc(by_folder["good"], values) for name, values in defects.items()}
                for kind, defects in of_defect.items()
            },
        },
        "localization": {
            "auc_spro": areas,
            "auc_spro_per_defect": {kind: dict.fromkeys(defects, areas[kind]) for kind, defects in of_defect.items()},
        },
        "operating_points": {
            str(rate): verdict_counts(by_folder, of_defect, threshold)
            for rate, threshold in promised_thresholds(validation).items()
        },
        "counts": {
            "images": {folder: values.size for folder, values in by_folder.items()},
            "images_per_defect": {
                kind: {name: values.size for name, values in defects.items()} for kind, defects in of_defect.items()
            },
            "regions": {},
        },
    }


def made_run(cell: Cell, grid: Grid, metrics: dict[str, Any]) -> dict[str, Any]:
    """A run as it is read back from MLflow."""
    method = grid.method(cell.method)
    tags = {"category": cell.category, "method": cell.method, "seed": str(cell.seed), "data_digest": cell.category}
    tags |= {"commit": "0123456789abcdef", "hardware": "CPU, 1 thread", "code_digest": "ours"}
    if method.size:
        tags |= {"size": method.size, "teacher_digest": f"teacher-{method.size}", "teacher": "pretrained here",
                 "penalty_digest": "p", "pretraining_images": "generated (2000 images)"}  # fmt: skip
    else:
        tags["code_digest"] = cell.method
    flat = flat_metrics(metrics)
    if method.quantile is not None:
        flat["constraint.inside_margin"] = 0.001 if method.quantile >= 0.99 and not method.changed else 0.2
    run_id = f"{list(grid.cells()).index(cell):032x}"
    return {"run_id": run_id, "tags": tags, "parameters": {}, "metrics": flat, "costs": {"seconds": 100.0}}


def write_cell(folder: Path, category: Category, cell: Cell, maps: SmallMaps, scores: dict[str, float]) -> None:
    """The files of a cell that the page reads."""
    write_maps(folder / "maps.npz", maps)
    write_scores(folder / "scores.csv", scores)
    record = {
        "started": "2026-11-02T10:00:00Z",
        "finished": "2026-11-02T10:03:00Z",
        "seconds": 180.0,
        "gpu_seconds": 0.0,
    }
    (folder / CELL_FILES["train"]["record"]).write_text(json.dumps(record))
    curve = "".join(f"{step},{2 / step**0.3!r},{0.5 / step**0.2!r}\n" for step in STEPS)
    (folder / CELL_FILES["train"]["curve"]).write_text(f"step,hard,autoencoder\n{curve}")
    kinds = sorted({image.folder for image in category.images} - {"good"})
    points = "".join(
        f"spro,{kind},,{rate!r},{rate**0.3!r}\n" for kind in kinds for rate in np.linspace(0, 1, 101).tolist()
    )
    (folder / CELL_FILES["evaluate"]["curves_csv"]).write_text(f"metric,anomaly_type,defect,fpr,value\n{points}")


def made_cells(
    dataset: Path, results: Path, grid: Grid, cells: int = 16, validation: int = VALIDATION
) -> Iterator[tuple[dict[str, Any], dict[str, float]]]:
    """Write each cell below `results`; yields its run and its scores."""
    for number, name in enumerate(grid.categories):
        category = Category(dataset / name, cells)
        for cell in (cell for cell in grid.cells() if cell.category == name):
            outside = grid.method(cell.method).is_outside
            padding = NOT_PADDED if outside else "zero"
            maps = made_maps(category, cell, grid, number)
            scores = {path: float(pad_map(one, padding).max()) for path, one in maps.items()}
            random = np.random.default_rng([number, grid.names.index(cell.method), 99])
            good = [scores[image.path] for image in category.images if image.folder == "good"]
            drawn = [] if outside else random.normal(np.mean(good), np.std(good) + 1e-3, validation).tolist()
            everything = {f"validation/good/{place:03}.png": value for place, value in enumerate(drawn)} | scores
            write_cell_folder = results / cell.path
            write_cell_folder.mkdir(parents=True, exist_ok=True)
            write_cell(write_cell_folder, category, cell, SmallMaps(maps, padding), everything)
            yield made_run(cell, grid, made_metrics(category, scores, drawn)), everything


def make_benchmark(dataset: Path, results: Path, grid: Grid, **options: Any) -> None:
    """Write the cells and tables of a whole benchmark on the images in `dataset`."""
    made = list(made_cells(dataset, results, grid, **options))
    frame = runs_frame([run for run, _ in made], grid)
    write_compared(frame, {run["run_id"]: scores for run, scores in made}, grid, results / "tables")
