"""Images: fetched, generated or arranged, and listed in manifests."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from dfsc.commands.options import Category, Dataset, Output, Settings, progress_bar
from dfsc.errors import UserError

app = typer.Typer()
Part = Literal["training", "test", "ground_truth"]  # `changes.PARTS`
Layout = Literal["mvtec_ad", "mvtec_ad_2", "visa", "btad"]  # `layouts.LAYOUTS`
LargeMasks = Annotated[bool, typer.Option("--large-masks", help="Allow masks of more than half of their image.")]


@app.command()
def synthesize(
    output: Annotated[Path, typer.Option(help="Folder of categories; those to write must not exist.")],
    settings: Settings,
    only: Annotated[list[str] | None, typer.Option(help="A category, or `pretraining`; else all. Repeatable.")] = None,
) -> None:
    """Draw the generated data set: categories in LOCO's layout, and photographs for pretraining."""
    from dfsc.data.synthetic import synthesize as write_data_set
    from dfsc.settings.building import read_settings
    from dfsc.settings.synthetic import PARTS, SyntheticSettings

    write_data_set(output, read_settings(settings, SyntheticSettings), only or PARTS, progress_bar("images"))


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="A source listed in the file of sources.")],
    sources: Annotated[Path, typer.Option(help="YAML file that lists sources.")] = Path("config/sources.yaml"),
    output: Annotated[Path | None, typer.Option(help="Where to put it, instead of the listed place.")] = None,
    dvc: Annotated[bool, typer.Option("--dvc", help="Let DVC keep a copy; its stage calls this without.")] = False,
) -> None:
    """Bring a source from outside to its place, or take over what is there: downloaded, verified, unpacked."""
    from dfsc.data.sources import fetch_source

    fetch_source(name, sources, output, dvc)


@app.command()
def arrange(
    output: Annotated[Path, typer.Option(help="The category's folder in LOCO's layout to write.")],
    split: Annotated[str, typer.Option(help="Shares of the good images that validate and test, JSON or file.")],
    layout: Annotated[Layout | None, typer.Option(help="Of the public data set that --folder is of.")] = None,
    folder: Annotated[Path | None, typer.Option(help="One category's folder of it.")] = None,
    images: Annotated[str | None, typer.Option(help="Instead: which folders are what, JSON or file.")] = None,
    mask_threshold: Annotated[
        int | None, typer.Option(min=1, help="Grey value from which on a mask marks defect; without it, no greys.")
    ] = None,
    large_masks: LargeMasks = False,
    part: Annotated[Part | None, typer.Option(help="Only the files that this reads.")] = None,
) -> None:
    """Arrange a category of another layout, or of images of your own, in LOCO's layout."""
    from dfsc.data.arranging import arrange as write_category
    from dfsc.data.layouts import LAYOUTS
    from dfsc.data.own_images import list_own_images
    from dfsc.settings.building import read_settings
    from dfsc.settings.own_images import OwnImages, SplitSettings

    if images is not None and layout is None and folder is None:
        listing = list_own_images(read_settings(images, OwnImages))
    elif images is None and layout is not None and folder is not None:
        listing = LAYOUTS[layout](folder)
    else:
        raise UserError("arrange: give --layout with --folder, or --images")
    write_category(listing, output, read_settings(split, SplitSettings), mask_threshold, large_masks, part)


@app.command()
def manifest(
    dataset: Dataset,
    category: Category,
    output: Output,
    published: Annotated[Path | None, typer.Option(help="Table of published counts and sizes to check, CSV.")] = None,
    part: Annotated[Part | None, typer.Option(help="Only the files that this reads.")] = None,
    workers: Annotated[int, typer.Option(min=1)] = 1,
    large_masks: LargeMasks = False,
) -> None:
    """Check every file of a category, and list path, size, digest and pixels of each."""
    from dfsc.data.layout import write_manifest
    from dfsc.data.manifest import check_counts, scan_category

    records = scan_category(dataset / category, progress_bar("images checked"), workers, large_masks, part)
    if published is not None:
        check_counts(records, category, published, part)
    write_manifest(output, records)


@app.command()
def index(
    folder: Annotated[Path, typer.Option(help="Folder of images, searched recursively.")],
    source: Annotated[str, typer.Option(help="The set's name in every result, for example imagenet.")],
    output: Output,
    first: Annotated[int | None, typer.Option(min=1, help="Only so many, in the order of their paths.")] = None,
) -> None:
    """List the images of pretraining and penalty once, however many they are."""
    from dfsc.data.pretraining_images import write_index

    found = write_index(folder, source, output, first)
    others = f"; {found.others} other files were left out" if found.others else ""
    print(f"{found.images} images of {source} listed in {output}{others}")
