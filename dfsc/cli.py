"""The command line: one thin subcommand per rule of the workflow. The only place that parses arguments.

Heavy libraries are imported within the subcommands, so that `dfsc --help` answers at once.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from dfsc.errors import Interrupted, RunFailed, UserError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="DFSC against EfficientAD on MVTec LOCO AD: the steps of the benchmark, one command each.",
)
teacher_app = typer.Typer(no_args_is_help=True, help="Pretrain a teacher, or take over a published one.")
app.add_typer(teacher_app, name="teacher")

Settings = Annotated[str, typer.Option(help="The step's settings: a YAML or JSON file, or JSON text.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Threads = Annotated[int, typer.Option(min=1, help="Threads of computing on a CPU; they shape the last bits.")]
Workers = Annotated[int, typer.Option(min=0, help="Threads that decode images ahead; 0 decodes in between.")]
Checkpoints = Annotated[Path, typer.Option(help="Folder of checkpoints, to go on from after an interruption.")]
Seconds = Annotated[float, typer.Option(min=0, help="Seconds between checkpoints.")]
Output = Annotated[Path, typer.Option(help="The file to write.")]
Dataset = Annotated[Path, typer.Option(help="Folder that holds one folder per category, in LOCO's layout.")]
Category = Annotated[str, typer.Option(help="Name of the category's folder.")]


@app.command()
def synthesize(
    output: Annotated[Path, typer.Option(help="Folder to write; must not exist.")], settings: Settings
) -> None:
    """Draw the generated data set: categories in LOCO's layout, and photographs for pretraining."""
    from dfsc.config import read_settings
    from dfsc.synthetic import SyntheticSettings
    from dfsc.synthetic import synthesize as write_data_set

    write_data_set(output, read_settings(settings, SyntheticSettings), progress=_bar("images"))


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="A source listed in the file of sources.")],
    sources: Annotated[Path, typer.Option(help="YAML file that lists sources.")] = Path("config/sources.yaml"),
) -> None:
    """Bring a source from outside to its place: downloaded, verified, unpacked. DVC's stages call this."""
    from dfsc.sources import fetch_source

    fetch_source(name, sources)


@app.command()
def arrange(
    folder: Annotated[Path, typer.Option(help="One category's folder in MVTec AD's layout.")],
    output: Annotated[Path, typer.Option(help="The category's folder in LOCO's layout to write; must not exist.")],
) -> None:
    """Arrange a category in MVTec AD's layout as one in LOCO's: structural anomalies only."""
    from dfsc.mvtec_ad import arrange as write_category

    write_category(folder, output)


@app.command()
def manifest(
    dataset: Dataset,
    category: Category,
    output: Output,
    published: Annotated[Path | None, typer.Option(help="Table of published counts and sizes to check, CSV.")] = None,
    workers: Annotated[int, typer.Option(min=1)] = 1,
) -> None:
    """Check every file of a category, and list path, size, digest and pixels of each."""
    from dfsc.data import write_manifest
    from dfsc.manifest import check_counts, scan_category

    records = scan_category(dataset / category, _bar("images checked"), workers)
    if published is not None:
        check_counts(records, category, published)
    write_manifest(output, records)


@app.command()
def index(
    folder: Annotated[Path, typer.Option(help="Folder of JPEG and PNG files, searched recursively.")],
    source: Annotated[str, typer.Option(help="The set's name in every result, for example imagenet.")],
    output: Output,
) -> None:
    """List the images of pretraining and penalty once, however many they are."""
    from dfsc.pretraining_images import write_index

    print(f"{write_index(folder, source, output)} images of {source} listed in {output}")


