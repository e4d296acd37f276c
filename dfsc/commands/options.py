"""Options that several subcommands share, and the progress that a person sees."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

Settings = Annotated[str, typer.Option(help="The step's settings: a YAML or JSON file, or JSON text.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Threads = Annotated[int, typer.Option(min=1, help="Threads of computing on a CPU; they shape the last bits.")]
Workers = Annotated[int, typer.Option(min=0, help="Threads that decode images ahead; 0 decodes in between.")]
Checkpoints = Annotated[Path, typer.Option(help="Folder of checkpoints, to go on from after an interruption.")]
Seconds = Annotated[float, typer.Option(min=0, help="Seconds between checkpoints.")]
ProgressTo = Annotated[
    Path | None, typer.Option("--progress", help="Small file to keep up to date, which `dfsc status` reads.")
]
Output = Annotated[Path, typer.Option(help="The file to write.")]
Dataset = Annotated[Path, typer.Option(help="Folder that holds one folder per category, in LOCO's layout.")]
Category = Annotated[str, typer.Option(help="Name of the category's folder.")]


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
    from dfsc.progress import plain_progress

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
