"""What a benchmark consists of: its methods, its cells (category, method, seed), and the files of a cell.

A job gets the settings of its own kind and no others, so that changing a key reruns only what depends on it. What may
stand in a configuration is described in `dfsc.settings`, and checked by `dfsc.settings.reading`.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any

from dfsc.errors import UserError
from dfsc.files import MADE_ANEW, read_json, reading
from dfsc.settings.building import build
from dfsc.settings.leaves import Leaves
from dfsc.settings.protocols import deviations

GRID_KEYS = ("quantiles", "headline_quantile", "ablations")  # of `dfsc`: which models there are, not what shapes one
# What each rule writes into a cell's folder: name in the workflow -> file.
CELL_FILES = {
    "train": {
        "model": "model.pt",
        "curve": "training_curve.csv",
        "distances": "feature_distances.npz",
        "record": "training.json",
    },
    "run_method": {"method_record": "method.json"},  # of a method from outside, in place of a training
    "score": {"scores": "scores.csv", "maps": "maps.npz"},
    "evaluate": {
        "metrics": "metrics.json",
        "curves_csv": "curves.csv",
        "curves_pdf": "curves.pdf",
        "curves_png": "curves.png",
    },
    "draw_model_heatmaps": {"heatmaps_pdf": "heatmaps.pdf", "heatmaps_png": "heatmaps.png"},
    "track": {"receipt": "run.json"},
}


TRAINED, REJUDGED, OUTSIDE = "trained", "rejudged", ("command", "maps", "control")  # where a method's maps come from
NO_SEED = "none"  # in place of a seed, of a method that has none
CONTROLS = {"random": True, "oracle": False}  # name -> whether it has seeds


@dataclass(frozen=True)
class Method(Leaves):
    """A method of the grid.

    name: as in paths, 'efficientad-S' or 'dfsc-S-q0.99'. label: as people read it. family: the label of all methods
    that differ by their quantile alone. pairs_with: name of the baseline that it is compared with; of a baseline, its
    own. size: of the networks; empty from outside. dfsc: fields of `dfsc.settings.training.DfscSettings`. changed: what
    an ablation changes; empty otherwise. origin: 'trained' here; 'rejudged', of its baseline's models; from outside, a
    'command' that is run, 'maps' made elsewhere, or a 'control'. seeded: whether it has one cell per category and seed,
    or one per category. protocol: of a method that deviates from the published protocol, the leaf in which it does, and
    its value, as `dfsc.settings.protocols.deviations` gives them.
    """

    name: str
    label: str
    family: str
    pairs_with: str
    size: str
    dfsc: dict[str, Any] | None = None
    changed: str = ""
    origin: str = TRAINED
    seeded: bool = True
    protocol: dict[str, Any] | None = None

    @property
    def is_baseline(self) -> bool:
        """Whether others are compared with it."""
        return self.pairs_with == self.name

    @property
    def is_outside(self) -> bool:
        """Whether its maps come from no model that is trained here."""
        return self.origin in OUTSIDE

    @property
    def model_of(self) -> str:
        """The name of the method whose models it uses: its own, or its baseline's."""
        return self.pairs_with if self.origin == REJUDGED else self.name

    @property
    def quantile(self) -> float | None:
        """The quantile that splits similar from novel features, in (0, 1); None where there is none."""
        return None if self.dfsc is None else float(self.dfsc["quantile"])


@dataclass(frozen=True)
class Cell:
    """One training, or run of a method from outside: a method on a category from a seed, NO_SEED where it has none."""

    category: str
    method: str
    seed: int | str

    @property
    def path(self) -> str:
        """Its folder below results/<benchmark> and logs/<benchmark>, and its key in MLflow."""
        return f"{self.category}/{self.method}/seed{self.seed}"