@teacher_app.command()
def pretrain(
    settings: Settings,
    pretraining_index: Annotated[Path, typer.Option(help="Written by `dfsc index`.")],
    output: Output,
    checkpoints: Checkpoints,
    backbone_weights: Annotated[Path | None, typer.Option(help="State dict; without it, random.")] = None,
    device: Device = "auto",
    threads: Threads = 1,
    workers: Workers = 0,
    checkpoint_seconds: Seconds = 60,
) -> None:
    """Pretrain a teacher: distil a backbone's features into a small network."""
    from dfsc.config import read_settings
    from dfsc.device import choose_device
    from dfsc.stages import run_pretraining
    from dfsc.teacher import TeacherSettings

    parsed = read_settings(settings, TeacherSettings)
    run_pretraining(
        parsed,
        pretraining_index,
        backbone_weights,
        output,
        checkpoints,
        choose_device(device, threads),
        workers=workers,
        checkpoint_seconds=checkpoint_seconds,
        progress=_steps(f"teacher {parsed.size}"),
    )


@teacher_app.command("import")
def import_published(
    file: Annotated[Path, typer.Argument(help="State dict of a PDN, or anomalib's zip of both.")],
    size: Annotated[str, typer.Option(help="S or M.")],
    output: Output,
    sha256: Annotated[str | None, typer.Option(help="Digest that you vouch for, if the file is not known.")] = None,
) -> None:
    """Take over a teacher published elsewhere, instead of pretraining one."""
    from dfsc.stages import run_import

    run_import(file, size, sha256, output)


@teacher_app.command("track")
def track_pretrained(
    teacher: Annotated[Path, typer.Argument(help="Written by `dfsc teacher pretrain`.")],
    uri: Annotated[str, typer.Option(help="MLflow tracking store.")],
    benchmark: Annotated[str, typer.Option(help="Name of the benchmark it belongs to.")],
    output: Output,
) -> None:
    """Track a pretrained teacher and its loss curve as one MLflow run; write the receipt."""
    from dfsc.runs import track_teacher

    track_teacher(teacher, uri, benchmark, output)


@app.command()
def train(
    settings: Settings,
    dataset: Dataset,
    category: Category,
    manifest: Annotated[Path, typer.Option(help="Written by `dfsc manifest`.")],
    teacher: Annotated[Path, typer.Option(help="Written by `dfsc pretrain`.")],
    pretraining_index: Annotated[Path, typer.Option(help="Written by `dfsc index`.")],
    output: Output,
    checkpoints: Checkpoints,
    device: Device = "auto",
    threads: Threads = 1,
    workers: Workers = 0,
    checkpoint_seconds: Seconds = 60,
) -> None:
    """Train one model, EfficientAD or DFSC; `training_curve.csv` and `training.json` are written beside it."""
    from dfsc.config import read_settings
    from dfsc.device import choose_device
    from dfsc.stages import run_training
    from dfsc.train import TrainingSettings

    parsed = read_settings(settings, TrainingSettings)
    method = f"DFSC τ'={parsed.dfsc.quantile:g}" if parsed.dfsc else "EfficientAD"
    run_training(
        parsed,
        dataset / category,
        manifest,
        teacher,
        pretraining_index,
        output,
        checkpoints,
        choose_device(device, threads),
        workers,
        checkpoint_seconds=checkpoint_seconds,
        progress=_steps(f"{category}, {method}, seed {parsed.seed}"),
    )


@app.command()
def score(
    model: Annotated[Path, typer.Option(help="Written by `dfsc train`.")],
    settings: Settings,
    dataset: Dataset,
    category: Category,
    manifest: Annotated[Path, typer.Option(help="Written by `dfsc manifest`.")],
    scores: Annotated[Path, typer.Option(help="Image scores to write, CSV.")],
    maps: Annotated[Path, typer.Option(help="Small anomaly maps to write, npz.")],
    full_size_maps: Annotated[Path | None, typer.Option(help="Folder for TIFFs in the official layout.")] = None,
    device: Device = "auto",
    threads: Threads = 1,
    workers: Workers = 1,
) -> None:
    """Score the test images of a category with a trained model."""
    from dfsc.config import read_settings
    from dfsc.device import choose_device
    from dfsc.score import ScoringSettings
    from dfsc.stages import run_scoring

    run_scoring(
        model,
        read_settings(settings, ScoringSettings),
        dataset / category,
        manifest,
        scores,
        maps,
        full_size_maps,
        choose_device(device, threads),
        max(1, workers),
        _bar("images scored"),
    )


