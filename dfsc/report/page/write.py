"""The page as a folder: written whole, replaced whole."""

import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from dfsc.files import folder_written_whole, write_text
from dfsc.report.page import ASSETS, TEMPLATES
from dfsc.report.page.answer import answers, notes, rests_on
from dfsc.report.page.benchmark import Benchmark
from dfsc.report.page.charts import forests
from dfsc.report.page.data import as_script_text, category_data, curve_data, facts, run_data, write_data
from dfsc.report.page.images import write_images
from dfsc.report.page.maps import packed_maps
from dfsc.report.page.tables import page_tables
from dfsc.report.tables import RUNS_MISSING
from dfsc.settings.grid import CELL_FILES, Grid, figure_names

MAPS = CELL_FILES["score"]["maps"]
FIGURES = {  # in the order in which they are looked at: the beginning of a file's name -> title, and what it shows
    "auroc_over_quantile": ("AUROC over the quantile", "Small: single seeds. Beneath: the paired difference."),
    "what_changed": ("What changed", "Anomalies that the method finds and its baseline misses, and the reverse."),
    "score_histograms": ("Image scores", "Of good and anomalous test images, the baseline above the method."),
    "heatmaps": ("Anomaly maps", "The first images of each type by name: chosen before any score was known."),
    "worst": ("Where the method fails", "The anomalies that it ranks lowest."),
    "novelty_over_training": ("What the constraint acts on, over training", "Feature distances, and their novel sets."),
    "novelty": ("What the constraint acts on", "The feature distance with the novel sets, after training."),
}


def write_page(
    results: Path,
    dataset: Path,
    output: Path,
    reference: Path | None = None,
    workers: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Write the page of a benchmark's results (results/<benchmark>, with its tables) into the folder `output`.

    dataset: holds a folder per category. reference: results of others, for Tables 1 and 2. Runs that are missing leave
    gaps, and the page says so. Raises UserError, writing nothing, for files that are missing or damaged, and for an
    `output` that holds something else.
    """
    benchmark = Benchmark.read(results, dataset, reference)
    with folder_written_whole(output) as folder:
        shutil.copytree(ASSETS, folder / "assets")
        shutil.copyfile(_plotly(), folder / "assets" / "plotly.min.js")
        images: Counter[str] = Counter()
        for number, category in enumerate(benchmark.grid.categories):
            listed = write_images(dataset / category, folder / "images" / str(number), workers, progress)
            images.update(image["folder"] for image in listed)
            _write_category(benchmark, folder, number, category, listed)
        write_data(folder / "data", "runs", run_data(benchmark))
        figures = _copy_figures(benchmark.grid, results / "figures", folder / "figures")
        write_text(folder / "index.html", _template("index.html").render(contents(benchmark, images, figures)))


def contents(benchmark: Benchmark, images: Mapping[str, int], figures: list[dict[str, str]]) -> dict[str, Any]:
    """What index.html says. images: 'good' or anomaly type -> number; figures: file, title and text."""
    comparison, context = benchmark.comparison, benchmark.context
    return {
        "title": f"{benchmark.grid.benchmark}: DFSC against EfficientAD",
        "benchmark": benchmark,
        "runs_missing": RUNS_MISSING,
        "answers": answers(comparison, context),
        "notes": notes(comparison, context),
        "rests_on": list(rests_on(benchmark, images)),
        "tables": page_tables(benchmark),
        "figures": figures,
        "facts": as_script_text(facts(benchmark)),
        "forests": as_script_text(forests(comparison, context)),
    }


def _write_category(
    benchmark: Benchmark, folder: Path, number: int, category: str, images: list[dict[str, Any]]
) -> None:
    write_data(folder / "data", f"category{number}", category_data(benchmark, category, images))
    write_data(folder / "data", f"curves{number}", curve_data(benchmark, category))
    paths = [image["path"] for image in images]
    by_seed: dict[str, dict[str, Path]] = {}
    for key, cell in benchmark.cells_in(category):
        if (archive := benchmark.file(cell, MAPS)).exists():
            by_seed.setdefault(str(cell.seed), {})[key] = archive
    for seed, archives in by_seed.items():
        for block, packed in enumerate(packed_maps(archives, paths)):
            write_data(folder / "maps", f"maps{number}-{seed}-{block}", packed)


def _copy_figures(grid: Grid, source: Path, target: Path) -> list[dict[str, str]]:
    """Copy those of the grid's figures that there are; returns file, title and text of each, in the order of FIGURES.

    Others may lie beside them: of methods and categories that were in the configuration once.
    """
    found: list[dict[str, str]] = []
    names = figure_names(grid)
    target.mkdir()
    for start, (title, text) in FIGURES.items():
        for of in names[start]:
            file = f"{start}_{of}.png"
            if (source / file).exists():
                shutil.copyfile(source / file, target / file)
                found.append({"file": file, "title": f"{title}: {of.replace('_', ' ')}", "text": text})
    return found


def _plotly() -> Path:
    """The JavaScript that plotly carries in its package."""
    import plotly

    return Path(plotly.__file__).parent / "package_data" / "plotly.min.js"


def _template(name: str) -> Any:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template(name)
