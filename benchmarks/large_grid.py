"""A benchmark of any number of categories as it lies on disk and in MLflow when it has run, without any training.

Settings, records, image scores, metrics, runs and receipts are in the forms in which the workflow writes them, by its
own functions where it has them. What only has to be there, images, models and figures, is a line of text.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from dfsc.data.layout import LOCO_TYPES, write_manifest
from dfsc.files import digest_of, write_json
from dfsc.inference.image_scores import write_scores
from dfsc.provenance import provenance
from dfsc.report.runs import track_model, track_teacher
from dfsc.settings.grid import CELL_FILES, Cell, Grid, figure_names, speed_path, teacher_path, training_settings
from dfsc.settings.reading import read_configuration

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.checkout import CHECKOUT
from support.page_grid import metrics_of

os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # of each run on a server

SIZE = "S"
QUANTILES, SEEDS = [0.9, 0.95, 0.99, 0.999], [0, 1, 2, 3]
PER_CATEGORY = (1 + len(QUANTILES)) * len(SEEDS)  # models
GOOD = {"train/good": 60, "validation/good": 60}  # images of a category
TEST = {"good": 100, "logical_anomalies": 100, "structural_anomalies": 100}
DEFECTS = 5  # of each anomaly type; each category has its own
STEPS = (1, 20_000, 40_000, 60_000, 70_000)
TRACKED = ("model", "record", "curve", "scores", "metrics", "curves_csv", "curves_png", "heatmaps_png")
LOSSES = {"hard": 2.0, "penalty": 0.01, "autoencoder": 1.0, "student_autoencoder": 0.5}
# It sleeps for 0.1 s before each job that it only touches.
SNAKEMAKE = """
from snakemake.cli import main
from snakemake.executors.touch import Executor
Executor.SLEEPING_TIME = 0
main()
"""


class LargeGrid:
    """A checkout in `root`, with a configuration of `categories` categories and PER_CATEGORY models of each."""

    def __init__(self, root: Path, categories: int, uri: str = "sqlite:///mlflow.db") -> None:
        """Make the checkout, of links, and write the configuration; `uri`: of the tracking store."""
        for name in ("Snakefile", "dfsc", "workflow", "config", "profiles", "slurm"):
            (root / name).symlink_to(CHECKOUT / name)
        names = [f"category_{number:03}" for number in range(categories)]
        config: dict[str, Any] = {
            "benchmark": "large",
            "dataset": {"source": "folder", "folder": "data/large", "categories": names},
            "pretraining": {"images": "other", "folder": "data/pretraining"},
            "training": {"sizes": [SIZE], "seeds": SEEDS},
            "dfsc": {"quantiles": QUANTILES, "headline_quantile": QUANTILES[0]},
            "tracking": {"uri": uri},
        }
        self.root, self.uri, self.file = root, uri, root / "large.yaml"
        self.file.write_text(yaml.safe_dump(config))
        self.config = read_configuration([self.file])
        self.grid = Grid.from_config(self.config)
        self.results = Path("results", self.grid.benchmark)

    def begin(self) -> None:
        """Each training is half done, and tells so; nothing is finished. The working folder is `root`, here and below.

        The images are there, too, and the marker files' times are older than any result's.
        """
        write_images(Path(self.config["dataset"]["folder"]), self.grid.categories)
        write_text(Path(self.config["pretraining"]["folder"], "one.png"))
        told = {"state": "running", "step": 35_000, "steps": 70_000, "seconds_left": 3600.0, "words": ""}
        for cell in self.grid.cells():
            write_json(
                Path("logs", self.grid.benchmark, cell.path, "train.progress.json"),
                {**told, "seconds_between_reports": 10.0},
            )

    def finish(self) -> None:
        """Every model is trained, judged and tracked; tables, figures and page are still to be made."""
        made_on = provenance("CPU")
        self._write_shared(made_on)
        for number, category in enumerate(self.grid.categories):
            for part in ("training", "test", "ground_truth"):
                write_manifest(self.results / f"manifests/{category}/{part}.csv", [])
            for cell in (cell for cell in self.grid.cells() if cell.category == category):
                self._write_cell(cell, number, made_on)

    def _write_shared(self, made_on: Mapping[str, Any]) -> None:
        """The index of the pretraining images, the teacher, and the measured speed."""
        write_text(self.results / "pretraining.index")
        teacher = self.results / teacher_path(SIZE) / "teacher.pt"
        write_text(teacher)
        record = {"settings": {"size": SIZE, "steps": 2}, "fingerprint": digest_of("teacher"), "digest": "t"}
        write_json(teacher.with_suffix(".json"), {**record, **made_on, **COST, "teacher": "made up", "code": "c"})
        teacher.with_suffix(".csv").write_text("step,distillation\n1,2.0\n2,1.0\n")
        track_teacher(teacher, self.uri, self.grid.benchmark, teacher.with_name("run.json"))
        speed = {"latency_ms": 500.0, "images_per_second": 2.0, "measured_on": made_on["hardware"]}
        write_json(self.results / speed_path(SIZE), speed)

    def _write_cell(self, cell: Cell, number: int, made_on: Mapping[str, Any]) -> None:
        """The files of a cell, and its run; `number`: of its category."""
        method, folder = self.grid.method(cell.method), self.results / cell.path
        files = {name: folder / file for of_rule in CELL_FILES.values() for name, file in of_rule.items()}
        settings = training_settings(self.config, method, int(cell.seed))
        record = {"settings": settings, "fingerprint": digest_of(settings), "code": "c", "data_digest": cell.category}
        digests = {"teacher_digest": "t", "penalty_digest": "p", "model_digest": digest_of(cell.path)}
        shown = {"teacher": "made up", "pretraining_images": "made up (2 images)"}
        write_json(files["record"], {**record, **digests, **shown, **made_on, **COST})
        place = self.grid.names.index(cell.method)
        watched = {"inside_margin": 0.2, "novel_threshold": 1.5} if method.dfsc else {}
        rows = [[step, *(value / step**0.3 for value in (LOSSES | watched).values())] for step in STEPS]
        lines = [",".join(["step", *LOSSES, *watched]), *(",".join(map(repr, row)) for row in rows)]
        files["curve"].write_text("\n".join(lines) + "\n")
        test, validation = scores_of(number, place, int(cell.seed))
        write_scores(files["scores"], named("validation/good", validation) | {
            path: score for kind, values in test.items() for path, score in named(f"test/{kind}", values).items()
        })  # fmt: skip
        of_defect = {
            kind: {f"defect_{number:03}_{start}": test[kind][start::DEFECTS] for start in range(DEFECTS)}
            for kind in LOCO_TYPES
        }
        write_json(files["metrics"], metrics_of(test, of_defect, validation.tolist()))
        for name, file in files.items():
            if name not in ("method_record", "receipt") and not file.exists():
                write_text(file)
        inputs = [files[name] for name in TRACKED]
        track_model(inputs, self.uri, self.grid.benchmark, cell.category, cell.method, files["receipt"])

    def complete(self) -> None:
        """After `dfsc tables` and `dfsc pair`: figures and page are there, and Snakemake takes all as its own work."""
        names = [f"{start}_{of}" for start, of_each in figure_names(self.grid).items() for of in of_each]
        for name, ending in product(names, ("pdf", "png")):
            write_text(self.results / f"figures/{name}.{ending}")
        write_text(self.results / "page/index.html")
        touch = ["--cores", "1", "--configfile", self.file.name, "--touch", "--forceall", "--quiet", "all"]
        subprocess.run([sys.executable, "-c", SNAKEMAKE, *touch], check=True, capture_output=True)


COST = {"seconds": 7200.0, "gpu_seconds": 7000.0, "peak_memory_bytes": 2.0**30} | {
    "started": "2026-11-02T10:00:00Z", "finished": "2026-11-02T12:00:00Z",
}  # fmt: skip


def scores_of(category: int, method: int, seed: int) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.float64]]:
    """Image scores of test images by folder, and of validation images: what is hard, is hard for all models."""
    shared, own = np.random.default_rng(category), np.random.default_rng([category, method, seed])
    means = dict(zip(TEST, (0.0, 1.2 + 0.1 * method, 1.6 + 0.1 * method), strict=True))
    test = {kind: means[kind] + shared.normal(size=TEST[kind]) + own.normal(0, 0.3, TEST[kind]) for kind in TEST}
    return test, own.normal(size=GOOD["validation/good"])


def named(folder: str, scores: NDArray[np.float64]) -> dict[str, float]:
    """Path -> image score, of the images of a folder."""
    return {f"{folder}/{place:03}.png": score for place, score in enumerate(scores.tolist())}


def write_text(path: Path) -> None:
    """A file of a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("made up\n")


def write_images(dataset: Path, categories: list[str]) -> None:
    """Files in the place of images and masks, all of them links to one."""
    one = dataset / "one.png"
    write_text(one)
    folders = {**GOOD, **{f"test/{kind}": count for kind, count in TEST.items()}}
    for category in categories:
        files = [f"{folder}/{place:03}.png" for folder, count in folders.items() for place in range(count)]
        files += [f"ground_truth/{kind}/{place:03}/000.png" for kind in LOCO_TYPES for place in range(TEST[kind])]
        for file in (dataset / category / name for name in files):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.hardlink_to(one)
