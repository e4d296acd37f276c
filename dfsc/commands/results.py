"""Results: tracked runs, tables, figures, and how far a benchmark is."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dfsc.commands.options import (
    Category,
    Configfile,
    Curves,
    Dataset,
    Labels,
    MoreConfigfiles,
    Output,
    Quantiles,
    Workers,
    configuration,
    labelled,
    progress_bar,
    quantiles_of,
)
from dfsc.errors import UserError

if TYPE_CHECKING:
    from dfsc.settings.grid import Grid

Results = Annotated[Path | None, typer.Option(help="Where receipts lie; results/<benchmark> if not said.")]
Uri = Annotated[str | None, typer.Option(help="MLflow tracking store; the configuration's if not said.")]
GridText = Annotated[str | None, typer.Option("--grid", hidden=True, help="As the workflow passes it, JSON.")]
PAIR = ("the baseline's", "the method's")
app = typer.Typer()


def benchmark(
    configfile: list[Path] | None, more: list[Path] | None, results: Path | None, uri: str | None, grid: str | None
) -> "tuple[Grid, str, Path]":
    """The grid, its tracking store, and where its results lie: as said, else as the configuration has it."""
    from dfsc.settings.grid import Grid

    config = {} if grid and uri else configuration(configfile, more)
    wanted = Grid.from_text(grid) if grid else Grid.from_config(config)
    return wanted, uri or config["tracking"]["uri"], results or Path("results", wanted.benchmark)


@app.command()
def track(
    files: Annotated[list[Path], typer.Argument(help="What was made of one model: training.json, metrics.json...")],
    uri: Annotated[str, typer.Option(help="MLflow tracking store.")],
    experiment: Annotated[str, typer.Option(help="Name of the MLflow experiment, the benchmark's.")],
    category: Category,
    method: Annotated[str, typer.Option(help="Its name, for example dfsc-S-q0.99.")],
    output: Output,
    manifest: Annotated[list[Path] | None, typer.Option(help="What it was made and judged from; repeatable.")] = None,
    protocol: Annotated[str, typer.Option(help="In what it deviates from the published protocol, if it does.")] = "",
) -> None:
    """Track one model's results as one MLflow run, found or created by its key; write the receipt."""
    from dfsc.report.runs import track_model

    track_model(files, uri, experiment, category, method, output, manifest or [], protocol)


@app.command()
def pair(
    output: Output,
    configfile: Configfile = None,
    more: MoreConfigfiles = None,
    results: Results = None,
    uri: Uri = None,
    grid: GridText = None,
) -> None:
    """Give each compared run in MLflow its differences from its baseline's run, to be seen there side by side."""
    from dfsc.report.pairing import pair_runs

    wanted, store, folder = benchmark(configfile, more, results, uri, grid)
    pair_runs(store, folder, wanted, output)


@app.command()
def tables(
    configfile: Configfile = None,
    more: MoreConfigfiles = None,
    results: Results = None,
    output: Annotated[Path | None, typer.Option(help="Folder to write; `tables` in --results if not said.")] = None,
    uri: Uri = None,
    reference: Annotated[Path | None, typer.Option(help="Results of others to show with ours, CSV.")] = None,
    partial: Annotated[bool, typer.Option("--partial", help="Show what there is, marked on every line.")] = False,
    grid: GridText = None,
) -> None:
    """Assemble the tables from the tracked runs of a configuration; refuse gaps and runs that were not made alike."""
    from dfsc.report.paper import write_paper_tables

    wanted, store, folder = benchmark(configfile, more, results, uri, grid)
    # Not where the workflow's tables lie: Snakemake would take partial ones for the whole.
    written = output or (folder / "partial/tables" if partial else folder / "tables")
    write_paper_tables(store, folder, wanted, written, partial, reference)
    print(f"tables: {written}")


@app.command()
def page(
    configfile: Configfile = None,
    more: MoreConfigfiles = None,
    results: Annotated[Path | None, typer.Option(help="results/<benchmark>, the configuration's if not said.")] = None,
    dataset: Annotated[
        Path | None, typer.Option(help="Folder that holds a folder per category; the configuration's if not said.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Folder to write; `page` in --results if not said.")] = None,
    reference: Annotated[Path | None, typer.Option(help="Results of others to show with ours, CSV.")] = None,
    workers: Workers = 1,
) -> None:
    """Write a page of the results, to be opened from disk: answer, tables, every test image, operating points, runs."""
    from dfsc.report.page.write import write_page

    config = {} if results and dataset and not (configfile or more) else configuration(configfile, more)
    folder = results or Path("results", config["benchmark"])
    images = dataset or Path(config["dataset"]["folder"])
    write_page(folder, images, output or folder / "page", reference, workers, progress_bar("image"))


