"""Settings of the smallest size, and where a data set, a manifest and a teacher made with them lie."""

import json
from dataclasses import dataclass
from pathlib import Path

from dfsc.data.pretraining_images import PretrainingImages
from dfsc.settings.grid import CELL_FILES

GENERATED = {"seed": 3, "train": 6, "validation": 3, "test_good": 3, "logical": 3, "structural": 3, "pretraining": 12}
TEACHER = {
    "size": "tiny",
    "image_size": 64,
    "backbone": "resnet18",
    "backbone_weights": "random",
    "steps": 3,
    "batch_size": 2,
    "learning_rate": 1e-3,
    "weight_decay": 1e-5,
    "grey_probability": 0.1,
    "normalisation_images": 4,
    "precision": "float32",
    "seed": 0,
}
DFSC = {
    "quantile": 0.9,
    "margin": 1.0,
    "margin_unit": "absolute",
    "novel_weight": 1.0,
    "split_unit": "element",
    "distance": "squared",
    "autoencoder_loss_over": "similar",
    "novel_loss_over": "novel",
}
TRAINING = {
    "size": "tiny",
    "image_size": 64,
    "steps": 12,
    "batch_size": 1,
    "learning_rate": 1e-3,
    "weight_decay": 1e-5,
    "learning_rate_drop_after": 0.95,
    "learning_rate_drop_factor": 0.1,
    "hard_quantile": 0.999,
    "jitter": 0.2,
    "penalty_grey_probability": 0.3,
    "precision": "float32",
    "compiled": False,
    "seed": 0,
    "dfsc": None,
    "protocol": None,
}


def model_files(folder: Path) -> list[object]:
    """Arguments of `dfsc train`: what it writes, in `folder`."""
    options = {"model": "output"}  # where an option is not named as the file
    return [
        part for name, file in CELL_FILES["train"].items() for part in (f"--{options.get(name, name)}", folder / file)
    ]


def teacher_files(folder: Path) -> list[object]:
    """Arguments of `dfsc teacher pretrain`: what it writes, in `folder`."""
    names = {"output": "teacher.pt", "curve": "teacher.csv", "record": "teacher.json"}
    return [part for option, file in names.items() for part in (f"--{option}", folder / file)]


@dataclass
class Prepared:
    """Where the prepared data set, manifests, index and teacher lie."""

    root: Path
    category: str = "coin_tray"

    @property
    def dataset(self) -> Path:
        """Folder of categories."""
        return self.root / "data"

    def manifest(self) -> Path:
        """The category's manifest."""
        return self.root / f"{self.category}.csv"

    @property
    def pretraining(self) -> tuple[object, ...]:
        """Arguments that name the pretraining images."""
        return ("--pretraining-index", self.root / "index", "--pretraining-folder", self.dataset / "pretraining")

    def pretraining_images(self) -> PretrainingImages:
        """The pretraining images."""
        return PretrainingImages(self.root / "index", self.dataset / "pretraining")

    def train_arguments(self, output: Path, **changes: object) -> list[object]:
        """Arguments of `dfsc train` with some settings changed."""
        return [
            *("train", "--settings", json.dumps({**TRAINING, **changes}), "--dataset", self.dataset),
            *("--category", self.category, "--manifest", self.manifest(), "--teacher", self.root / "teacher.pt"),
            *(*self.pretraining, *model_files(output)),
            *("--checkpoints", output / "checkpoints", "--device", "cpu"),
        ]
