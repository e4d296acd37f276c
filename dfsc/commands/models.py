"""Models: teacher, training, anomaly maps and their evaluation."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from dfsc.commands.options import (
    AllThreads,
    Category,
    Checkpoints,
    Dataset,
    Device,
    FalseAlarmRate,
    ModelFile,
    Output,
    PaddingName,
    ProgressTo,
    Seconds,
    Settings,
    Threads,
    Workers,
    progress_bar,
    training_progress,
)
from dfsc.settings.leaves import Size
from dfsc.settings.teacher import PublishedSize

Curve = Annotated[Path, typer.Option(help="Training curve to write, CSV.")]
Record = Annotated[Path, typer.Option(help="What it was made from to write, JSON.")]
Kept = Annotated[
    Path | None, typer.Option(help="Folder of what all share: decoded images, a GPU's compiled code. May be deleted.")
]
PretrainingFolder = Annotated[Path, typer.Option(help="Where the images of the index lie.")]
NOT_ALL_ACCEPTED = 3  # of `dfsc predict`; not 1, with which a crash ends
app = typer.Typer()
teacher_app = typer.Typer(no_args_is_help=True, help="Pretrain a teacher, or take over a published one.")
app.add_typer(teacher_app, name="teacher")


@teacher_app.command()
def pretrain(
    settings: Settings,
    pretraining_index: Annotated[Path, typer.Option(help="Written by `dfsc index`.")],
    pretraining_folder: PretrainingFolder,
    output: Output,
    curve: Curve,
    record: Record,
    checkpoints: Checkpoints,
    backbone_weights: Annotated[Path | None, typer.Option(help="State dict, unless random or of a package.")] = None,
    device: Device = "auto",
    threads: Threads = 1,
    workers: Workers = 0,
    checkpoint_seconds: Seconds = 60,
    progress: ProgressTo = None,
) -> None:
    """Pretrain a teacher: distil a backbone's features into a small network."""
    from dfsc.settings.building import read_settings
    from dfsc.settings.teacher import TeacherSettings
    from dfsc.training.device import choose_device
    from dfsc.training.loop import LoopOptions
    from dfsc.training.progress import ProgressFile
    from dfsc.training.teacher import TeacherFiles, run_pretraining

    parsed = read_settings(settings, TeacherSettings)
    with ProgressFile(progress) as kept:
        run_pretraining(
            parsed,
            pretraining_index,
            pretraining_folder,
            backbone_weights,
            TeacherFiles(output, curve, record),
            checkpoints,
            choose_device(device, threads),
            LoopOptions(workers, checkpoint_seconds, kept.beside(training_progress(f"teacher {parsed.size}"))),
        )


@teacher_app.command("import")
def import_published(
    file: Annotated[Path, typer.Argument(help="State dict of a PDN, or anomalib's zip of both.")],
    size: Annotated[PublishedSize, typer.Option(help="Which of the published teachers.")],
    output: Output,
    record: Record,
    sha256: Annotated[str | None, typer.Option(help="Digest that you vouch for, if the file is not known.")] = None,
) -> None:
    """Take over a teacher published elsewhere, instead of pretraining one."""
    from dfsc.model.published_teachers import run_import

    run_import(file, size, sha256, output, record)


@teacher_app.command("track")
def track_pretrained(
    teacher: Annotated[Path, typer.Argument(help="Written by `dfsc teacher pretrain`.")],
    uri: Annotated[str, typer.Option(help="MLflow tracking store.")],
    benchmark: Annotated[str, typer.Option(help="Name of the benchmark it belongs to.")],
    output: Output,
) -> None:
    """Track a pretrained teacher and its loss curve as one MLflow run; write the receipt."""
    from dfsc.report.runs import track_teacher

    track_teacher(teacher, uri, benchmark, output)


@app.command()
def train(
    settings: Settings,
    dataset: Dataset,
    category: Category,
    manifest: Annotated[Path, typer.Option(help="Written by `dfsc manifest`.")],
    teacher: Annotated[Path, typer.Option(help="Written by `dfsc teacher pretrain` or `dfsc teacher import`.")],
    pretraining_index: Annotated[Path, typer.Option(help="Written by `dfsc index`.")],
    pretraining_folder: PretrainingFolder,
    output: Output,
    curve: Curve,
    distances: Annotated[Path, typer.Option(help="Feature distances of one image over the training to write, npz.")],
    record: Record,
    checkpoints: Checkpoints,
    device: Device = "auto",
    threads: Threads = 1,
    workers: Workers = 0,
    checkpoint_seconds: Seconds = 60,
    progress: ProgressTo = None,
    kept: Kept = None,
) -> None:
    """Train one model, EfficientAD or DFSC."""
    from dfsc.settings.building import read_settings
    from dfsc.settings.training import TrainingSettings
    from dfsc.training.device import choose_device
    from dfsc.training.loop import LoopOptions
    from dfsc.training.progress import ProgressFile
    from dfsc.training.student import ModelFiles, run_training

    parsed = read_settings(settings, TrainingSettings)
    label = "/".join(output.absolute().parent.parts[-3:])  # as the cell is called
    with ProgressFile(progress) as told:
        run_training(
            parsed,
            dataset / category,
            manifest,
            teacher,
            pretraining_index,
            pretraining_folder,
            ModelFiles(output, curve, distances, record),
            checkpoints,
            choose_device(device, threads),
            LoopOptions(workers, checkpoint_seconds, told.beside(training_progress(label))),
            kept,
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
    validation: Annotated[
        Path | None, typer.Option(help="Manifest of the validation images, for calibration_images.")
    ] = None,
    device: Device = "auto",
    threads: Threads = 1,
    workers: Workers = 1,
    kept: Kept = None,
) -> None:
    """Score the test images of a category with a trained model."""
    from dfsc.inference.score import run_scoring
    from dfsc.settings.building import read_settings
    from dfsc.settings.scoring import ScoringSettings
    from dfsc.training.device import choose_device

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
        progress_bar("images scored"),
        validation,
        kept,
    )