@app.command()
def evaluate(
    dataset: Dataset,
    category: Category,
    maps: Annotated[Path, typer.Option(help="Folder of TIFFs in the official layout, or small maps (npz).")],
    output: Output,
    padding: Annotated[str, typer.Option(help="zero, minimum or replicate, for small maps.")] = "zero",
    curves: Annotated[Path | None, typer.Option(help="ROC and sPRO curves to write: CSV, PDF, PNG.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Threads.")] = 1,
) -> None:
    """Judge anomaly maps, anyone's or ours: image AUROC and sPRO as LOCO's official evaluator defines them."""
    from dfsc.evaluate import evaluate_official_maps, evaluate_small_maps
    from dfsc.files import write_json
    from dfsc.maps import read_maps

    options: dict[str, Any] = {"workers": workers, "progress": _bar("maps")}
    if maps.is_dir():
        evaluation = evaluate_official_maps(dataset, category, maps, **options)
    else:
        evaluation = evaluate_small_maps(dataset, category, read_maps(maps), padding, **options)
    write_json(output, evaluation.metrics)
    if curves is not None:
        from dfsc.curves import write_curves

        write_curves(curves, evaluation)


@app.command()
def track(
    model_folder: Annotated[Path, typer.Option(help="Folder of one trained, scored and evaluated model.")],
    uri: Annotated[str, typer.Option(help="MLflow tracking store.")],
    experiment: Annotated[str, typer.Option(help="Name of the MLflow experiment, the benchmark's.")],
    category: Category,
    method: Annotated[str, typer.Option(help="efficientad or dfsc-q<quantile>.")],
    output: Output,
) -> None:
    """Track one model's results as one MLflow run, found or created by its key; write the receipt."""
    from dfsc.runs import track_model

    track_model(model_folder, uri, experiment, category, method, output)


@app.command()
def tables(
    uri: Annotated[str, typer.Option(help="MLflow tracking store.")],
    output: Annotated[Path, typer.Option(help="Folder of tables to write.")],
    grid: Annotated[str, typer.Option(help="The runs wanted: a grid.json of this command, or JSON text.")],
    receipts: Annotated[list[Path], typer.Argument(help="Receipts of `dfsc track`, or folders searched for run.json.")],
    partial: Annotated[bool, typer.Option("--partial", help="Show what there is, marked on every line.")] = False,
) -> None:
    """Assemble the tables from the tracked runs that the receipts name; refuse gaps and runs not made alike."""
    from dfsc.compare import Grid
    from dfsc.paper import write_paper_tables

    write_paper_tables(uri, receipts, Grid.from_text(grid), output, partial)


@app.command()
def compare(
    results: Annotated[Path, typer.Argument(help="results/<benchmark>")],
    metric: Annotated[str, typer.Option(help="image_auroc or au_spro_<limit>.")] = "image_auroc",
    method: Annotated[str | None, typer.Option(help="dfsc-q<quantile>...; without it, the declared one.")] = None,
) -> None:
    """Print DFSC against EfficientAD, pair by pair, with the 95 % interval of the difference."""
    from dfsc.paper import print_comparison

    print_comparison(results / "tables", metric, method)


@app.command()
def sweep(
    tables: Annotated[Path, typer.Option(help="Folder that `dfsc tables` wrote.")],
    output: Annotated[Path, typer.Option(help="Figures to write, without `_<size>` and ending.")],
) -> None:
    """Draw image AUROC over DFSC's quantile."""
    from dfsc.figures import draw_auroc_over_quantile
    from dfsc.paper import read_paper_tables

    draw_auroc_over_quantile(*read_paper_tables(tables)[1:], output)


@app.command()
def histograms(
    tables: Annotated[Path, typer.Option(help="Folder that `dfsc tables` wrote.")],
    output: Annotated[Path, typer.Option(help="Figures to write, without `_<size>` and ending.")],
) -> None:
    """Draw the histograms of image scores of EfficientAD and of the declared DFSC."""
    import pandas as pd

    from dfsc.figures import draw_score_histograms
    from dfsc.paper import read_paper_tables

    draw_score_histograms(pd.read_csv(tables / "scores.csv"), read_paper_tables(tables)[2], output)


