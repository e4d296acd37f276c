"""Methods from outside: their images, their runs, maps made elsewhere, and the controls."""

import re
from pathlib import Path
from typing import Annotated, Literal

import typer

from dfsc.commands.options import Category, Dataset
from dfsc.errors import UserError

app = typer.Typer()
method_app = typer.Typer(no_args_is_help=True, help="Methods from outside: begin one, check it, run it.")
app.add_typer(method_app, name="method")

Command = Annotated[Path, typer.Option(help="The method's executable; its folder holds its code.")]
Manifest = Annotated[Path, typer.Option(help="Manifest of the test images, of `dfsc manifest`.")]
Seed = Annotated[str, typer.Option(help="A whole number, or `none` for a method without seeds.")]
Scores = Annotated[Path, typer.Option(help="Image scores to write, CSV.")]
Maps = Annotated[Path, typer.Option(help="Small anomaly maps to write, npz.")]
Record = Annotated[Path, typer.Option(help="What made them to write, JSON.")]
Name = Annotated[str, typer.Argument(help="The name of the method's folder.")]
Methods = Annotated[Path, typer.Option(help="Where the folders of methods lie.")]


def _above_zero(minutes: float) -> float:
    """Minutes in which something can be done. Raises UserError."""
    if not minutes > 0:
        raise UserError(f"--minutes: {minutes:g} must be above 0")
    return minutes


Minutes = Annotated[float, typer.Option(callback=_above_zero, help="After these a run is stopped; above 0.")]


def named(name: str) -> str:
    """A method's name. Raises UserError if no configuration could name it so."""
    from dfsc.settings.agreement import fault_of_name

    if fault := fault_of_name(name):
        raise UserError(f"{name}: {fault}")
    return name


def seed_given(text: str) -> str:
    """A seed, or NO_SEED. Raises UserError."""
    from dfsc.settings.grid import NO_SEED

    if text != NO_SEED and not re.fullmatch("[0-9]{1,10}", text):
        raise UserError(f"--seed: {text!r} is neither a whole number nor {NO_SEED}")
    return text


@method_app.command()
def run(
    command: Command,
    dataset: Dataset,
    category: Category,
    manifest: Annotated[list[Path], typer.Option(help="Manifests of training and test images; once for each.")],
    seed: Seed,
    scores: Scores,
    maps: Maps,
    record: Record,
    minutes: Minutes = 60,
    gpus: Annotated[int, typer.Option(min=0, help="GPUs that it may use; 0: it computes on the CPU.")] = 0,
) -> None:
    """Run a method's command once on images under neutral names; check its maps, and keep them as those of a model."""
    from dfsc.outside.cells import OutsideFiles
    from dfsc.outside.method import run_method

    files = OutsideFiles(scores, maps, record)
    run_method(command, dataset / category, manifest, seed_given(seed), minutes, gpus, files)


@method_app.command("import")
def import_made(
    folder: Annotated[Path, typer.Option(help="Holds test/<type>/<id>.tiff, as LOCO's official evaluator wants it.")],
    manifest: Manifest,
    seed: Seed,
    scores: Scores,
    maps: Maps,
    record: Record,
) -> None:
    """Take over anomaly maps that were made elsewhere, and keep them as `dfsc score` keeps a model's."""
    from dfsc.outside.cells import OutsideFiles, import_maps

    import_maps(folder, manifest, seed_given(seed), OutsideFiles(scores, maps, record))


@method_app.command()
def control(
    name: Annotated[Literal["random", "oracle"], typer.Argument(help="random: noise. oracle: the ground truth.")],
    dataset: Dataset,
    category: Category,
    manifest: Manifest,
    seed: Seed,
    scores: Scores,
    maps: Maps,
    record: Record,
) -> None:
    """Write maps whose numbers are known: of noise, or of the ground truth itself."""
    from dfsc.outside.cells import OutsideFiles
    from dfsc.outside.controls import make_control

    make_control(name, dataset / category, manifest, seed_given(seed), OutsideFiles(scores, maps, record))


@method_app.command()
def new(name: Name, folder: Methods = Path("methods")) -> None:
    """Write a method's folder that works at once: a run script, its requirements, and a few lines to replace."""
    from dfsc.outside.scaffold import write_scaffold

    write_scaffold(folder / named(name))
    print(f"{folder / name}: written; edit method.py, then: dfsc method check {name}")


@method_app.command()
def check(
    name: Name,
    folder: Methods = Path("methods"),
    device: Annotated[Literal["cpu", "cuda"], typer.Option(help="What the method is told to compute on.")] = "cpu",
    minutes: Minutes = 10,
) -> None:
    """Try a method on generated images, and say in one line what is wrong with it, or what it reaches."""
    import tempfile

    import yaml

    from dfsc.outside.check import check_method

    command = folder / named(name) / "run"
    with tempfile.TemporaryDirectory() as work:
        print(check_method(command, device, 60 * minutes, Path(work)))
    section = {name: {"label": name.replace("_", " "), "command": str(command)}}
    written = yaml.safe_dump(section, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10_000)
    print(f"add it to a configuration: methods: {written.strip()}")
