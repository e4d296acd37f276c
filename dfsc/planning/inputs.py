"""Images and weights that a benchmark reads: whether they are there, or what is fetched, from where, and how large."""

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from dfsc.data.adoption import check_published
from dfsc.data.archive import GROWTH, RECEIPT
from dfsc.data.arranging import Listing, arrange
from dfsc.data.download import size_of, verified
from dfsc.data.images import image_files, is_image_name
from dfsc.data.layout import IMAGE_FOLDERS, REQUIRED_FOLDERS
from dfsc.data.layouts import LAYOUTS
from dfsc.data.own_images import list_own_images
from dfsc.data.pretraining_images import write_index
from dfsc.data.sources import Source, place_of, read_source
from dfsc.errors import UserError, listed
from dfsc.inference.threshold import smallest_rate
from dfsc.model.packaged_weights import PACKAGED
from dfsc.model.published_teachers import import_teacher
from dfsc.outside.command import require_executable
from dfsc.planning.fetched import (
    SOURCES,
    fetched_images,
    fetched_teachers,
    fetches_backbone,
    penalty_sections,
    pretrained_sizes,
)
from dfsc.planning.findings import Brought, Finding, found
from dfsc.settings.agreement import ARRANGED
from dfsc.settings.building import build
from dfsc.settings.grid import Grid
from dfsc.settings.own_images import OwnImages, SplitSettings


@dataclass
class Inputs:
    """Looks at what a configuration reads. to_fetch: place -> bytes that fetching needs there, as far as looked at."""

    config: Mapping[str, Any]
    to_fetch: dict[Path, int] = field(default_factory=dict)

    def findings(self) -> Iterator[Finding]:
        """Of images, weights, and methods from outside; one line each."""
        yield found("images", self._images)
        for key, section in penalty_sections(self.config).items():
            what = "penalty images" if key == "pretraining" else f"penalty images of {key}"
            yield found(what, partial(self._penalty, key, section))
        if pretrained_sizes(self.config):
            yield found("backbone", self._backbone)
        for size, file in self.config["teacher"]["published"].items():
            yield found(f"teacher {size}", partial(self._teacher, size, file))
        for name, section in self.config.get("methods", {}).items():
            yield found(f"method {name}", partial(self._method, name, section))

    def _images(self) -> str:
        dataset = self.config["dataset"]
        folder, source, categories = Path(dataset["folder"]), dataset["source"], dataset["categories"]
        if source == "generated":
            return Brought(f"the workflow draws them in {folder}")
        if source in ARRANGED:
            split = build(SplitSettings, dataset["split"])
            told = []
            for category in categories:
                if source == "images":
                    listing = list_own_images(build(OwnImages, dataset["images"][category]))
                else:
                    listing = LAYOUTS[source](Path(dataset["original"], category))
                told.append(f"{category}: {_counts(listing, split)}")
            return f"{'; '.join(told)}; the workflow arranges them in {folder}"
        if source in fetched_images(self.config).values():
            words = self._fetched(replace(read_source(source, SOURCES), output=folder))
            if isinstance(words, Brought):
                return words
        count = sum(_count(folder / category) for category in categories)
        return f"{folder}: {count:,} images in {len(categories)} categories"

    def _penalty(self, key: str, section: Mapping[str, Any]) -> str:
        if section["images"] == "generated":
            return Brought(f"the workflow draws them in {section['folder']}")
        if source := fetched_images(self.config).get(f"{key}.images"):
            words = self._fetched(read_source(source, SOURCES))
            if isinstance(words, Brought):
                return words
        with tempfile.TemporaryDirectory() as work:  # a whole ImageNet would take minutes
            write_index(Path(section["folder"]), section["images"], Path(work, "index"), first=1)
        return f"{section['folder']}: holds images, of {section['images']}"

    def _backbone(self) -> str:
        teacher = self.config["teacher"]
        name = teacher["backbone"]
        if teacher["backbone_weights"] == "random":
            return f"{name}: random weights, as configured"
        if not fetches_backbone(self.config):
            return f"{name}: {PACKAGED[name].found()[1]}"
        place_of(name, "teacher.backbone", SOURCES)
        return self._fetched(read_source(name, SOURCES))

    def _teacher(self, size: str, file: str) -> str:
        source = fetched_teachers(self.config).get(size)
        if source is None:
            return f"{file}: {import_teacher(Path(file), size, None)[1]}"
        place_of(source, f"teacher.published.{size}", SOURCES)
        return self._fetched(read_source(source, SOURCES))

    def _method(self, name: str, section: Mapping[str, Any]) -> str:
        if section.get("command") is not None:
            require_executable(Path(section["command"]))
            return f"{section['command']}: can be run"
        cells = [cell for cell in Grid.from_config(self.config).cells() if cell.method == name]
        folders = [Path(section["maps"].format(category=cell.category, seed=cell.seed), "test") for cell in cells]
        if absent := [str(folder) for folder in folders if not folder.is_dir()]:
            raise UserError(f"no folder of maps: {listed(absent)}; put them there, or correct methods.{name}.maps")
        return f"{len(folders)} folders of maps"

    def _fetched(self, source: Source) -> str:
        """What is there of a source, or will be fetched. Raises UserError if it is neither."""
        place = source.output
        if place.exists() and not source.unpack:
            verified(place, source.sha256, f"move it away to fetch it from {source.address}")
            return f"{place}: is the listed file"
        if place.exists():
            if (place / RECEIPT).is_file():
                return f"{place}: was fetched"  # file by file, the workflow checks it
            check_published(place, source.published)
            return f"{place}: fits {source.published}"
        if Path(source.address).is_dir():
            check_published(Path(source.address), source.published)
            return Brought(f"{place}: the workflow makes it a link to {source.address}")
        try:
            size = size_of(source.address)
        except UserError as fault:
            remedy = f"or, if you have it, put it there or write its path as `address` in {SOURCES}"
            raise UserError(f"{place}: is not there, and {fault}, {remedy}") from fault
        if size is None:
            return Brought(f"{place}: the workflow fetches it from {source.address}; how large it is is not said there")
        self.to_fetch[place] = int(size * (1 + GROWTH)) if source.unpack else size
        unpacked = f", {self.to_fetch[place] / 1e6:,.1f} MB while it is unpacked" if source.unpack else ""
        return Brought(f"{place}: the workflow fetches {size / 1e6:,.1f} MB{unpacked} from {source.address}")


def _counts(listing: Listing, split: SplitSettings) -> str:
    """How many images train, validate and test, and the lowest rate of false alarms that a threshold can promise.

    Raises UserError as `dfsc.data.arranging.arrange` does.
    """
    with tempfile.TemporaryDirectory() as work:
        arrange(listing, Path(work), split, part="training")
        train, validation = (
            sum(is_image_name(file.name) for file in Path(work, name).glob("*/*")) for name in ("train", "validation")
        )
    good = len(listing.good) + len(listing.validation) + len(listing.test_good)
    test = good + sum(len(defect.images) for defect in listing.defects) - train - validation
    return (
        f"{train} images train, {validation} validate (which can promise {100 * smallest_rate(validation):.2g} % false "
        f"alarms, and no less), {test} test"
    )


def _count(category: Path) -> int:
    """The number of a category's images, in LOCO's layout. Raises UserError naming a split that holds none."""
    for split in REQUIRED_FOLDERS:
        if not image_files(category / split):
            raise UserError(f"{category / split}: holds no image, or is not there; check `dataset.folder`")
    return sum(len(image_files(category / split)) for split in IMAGE_FOLDERS)
