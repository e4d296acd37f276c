"""A generated data set in exactly MVTec LOCO AD's layout, for demonstrations and tests where the real one is absent.

A module per category says what its images show; here they are counted, seeded and written.
"""

import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from dfsc.data.synthetic.cable_panel import CABLE_PANEL
from dfsc.data.synthetic.coin_tray import COIN_TRAY
from dfsc.data.synthetic.dahlia_row import DAHLIA_ROW
from dfsc.data.synthetic.photographs import pretraining_crop
from dfsc.data.synthetic.picture_wall import PICTURE_WALL
from dfsc.data.synthetic.scene import Category, Defect, draw_scene
from dfsc.files import folder_written_whole, write_json
from dfsc.settings.synthetic import CATEGORIES, CategoryName, SyntheticSettings

SCENES = {category.name: category for category in (COIN_TRAY, PICTURE_WALL, DAHLIA_ROW, CABLE_PANEL)}


def synthesize(
    output: Path,
    settings: SyntheticSettings,
    categories: Iterable[CategoryName] = CATEGORIES,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Write output/<category>/... in MVTec LOCO AD's layout and output/pretraining/NNNNN.png.

    Every image depends on the seed and on its own category, split and number alone, so the same settings give the
    same bytes, and larger counts or more categories only add images. Images are RGB, neither square nor of one size
    over the categories; masks are 'L', 0 = normal. Pretraining images are square RGB crops of
    photographs, 128 to 256 pixels wide.
    `progress` is called with the images written so far and in all.

    Raises UserError if `output` exists, is not empty and was not made by this, or cannot be written; it is left as is.
    """
    scenes = [SCENES[name] for name in categories]
    jobs = list(_jobs(settings, scenes))
    with folder_written_whole(output) as root:
        for category in scenes:
            (root / category.name).mkdir()
            write_json(root / category.name / "defects_config.json", _defects_config(category))
        for done, job in enumerate(jobs, start=1):
            job(root)
            progress(done, len(jobs))


def _jobs(settings: SyntheticSettings, scenes: list[Category]) -> Iterator[Callable[[Path], None]]:
    """One function per image, which writes it and its masks below a folder."""
    for category in scenes:
        splits: tuple[tuple[str, int, tuple[Defect | None, ...]], ...] = (
            ("train/good", settings.train, (None,)),
            ("validation/good", settings.validation, (None,)),
            ("test/good", settings.test_good, (None,)),
            ("test/logical_anomalies", settings.logical, category.logical),
            ("test/structural_anomalies", settings.structural, category.structural),
        )
        for split, (folder, count, defects) in enumerate(splits):
            for number in range(count):
                path = Path(category.name, folder, f"{number:03d}.png")
                seed = _seed(settings, category.name, split, number)
                yield partial(_write_image, category, path, defects[number % len(defects)], seed)
    for number in range(settings.pretraining):
        yield partial(_write_crop, number, _seed(settings, "pretraining", 0, number))


def _seed(settings: SyntheticSettings, name: str, split: int, number: int) -> tuple[int, ...]:
    """An image's own; by the name, so that it is the same whatever else is drawn."""
    return settings.seed, zlib.crc32(name.encode()), split, number


def _write_image(category: Category, path: Path, defect: Defect | None, seed: tuple[int, ...], root: Path) -> None:
    image, masks = draw_scene(category, np.random.default_rng(seed), defect)
    _save(image, root / path)
    regions = root / category.name / "ground_truth" / path.parent.name / path.stem
    value = _pixel_values(category)[defect] if defect else 0
    for region, mask in enumerate(masks):
        _save(mask.point(lambda covered: value if covered else 0), regions / f"{region:03d}.png")


def _write_crop(number: int, seed: tuple[int, ...], root: Path) -> None:
    _save(pretraining_crop(np.random.default_rng(seed), number), root / "pretraining" / f"{number:05d}.png")


def _pixel_values(category: Category) -> dict[Defect, int]:
    """Grey value of each defect in the masks: 255 downwards."""
    return {defect: 255 - number for number, defect in enumerate((*category.logical, *category.structural))}


def _defects_config(category: Category) -> list[dict[str, object]]:
    return [
        {
            "defect_name": defect.name,
            "pixel_value": value,
            "saturation_threshold": defect.saturation,
            "relative_saturation": isinstance(defect.saturation, float),
        }
        for defect, value in _pixel_values(category).items()
    ]


def _save(image: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, compress_level=1)  # photographs hardly shrink at higher levels, which take longer
