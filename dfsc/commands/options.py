"""Options that several subcommands share, and the progress that a person sees."""

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from dfsc.errors import UserError
from dfsc.settings.leaves import DeviceName
from dfsc.settings.scoring import Padding


def _writable(path: Path) -> Path:
    """The file to write, where its folder lets it be: asked before hours of work. Raises UserError."""
    there = next(folder for folder in path.absolute().parents if folder.exists())
    reason = (
        errno.ENOTDIR if not there.is_dir()
        else errno.EACCES if not os.access(there, os.W_OK | os.X_OK)
        else errno.EISDIR if path.is_dir()
        else None
    )  # fmt: skip
    if reason:
        raise UserError(f"{path}: cannot be written ({os.strerror(reason)})")
    return path


def _no_image(path: Path) -> Path:
    """The file of a model, which is given before the images. Raises UserError for an image, or an exported model."""
    from dfsc.data.images import is_image_name

    if is_image_name(path.name) or path.suffix == ".onnx":
        raise UserError(f"{path}: is no model; give the model.pt that `dfsc train` wrote first, and images after it")
    return path


Settings = Annotated[str, typer.Option(help="The step's settings: a YAML or JSON file, or JSON text.")]
Device = Annotated[DeviceName, typer.Option(help="auto: cuda, where there is one. CUDA_VISIBLE_DEVICES chooses a GPU.")]
Threads = Annotated[int, typer.Option(min=1, help="Threads of computing on a CPU; they shape the last bits.")]
AllThreads = Annotated[int | None, typer.Option("--threads", min=1, help="Threads; without it, one for each core.")]
FalseAlarmRate = Annotated[float, typer.Option(help="Share of good images that may be rejected; above 0, below 1.")]
PaddingName = Annotated[Padding, typer.Option("--padding", help="Of a map's border, as `inference.padding`.")]
Workers = Annotated[int, typer.Option(min=0, help="Threads that decode images ahead; 0 decodes in between.")]
Checkpoints = Annotated[Path, typer.Option(help="Folder of checkpoints, to go on from after an interruption.")]
Seconds = Annotated[float, typer.Option(min=0, help="Seconds between checkpoints.")]
ProgressTo = Annotated[
    Path | None, typer.Option("--progress", help="Small file to keep up to date, which `dfsc status` reads.")
]
Output = Annotated[Path, typer.Option(help="The file to write.", callback=_writable)]
ModelFile = Annotated[Path, typer.Argument(help="Written by `dfsc train`.", callback=_no_image)]
Dataset = Annotated[Path, typer.Option(help="Folder that holds one folder per category, in LOCO's layout.")]
Category = Annotated[str, typer.Option(help="Name of the category's folder.")]
Configfile = Annotated[list[Path] | None, typer.Option(help="As given to Snakemake, once: --configfile A B")]
MoreConfigfiles = Annotated[list[Path] | None, typer.Argument(metavar="B", help="More of them; the later goes before.")]
Labels = Annotated[list[str] | None, typer.Option("--label", help="What a method is called; once for each file.")]
Curves = Annotated[
    list[Path] | None, typer.Option("--curve", help="Training curve, once for each file: what is seen of the margin.")
]
Quantiles = Annotated[str, typer.Option(help="Quantiles whose novel sets are drawn, with commas: 0.9,0.99")]


def configuration(configfile: list[Path] | None, more: list[Path] | None) -> dict[str, Any]:
    """config/config.yaml with these files laid over it, as `snakemake --configfile A B`, checked. Raises UserError."""
    from dfsc.settings.reading import read_configuration

    if len(configfile or []) > 1:
        raise UserError("--configfile: is given twice, of which Snakemake takes the last only; write --configfile A B")
    if more and not configfile:
        raise UserError(f"{more[0]}: is given without --configfile; write --configfile {' '.join(map(str, more))}")
    return read_configuration([*(configfile or []), *(more or [])])


def labelled(files: list[Path], labels: list[str] | None) -> dict[str, Path]:
    """Label -> file; without labels, files are called by their path. Raises UserError if it is not one for each."""
    names = labels or list(map(str, files))
    if len(names) != len(files) or len(set(names)) != len(files):
        raise UserError(f"--label: {len(set(names))} labels for {len(files)} files; give each file its own")
    return dict(zip(names, files, strict=True))


def quantiles_of(text: str) -> list[float]:
    """Quantiles in (0, 1) from text with commas. Raises UserError."""
    try:
        quantiles = [float(part) for part in text.split(",")]
    except ValueError:
        quantiles = []
    if not quantiles or not all(0 < quantile < 1 for quantile in quantiles):
        raise UserError(f"--quantiles: {text!r} is no list of numbers between 0 and 1, with commas: 0.9,0.99")
    return quantiles


def progress_bar(unit: str) -> Callable[[int, int], None]:
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


def training_progress(label: str) -> Any:
    """Progress of a training: a bar on a terminal, a line now and then in a log."""
    from dfsc.training.progress import plain_progress

    if not sys.stderr.isatty():
        return plain_progress(label)
    from tqdm import tqdm

    bar = tqdm(desc=label, unit="step")

    def report(step: int, steps: int, losses: Any) -> None:
        if bar.total is None:  # steps before the first report may be an interrupted attempt's
            bar.total, bar.initial, bar.n = steps, step, step
        bar.set_postfix({name: f"{value:.3f}" for name, value in losses.items()}, refresh=False)
        bar.update(step - bar.n)
        if step == steps:
            bar.close()

    return report
