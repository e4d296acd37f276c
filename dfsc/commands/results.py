"""Results: tracked runs, tables, figures, and how far a benchmark is."""

from pathlib import Path
from typing import Annotated

import typer

from dfsc.commands.options import Category, Dataset, Output, Quantiles, quantiles_of
from dfsc.errors import UserError
from dfsc.settings.scoring import Padding

app = typer.Typer()


@app.command()
def track(
    model_folder: Annotated[Path, typer.Option(help="Folder of one trained, scored and evaluated model.")],
    uri: Annotated[str, typer.Option(help="MLflow tracking store.")],
    experiment: Annotated[str, typer.Option(help="Name of the MLflow experiment, the benchmark's.")],
    category: Category,
    method: Annotated[str, typer.Option(help="efficientad or dfsc-q<quantile>.")],
    output: Output,
    manifest: Annotated[list[Path] | None, typer.Option(help="What it was made and judged from; repeatable.")] = None,
) -> None:
    """Track one model's results as one MLflow run, found or created by its key; write the receipt."""
    from dfsc.report.runs import track_model

    track_model(model_folder, uri, experiment, category, method, output, manifest or [])


@app.command()
def tables(
    uri: Annotated[str, typer.Option(help="MLflow tracking store.")],
    output: Annotated[Path, typer.Option(help="Folder of tables to write.")],
    grid: Annotated[str, typer.Option(help="The runs wanted: a grid.json of this command, or JSON text.")],
    receipts: Annotated[list[Path], typer.Argument(help="Receipts of `dfsc track`, or folders searched for run.json.")],
    reference: Annotated[Path | None, typer.Option(help="Results of others to show with ours, CSV.")] = None,
    partial: Annotated[bool, typer.Option("--partial", help="Show what there is, marked on every line.")] = False,
) -> None:
    """Assemble the tables from the tracked runs that the receipts name; refuse gaps and runs not made alike."""
    from dfsc.report.compare import Grid
    from dfsc.report.paper import write_paper_tables

    write_paper_tables(uri, receipts, Grid.from_text(grid), output, partial, reference)


@app.command()
def compare(
    results: Annotated[Path, typer.Argument(help="results/<benchmark>")],
    metric: Annotated[str, typer.Option(help="image_auroc or au_spro_<limit>.")] = "image_auroc",
    method: Annotated[str | None, typer.Option(help="dfsc-q<quantile>...; without it, the declared one.")] = None,
) -> None:
    """Print DFSC against EfficientAD, pair by pair, with the 95 % interval of the difference."""
    from dfsc.report.paper import print_comparison

    print_comparison(results / "tables", metric, method)


@app.command()
def sweep(
    tables: Annotated[Path, typer.Option(help="Folder that `dfsc tables` wrote.")],
    output: Annotated[Path, typer.Option(help="Figures to write, without `_<size>` and ending.")],
) -> None:
    """Draw image AUROC over DFSC's quantile."""
    from dfsc.report.figures.from_tables import draw_auroc_over_quantile
    from dfsc.report.paper import read_paper_tables

    draw_auroc_over_quantile(*read_paper_tables(tables)[1:], output)


@app.command()
def histograms(
    tables: Annotated[Path, typer.Option(help="Folder that `dfsc tables` wrote.")],
    output: Annotated[Path, typer.Option(help="Figures to write, without `_<size>` and ending.")],
) -> None:
    """Draw the histograms of image scores of EfficientAD and of the declared DFSC."""
    from dfsc.report.figures.from_tables import draw_score_histograms
    from dfsc.report.paper import read_image_scores, read_paper_tables

    draw_score_histograms(read_image_scores(tables), read_paper_tables(tables)[2], output)


@app.command()
def heatmaps(
    dataset: Dataset,
    category: Category,
    maps: Annotated[list[str], typer.Argument(help="METHOD=FILE, small maps of `dfsc score`.")],
    output: Annotated[Path, typer.Option(help="Figure to write, without ending.")],
    padding: Annotated[Padding, typer.Option(help="What fills a map's border.")] = "zero",
    source: Annotated[str, typer.Option(help="Name of the pretraining images.")] = "",
    worst: Annotated[
        Path | None, typer.Option(help="scores.csv of the last method: draw what it ranks lowest, not the first.")
    ] = None,
    images: Annotated[list[str] | None, typer.Option(help="test/<type>/<file> to draw, instead.")] = None,
) -> None:
    """Draw images, ground truth and anomaly maps side by side."""
    from dfsc.report.figures.heatmaps import draw_heatmaps

    files = {name: Path(file) for name, _, file in (entry.partition("=") for entry in maps)}
    if wrong := [entry for entry in maps if "=" not in entry]:
        raise UserError(f"{wrong[0]}: is not METHOD=FILE, for example efficientad=maps.npz")
    draw_heatmaps(dataset / category, files, padding, output, source=source, worst=worst, chosen=images)


@app.command()
def novelty(
    models: Annotated[list[Path], typer.Argument(help="model.pt of EfficientAD, then of DFSC.")],
    dataset: Dataset,
    category: Category,
    quantiles: Quantiles,
    output: Annotated[Path, typer.Option(help="Figure to write, without ending.")],
    source: Annotated[str, typer.Option(help="Name of the pretraining images.")] = "",
) -> None:
    """Draw the difference of teacher and autoencoder with the novel sets that the quantiles split off."""
    from dfsc.report.figures.novelty import draw_novelty

    draw_novelty(models, dataset / category, quantiles_of(quantiles), output, source)


@app.command()
def novelty_over_training(
    logs: Annotated[list[Path], typer.Argument(help="differences.npz of EfficientAD, then of DFSC.")],
    quantiles: Quantiles,
    output: Annotated[Path, typer.Option(help="Figure to write, without ending.")],
    title: Annotated[str, typer.Option(help="Title of the figure.")],
) -> None:
    """Draw how the difference of teacher and autoencoder, and its novel sets, change over training."""
    from dfsc.report.figures.novelty import draw_novelty_over_training

    draw_novelty_over_training(logs, quantiles_of(quantiles), output, title)


@app.command()
def show(
    results: Annotated[Path, typer.Argument(help="results/<benchmark>")],
    uri: Annotated[str, typer.Option(help="MLflow tracking store.")] = "sqlite:///mlflow.db",
) -> None:
    """Print a benchmark's tables, where its files are, and how to open its runs in MLflow."""
    from dfsc.report.paper import print_tables
    from dfsc.report.store import masked

    print_tables(results / "tables")
    print(f"tables:  {results / 'tables'}/*.md, *.tex, *.csv\nfigures: {results / 'figures'}/*.pdf, *.png")
    where = f"mlflow ui --backend-store-uri {uri}" if not uri.startswith("http") else uri
    print(f"runs:    {masked(where)}  (experiment {results.name})")


@app.command()
def status(
    configfile: Annotated[list[Path] | None, typer.Option(help="As given to Snakemake, once: --configfile A B")] = None,
    more: Annotated[list[Path] | None, typer.Argument(metavar="B", help="More of them, laid over A.")] = None,
) -> None:
    """Print how far the grid is: what is done, running and failed, and how long it will still take."""
    from dfsc.cluster.status import print_status
    from dfsc.settings.reading import read_configuration

    if len(configfile or []) > 1:
        raise UserError("--configfile: is given twice, of which Snakemake takes the last only; write --configfile A B")
    if more and not configfile:
        raise UserError(f"{more[0]}: is given without --configfile; write --configfile {' '.join(map(str, more))}")
    print_status(read_configuration([*(configfile or []), *(more or [])]))