@dataclass(frozen=True)
class Grid(Leaves):
    """The cells of a benchmark, and what is declared to be compared.

    source: the configuration's `dataset.source`. headlines: names of the methods that are compared with their baseline
    in the main tables: of each size one DFSC, and all from outside.
    """

    benchmark: str
    source: str
    categories: list[str]
    methods: list[Method]
    seeds: list[int]
    headlines: list[str]

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Grid":
        """The grid that a checked configuration asks for."""
        sizes, headline = config["training"]["sizes"], config["dfsc"]["headline_quantile"]
        trained = [method for size in sizes for method in _methods(config["dfsc"], size)]
        outside = list(_from_outside(config, trained[0].name))
        deviating = [method for size in sizes for method in _deviating(config, size)]
        return cls(
            config["benchmark"],
            config["dataset"]["source"],
            list(config["dataset"]["categories"]),
            [*trained, *outside, *deviating],
            list(config["training"]["seeds"]),
            [*(_dfsc_name(size, headline) for size in sizes), *(method.name for method in outside)],
        )

    @classmethod
    def from_text(cls, text: str) -> "Grid":
        """The grid from the JSON of `as_text`. Raises UserError if it is none."""
        with reading(Path("--grid"), "the JSON of a grid"):
            values = json.loads(text)
        return build(cls, values, "--grid")

    @classmethod
    def read(cls, path: Path) -> "Grid":
        """The grid that `dfsc tables` kept. Raises UserError naming the file."""
        return build(cls, read_json(path, "the grid of tables", MADE_ANEW), str(path))

    def as_text(self) -> str:
        """The grid as JSON, for the workflow's commands."""
        return json.dumps(asdict(self), sort_keys=True)

    def method(self, name: str) -> Method:
        """The method of a name. Raises UserError naming those that there are."""
        for method in self.methods:
            if method.name == name:
                return method
        raise UserError(f"{name}: is no method of {self.benchmark}; there are {', '.join(self.names)}")

    @property
    def names(self) -> list[str]:
        """The names of all methods."""
        return [method.name for method in self.methods]

    def pair(self, name: str) -> tuple[Method, Method]:
        """A method's baseline, and the method. Raises UserError as `method` does."""
        method = self.method(name)
        return self.method(method.pairs_with), method

    @property
    def pairs(self) -> list[tuple[Method, Method]]:
        """(baseline, declared method) of each declared comparison."""
        return [self.pair(name) for name in self.headlines]

    def paired_with(self, baseline: str) -> list[Method]:
        """A baseline, then the methods that are compared with it."""
        return [method for method in self.methods if method.pairs_with == baseline]

    @property
    def baselines(self) -> list[Method]:
        """The methods that others are compared with."""
        return [method for method in self.methods if method.is_baseline]

    def cell(self, category: str, method: Method, seed: int) -> Cell:
        """The cell of a seed; the one cell there is, of a method without seeds."""
        return Cell(category, method.name, seed if method.seeded else NO_SEED)

    def paired_cells(self, cell: Cell) -> list[Cell]:
        """The baseline's cells that a cell is compared with: that of its seed; all, where it has no seed."""
        seeds = self.seeds if cell.seed == NO_SEED else [cell.seed]
        return [Cell(cell.category, self.method(cell.method).pairs_with, seed) for seed in seeds]

    def cells(self) -> Iterator[Cell]:
        """Every training, and every run of a method from outside."""
        for category, method in product(self.categories, self.methods):
            yield from dict.fromkeys(self.cell(category, method, seed) for seed in self.seeds)

    def receipts(self, results: Path) -> list[Path]:
        """Where the receipt of every cell's run lies below `results` (results/<benchmark>), there or not."""
        return [results / cell.path / CELL_FILES["track"]["receipt"] for cell in self.cells()]


def _methods(section: Mapping[str, Any], size: str) -> Iterator[Method]:
    """The baseline of a size, then one DFSC per quantile and per ablation; `section` is the configuration's `dfsc`."""
    baseline, family = f"efficientad-{size}", f"DFSC-{size}"
    yield Method(baseline, f"EfficientAD-{size}", f"EfficientAD-{size}", baseline, size)
    shared = {key: value for key, value in section.items() if key not in GRID_KEYS}
    for quantile in section["quantiles"]:
        label = f"{family} τ'={quantile:g}"
        yield Method(_dfsc_name(size, quantile), label, family, baseline, size, {**shared, "quantile": quantile})
    for ablation in section["ablations"]:
        quantile = ablation.get("quantile", section["headline_quantile"])
        changes = {key: value for key, value in ablation.items() if key not in ("quantile", "label")}
        parts = [f"{key}_{_in_name(value)}" for key, value in changes.items()]
        changed = ", ".join(parts).replace("_", " ")
        label = f" {ablation['label']}:" if "label" in ablation else ""
        yield Method(
            "-".join([_dfsc_name(size, quantile), *parts]),
            f"{family}{label} τ'={quantile:g}, {changed}",
            family,
            baseline,
            size,
            {**shared, **changes, "quantile": quantile},
            changed,
        )