@app.command()
def study(
    configfile: Configfile = None,
    more: MoreConfigfiles = None,
    kept: Annotated[Path, typer.Option(help="Folder of all runs of the study so far.")] = Path("docs/stand_in"),
    output: Annotated[Path, typer.Option(help="Page to write, from template.md in --kept.")] = Path("docs/stand_in.md"),
    missing: Annotated[
        bool, typer.Option("--missing", help="Print the receipts of runs that are not kept yet.")
    ] = False,
) -> None:
    """Add the runs in a benchmark's tables to those kept of a study of readings, and write its page."""
    from dfsc.report.study import missing_cells, write_study
    from dfsc.settings.grid import CELL_FILES, Grid

    grid = Grid.from_config(configuration(configfile, more))
    results = Path("results", grid.benchmark)
    if missing:
        for cell in missing_cells(grid, kept):
            print(results / cell.path / CELL_FILES["track"]["receipt"])
    else:
        write_study(grid, results / "tables", kept, output)


@app.command()
def merge(
    results: Annotated[list[Path], typer.Argument(help="results/<benchmark> of each lab, with its tables.")],
    output: Annotated[Path, typer.Option(help="Folder to write, as results/<benchmark>; `dfsc show` reads it.")],
    reference: Annotated[Path | None, typer.Option(help="Results of others to show with these, CSV.")] = None,
    partial: Annotated[bool, typer.Option("--partial", help="Show what there is, marked on every line.")] = False,
) -> None:
    """Join the tables of several labs in one; refuse a cell that two of them have, and runs not made alike."""
    from dfsc.report.merging import merge_tables

    if output.resolve() in [folder.resolve() for folder in results]:
        raise UserError(f"{output}: --output is one of the folders to be joined; choose another one")
    merge_tables([folder / "tables" for folder in results], output / "tables", partial, reference)


@app.command()
def compare(
    results: Annotated[Path, typer.Argument(help="results/<benchmark>")],
    metric: Annotated[str, typer.Option(help="image_auroc or au_spro_<limit>.")] = "image_auroc",
    method: Annotated[str | None, typer.Option(help="Its name; without it, each declared one.")] = None,
) -> None:
    """Print a method against its baseline, pair by pair, with the 95 % interval of the difference."""
    from dfsc.report.terminal import print_comparison

    print_comparison(results / "tables", metric, method)


@app.command()
def auroc_over_quantile(
    tables: Annotated[Path, typer.Option(help="Folder that `dfsc tables` wrote.")],
    output: Annotated[Path, typer.Option(help="Figures to write, without `_<baseline>` and ending.")],
) -> None:
    """Draw image AUROC over the quantile that splits similar from novel features."""
    from dfsc.report.figures.from_tables import draw_auroc_over_quantile
    from dfsc.report.paper import read_paper_tables

    draw_auroc_over_quantile(*read_paper_tables(tables), output)


@app.command()
def histograms(
    tables: Annotated[Path, typer.Option(help="Folder that `dfsc tables` wrote.")],
    output: Annotated[Path, typer.Option(help="Figures to write, without `_<method>` and ending.")],
) -> None:
    """Draw the histograms of image scores of each declared method and of its baseline."""
    from dfsc.report.figures.from_tables import draw_score_histograms
    from dfsc.report.paper import read_image_scores, read_paper_tables

    draw_score_histograms(read_image_scores(tables), read_paper_tables(tables)[2], output)