@app.command()
def speed(
    size: Annotated[Size, typer.Option(help="Of the networks.")],
    image_size: Annotated[int, typer.Option(min=64, help="Side of the images in pixels, a multiple of 32.")],
    settings: Settings,
    output: Output,
    device: Device = "auto",
    threads: Threads = 1,
) -> None:
    """Measure how fast networks of a size judge images on this machine: one alone, and in batches of 16."""
    from dfsc.inference.speed import measure_speed, write_speed
    from dfsc.settings.building import read_settings
    from dfsc.settings.scoring import ScoringSettings
    from dfsc.training.device import choose_device

    parsed = read_settings(settings, ScoringSettings)
    found = measure_speed(size, image_size, parsed, choose_device(device, threads))
    write_speed(output, found)
    print(
        f"{size}: {found.latency_ms:.1f} ms for one image, {found.images_per_second:.1f} images/s in batches of 16; "
        f"{found.measured_on}"
    )


@app.command()
def evaluate(
    dataset: Dataset,
    category: Category,
    maps: Annotated[Path, typer.Option(help="Holds <category>/test/<type>/<id>.tiff; or small maps (npz).")],
    output: Output,
    curves: Annotated[Path | None, typer.Option(help="ROC and sPRO curves to write: CSV, PDF, PNG.")] = None,
    scores: Annotated[Path | None, typer.Option(help="Image scores of small maps; without, a map's maximum.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Threads.")] = 1,
) -> None:
    """Judge anomaly maps, anyone's or ours: image AUROC and sPRO as LOCO's official evaluator defines them."""
    from dfsc.errors import UserError
    from dfsc.files import write_json
    from dfsc.inference.evaluate import evaluate_official_maps, evaluate_small_maps
    from dfsc.inference.image_scores import read_scores
    from dfsc.inference.maps import read_maps

    options: dict[str, Any] = {"workers": workers, "progress": progress_bar("maps")}
    if maps.is_dir():
        if scores is not None:
            raise UserError("--scores: is for small maps (npz); of maps as TIFFs the image score is the maximum")
        evaluation = evaluate_official_maps(dataset, category, maps, **options)
    else:
        image_scores = None if scores is None else read_scores(scores)
        validation = [] if scores is None else [*read_scores(scores, "validation").values()]
        small = read_maps(maps)
        evaluation = evaluate_small_maps(
            dataset, category, small, scores=image_scores, validation=validation, **options
        )
    write_json(output, evaluation.metrics)
    if curves is not None:
        from dfsc.report.figures.curves import write_curves

        write_curves(curves, evaluation)


@app.command()
def export(
    model: ModelFile,
    output: Annotated[Path, typer.Option(help="The ONNX file to write.")],
    check: Annotated[list[str] | None, typer.Option(help="Images or folders to compare on; may be repeated.")] = None,
    false_alarm_rate: FalseAlarmRate = 0.05,
    padding: PaddingName = "zero",
    threads: AllThreads = None,
) -> None:
    """Write a model as one ONNX graph: image of any size in, anomaly map and image score out.

    Exit code 1: on an image of --check it changes the verdict, so that no file is written; 2: a mistake.
    """
    from dfsc.inference.detector import Detector
    from dfsc.inference.exported import run_export
    from dfsc.inference.predict import listed_images
    from dfsc.model.trained import load_model
    from dfsc.training.device import choose_device

    images = listed_images(check or [])
    cores = threads or len(os.sched_getaffinity(0))
    detector = Detector(load_model(model), false_alarm_rate, padding, choose_device("cpu", cores))
    compared = run_export(detector, model, output, images, cores, progress_bar("images"))
    print(f"{output}: {detector.promise}")
    for one in compared:
        print(
            f"{one.runtime}: {one.milliseconds:.1f} ms an image; greatest difference of a map "
            f"{one.map_difference:.1e}, of a score {one.score_difference:.1e} of it; "
            f"{len(one.changed)} of {len(images)} verdicts changed"
        )


@app.command()
def predict(
    model: ModelFile,
    images: Annotated[list[str], typer.Argument(help="Files, folders; - for a list of paths on standard input.")],
    output: Annotated[Path, typer.Option(help="Folder for predictions.csv and heatmaps.")],
    false_alarm_rate: FalseAlarmRate = 0.05,
    padding: PaddingName = "zero",
    heatmaps: Annotated[bool, typer.Option(help="Draw each image's anomaly map over it.")] = True,
    device: Device = "auto",
    threads: AllThreads = None,
) -> None:
    """Judge new images: accept or reject each. A run that was stopped goes on if it is called again.

    Exit code 0: all were accepted; 3: some were rejected, or cannot be read; 2: a mistake; 143: stopped.
    """
    from dfsc.inference.detector import Detector
    from dfsc.inference.predict import listed_images, run_prediction
    from dfsc.model.trained import load_model
    from dfsc.training.device import choose_device

    listed = listed_images(images)
    cores = threads or len(os.sched_getaffinity(0))
    detector = Detector(load_model(model), false_alarm_rate, padding, choose_device(device, cores))
    print(detector.promise)
    summary = run_prediction(model, detector, listed, output, heatmaps, cores, progress_bar("images"))
    print(summary)
    print(f"verdicts: {output / 'predictions.csv'}" + (f"; heatmaps: {output / 'heatmaps'}" if heatmaps else ""))
    if not summary.all_accepted:
        raise typer.Exit(NOT_ALL_ACCEPTED)
