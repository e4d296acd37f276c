"""Controls: maps whose numbers are known beforehand, which show in every table that the evaluation is right."""

from collections.abc import Mapping
from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from dfsc.data.ground_truth import LabelledImage, list_test_images, read_regions
from dfsc.data.layout import Defect, read_defects
from dfsc.outside.cells import OutsideFiles, listed_test_images, measured, write_cell
from dfsc.provenance import code_digest
from dfsc.settings.grid import NO_SEED

RANDOM_CELLS = 32  # on each side of a map of `random`


def make_control(name: str, category_folder: Path, manifest: Path, seed: str, files: OutsideFiles) -> None:
    """Maps whose numbers are known: of `random`, AUROC about 50; of `oracle`, AUROC 100 and AU-sPRO 1.

    Raises UserError as `read_regions` does.
    """
    records = listed_test_images(manifest)
    with measured() as cost:
        if name == "random":
            number = 0 if seed == NO_SEED else int(seed)
            maps = {record.path: _random_map(f"{category_folder.name}/{record.path}", number) for record in records}
        else:
            labelled = {image.path: image for image in list_test_images(category_folder)}
            marked = any(image.has_masks for image in labelled.values())
            defects = read_defects(category_folder / "defects_config.json") if marked else {}
            maps = {record.path: _oracle_map(category_folder, labelled[record.path], defects) for record in records}
    made = {"origin": "control", "control": name, "code": code_digest("method control"), "hardware": "CPU"}
    write_cell(files, records, maps, None, seed, made | cost)


def _random_map(name: str, seed: int) -> NDArray[np.float32]:
    """Noise of an image's own. `name`: with its category, or images of one name would have the same noise in each."""
    return np.random.default_rng([seed, crc32(name.encode())]).random((RANDOM_CELLS, RANDOM_CELLS), np.float32)


def _oracle_map(category_folder: Path, image: LabelledImage, defects: Mapping[int, Defect]) -> NDArray[np.float32]:
    """The ground truth itself: 1 in each region, 0 elsewhere, at the image's size; without masks, 1 if anomalous."""
    if not image.has_masks:
        return np.full((image.height, image.width), image.folder != "good", np.float32)
    union = np.zeros((image.height, image.width), np.float32)
    for region in read_regions(category_folder, image, defects):
        union[region.mask] = 1
    return union