def _from_outside(config: Mapping[str, Any], first_baseline: str) -> Iterator[Method]:
    """The methods of the configuration's `methods` and `controls`."""
    for name, section in config.get("methods", {}).items():
        by_command = section.get("command") is not None
        seeded = section.get("seeds", True) if by_command else "{seed}" in str(section.get("maps"))
        yield Method(
            name,
            section["label"],
            section["label"],
            section.get("pairs_with") or first_baseline,
            size="",
            origin="command" if by_command else "maps",
            seeded=seeded,
        )
    for name in config.get("controls", []):
        label = f"{name} (control)"
        yield Method(name, label, label, first_baseline, size="", origin="control", seeded=CONTROLS[name])


def _deviating(config: Mapping[str, Any], size: str) -> Iterator[Method]:
    """EfficientAD of a size under each deviation of the configuration's `protocols`."""
    baseline = f"efficientad-{size}"
    for name, words, protocol in deviations(config.get("protocols") or {}):
        label = f"EfficientAD-{size}, {words}"
        origin = REJUDGED if protocol.keys() <= {"calibration_images", "padding"} else TRAINED
        yield Method(f"{baseline}-{name}", label, label, baseline, size, origin=origin, protocol=protocol)


def _dfsc_name(size: str, quantile: float) -> str:
    return f"dfsc-{size}-q{_in_name(quantile)}"


def _in_name(value: Any) -> str:
    # Never as 1e-05, whose minus sign would look like the next part's.
    return f"{Decimal(repr(value)):f}" if isinstance(value, float) else str(value)


def seed_of(text: str) -> int | str:
    """A cell's seed from text, as paths, tags and tables have it."""
    return text if text == NO_SEED else int(text)


def figure_names(grid: Grid) -> dict[str, list[str]]:
    """The figures of a grid in results/<benchmark>/figures: the beginning of their names -> what follows it and a _."""
    trained = [name for name in grid.headlines if grid.method(name).origin == TRAINED]
    of_declared, of_trained = (
        [f"{name}_{category}" for name, category in product(names, grid.categories)]
        for names in (grid.headlines, trained)
    )
    return {
        "auroc_over_quantile": [baseline.name for baseline in grid.baselines],
        "score_histograms": grid.headlines,
        **dict.fromkeys(("heatmaps", "worst", "what_changed"), of_declared),
        **dict.fromkeys(("novelty", "novelty_over_training"), of_trained),
    }


def teacher_path(size: str) -> str:
    """A teacher's folder below results/<benchmark> and logs/<benchmark>, and its key in MLflow."""
    return f"teachers/{size}"


def speed_path(size: str) -> str:
    """What was measured of the speed of a network size, below results/<benchmark>."""
    return f"speed/{size}.json"


def teacher_settings(config: Mapping[str, Any], size: str) -> dict[str, Any]:
    """What shapes a teacher, as the fields of `dfsc.settings.teacher.TeacherSettings`."""
    settings = {key: value for key, value in config["teacher"].items() if key != "published"}
    return {**settings, "size": size, "image_size": config["training"]["image_size"]}


def training_settings(config: Mapping[str, Any], method: Method, seed: int) -> dict[str, Any]:
    """What shapes one model, as the fields of `dfsc.settings.training.TrainingSettings`."""
    shared = {key: value for key, value in config["training"].items() if key not in ("sizes", "seeds")}
    protocol = {key: value for key, value in (method.protocol or {}).items() if key in ("penalty", "checkpoints")}
    deviating = {"protocol": protocol} if protocol else {}
    return {**shared, "size": method.size, "seed": int(seed), "dfsc": method.dfsc, **deviating}


def scoring_settings(config: Mapping[str, Any], method: Method) -> dict[str, Any]:
    """How a method's models are used, as the fields of `dfsc.settings.scoring.ScoringSettings`."""
    protocol = method.protocol or {}
    deviating = {key: value for key, value in protocol.items() if key in ("calibration_images", "padding")}
    best = {"best_on_test": True} if "checkpoints" in protocol else {}
    return {**config["inference"], **deviating, **best}