@app.command()
def heatmaps(
    dataset: Dataset,
    category: Category,
    maps: Annotated[list[str], typer.Argument(help="METHOD=FILE, small maps of `dfsc score`.")],
    output: Annotated[Path, typer.Option(help="Figure to write, without ending.")],
    padding: Annotated[str, typer.Option(help="zero, minimum or replicate.")] = "zero",
    source: Annotated[str, typer.Option(help="Name of the pretraining images.")] = "",
    worst: Annotated[bool, typer.Option("--worst", help="What the last method ranks lowest, not the first.")] = False,
    images: Annotated[list[str] | None, typer.Option(help="test/<type>/<name>.png to draw, instead.")] = None,
) -> None:
    """Draw images, ground truth and anomaly maps side by side."""
    from dfsc.heatmaps import draw_heatmaps

    files = {name: Path(file) for name, _, file in (entry.partition("=") for entry in maps)}
    draw_heatmaps(dataset / category, files, padding, output, source=source, worst=worst, chosen=images)


@app.command()
def novelty(
    models: Annotated[list[Path], typer.Argument(help="model.pt of EfficientAD, then of DFSC.")],
    dataset: Dataset,
    category: Category,
    quantiles: Annotated[str, typer.Option(help="Quantiles whose novel sets are drawn, with commas.")],
    output: Annotated[Path, typer.Option(help="Figure to write, without ending.")],
    source: Annotated[str, typer.Option(help="Name of the pretraining images.")] = "",
) -> None:
    """Draw the difference of teacher and autoencoder with the novel sets that the quantiles split off."""
    from dfsc.novelty import draw_novelty

    draw_novelty(models, dataset / category, [float(text) for text in quantiles.split(",")], output, source)


@app.command()
def show(
    results: Annotated[Path, typer.Argument(help="results/<benchmark>")],
    uri: Annotated[str, typer.Option(help="MLflow tracking store.")] = "sqlite:///mlflow.db",
) -> None:
    """Print a benchmark's tables, where its files are, and how to open its runs in MLflow."""
    from dfsc.paper import print_tables

    print_tables(results / "tables")
    print(f"tables:  {results / 'tables'}/*.md, *.tex, *.csv\nfigures: {results / 'figures'}/*.pdf, *.png")
    where = f"mlflow ui --backend-store-uri {uri}" if not uri.startswith("http") else uri
    print(f"runs:    {where}  (experiment {results.name})")


@app.command()
def status(
    configfile: Annotated[list[Path] | None, typer.Option(help="As given to Snakemake; may be repeated.")] = None,
) -> None:
    """Print how far the grid is: what is done, running and failed, and how long it will still take."""
    from dfsc.status import print_status, read_config

    print_status(read_config(configfile or []))


def _bar(unit: str) -> Callable[[int, int], None]:
    """A progress bar on a terminal; silent elsewhere, where steps are short."""
    if not sys.stderr.isatty():
        return lambda done, total: None
    from tqdm import tqdm

    bar = tqdm(unit=f" {unit}")

    def report(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)
        if done == total:
            bar.close()

    return report


def _steps(label: str) -> Any:
    """Progress of a training: a bar on a terminal, a line now and then in a log."""
    from dfsc.stages import plain_progress

    if not sys.stderr.isatty():
        return plain_progress(label)
    from tqdm import tqdm

    bar = tqdm(desc=label, unit="step")

    def report(step: int, steps: int, losses: Any) -> None:
        bar.total = steps
        bar.set_postfix({name: f"{value:.3f}" for name, value in losses.items()}, refresh=False)
        bar.update(step - bar.n)
        if step == steps:
            bar.close()

    return report


def main() -> None:
    """Entry point: mistakes and failed runs end in one line and an exit code, never in a traceback."""
    try:
        app()
    except (UserError, RunFailed, Interrupted) as error:
        print(f"dfsc: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


if __name__ == "__main__":
    main()