@app.command()
def heatmaps(
    dataset: Dataset,
    category: Category,
    maps: Annotated[list[Path], typer.Argument(help="Small maps of `dfsc score`, one file per method.")],
    output: Annotated[Path, typer.Option(help="Figure to write, without ending.")],
    label: Labels = None,
    source: Annotated[str, typer.Option(help="Name of the pretraining images.")] = "",
    worst: Annotated[
        Path | None, typer.Option(help="scores.csv of the last method: draw what it ranks lowest, not the first.")
    ] = None,
    images: Annotated[list[str] | None, typer.Option(help="test/<type>/<file> to draw, instead.")] = None,
) -> None:
    """Draw images, ground truth and anomaly maps side by side."""
    from dfsc.report.figures.heatmaps import draw_heatmaps

    files = labelled(maps, label)
    draw_heatmaps(dataset / category, files, output, source=source, worst=worst, chosen=images)


@app.command()
def what_changed(
    tables: Annotated[Path, typer.Option(help="Folder that `dfsc tables` wrote.")],
    dataset: Dataset,
    category: Category,
    method: Annotated[str, typer.Option(help="Its name; it is compared with its baseline.")],
    maps: Annotated[list[Path], typer.Argument(help="Small maps of `dfsc score`: the baseline's, then the method's.")],
    output: Annotated[Path, typer.Option(help="Figure to write, without ending.")],
) -> None:
    """Draw anomalies that a method finds and its baseline misses, and the other way round."""
    from dfsc.report.figures.what_changed import draw_what_changed
    from dfsc.report.paper import read_image_scores, read_paper_tables

    if len(maps) != len(PAIR):
        raise UserError(f"{maps[-1]}: give two archives of maps, {' and '.join(PAIR)}")
    context = read_paper_tables(tables)[2]
    draw_what_changed(dataset / category, maps, read_image_scores(tables), context, method, output)


@app.command()
def novelty(
    models: Annotated[list[Path], typer.Argument(help="Written by `dfsc train`, one file per method.")],
    dataset: Dataset,
    category: Category,
    quantiles: Quantiles,
    output: Annotated[Path, typer.Option(help="Figure to write, without ending.")],
    label: Labels = None,
    curve: Curves = None,
    source: Annotated[str, typer.Option(help="Name of the pretraining images.")] = "",
) -> None:
    """Draw the feature distance of teacher and autoencoder with the novel sets that the quantiles split off."""
    from dfsc.report.figures.novelty import draw_novelty

    curves = labelled(curve, label) if curve else None
    draw_novelty(labelled(models, label), dataset / category, quantiles_of(quantiles), output, source, curves)


@app.command()
def novelty_over_training(
    distances: Annotated[list[Path], typer.Argument(help="Feature distances of `dfsc train`, one file per method.")],
    quantiles: Quantiles,
    output: Annotated[Path, typer.Option(help="Figure to write, without ending.")],
    title: Annotated[str, typer.Option(help="Title of the figure.")],
    label: Labels = None,
    curve: Curves = None,
) -> None:
    """Draw how the feature distance of teacher and autoencoder, and its novel sets, change over training."""
    from dfsc.report.figures.novelty import draw_novelty_over_training

    curves = labelled(curve, label) if curve else None
    draw_novelty_over_training(labelled(distances, label), quantiles_of(quantiles), output, title, curves)


@app.command()
def show(
    results: Annotated[Path, typer.Argument(help="results/<benchmark>")],
    uri: Annotated[str, typer.Option(help="MLflow tracking store.")] = "sqlite:///mlflow.db",
    operating_points: Annotated[
        bool,
        typer.Option("--operating-points", help="False alarms, missed anomalies, and what is found of each defect."),
    ] = False,
) -> None:
    """Print a benchmark's tables, where its files are, and how to open its runs in MLflow."""
    from dfsc.report.store import masked
    from dfsc.report.terminal import print_operating_points, print_tables

    if operating_points:
        print_operating_points(results / "tables")
        return
    print_tables(results / "tables")
    print(f"missed anomalies and false alarms: dfsc show {results} --operating-points")
    print(f"page:    {results / 'page/index.html'}, to be opened in a browser")
    print(f"tables:  {results / 'tables'}/*.md, *.tex, *.csv\nfigures: {results / 'figures'}/*.pdf, *.png")
    where = f"mlflow ui --backend-store-uri {uri}" if not uri.startswith("http") else uri
    print(f"runs:    {masked(where)}  (experiment {results.name})")


@app.command()
def status(configfile: Configfile = None, more: MoreConfigfiles = None) -> None:
    """Print how far the grid is: what is done, running and failed, and how long it will still take."""
    from dfsc.cluster.status import print_status

    print_status(configuration(configfile, more))
