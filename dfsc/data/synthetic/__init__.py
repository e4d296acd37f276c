"""A generated data set in exactly MVTec LOCO AD's layout, for demonstrations and tests where the real one is absent.

A module per category says what its images show; here they are counted, seeded and written.
"""

import zlib
from collections.abc import Callable, Iterator, Sequence
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
from dfsc.errors import UserError
from dfsc.files import folder_written_whole, write_json
from dfsc.settings.synthetic import PARTS, PRETRAINING, SyntheticSettings

SCENES: dict[str, Category] = {scene.name: scene for scene in (COIN_TRAY, PICTURE_WALL, DAHLIA_ROW, CABLE_PANEL)}
Write = Callable[[Path], None]  # one image, and its masks, below a folder


def synthesize(
    output: Path,
    settings: SyntheticSettings,
    parts: Sequence[str] = PARTS,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Write output/<category>/... in MVTec LOCO AD's layout and output/pretraining/NNNNN.png, of `parts` only these.

    Every image depends on the seed and on its own category, split and number alone, so the same settings give the
    same bytes, and larger counts or more parts only add images. Images are RGB, neither square nor of one size over
    the categories; masks are 'L', 0 = normal. Pretraining images are square RGB crops of photographs, 128 to 256
    pixels wide. `progress` is called with the images written so far and in all. Each part is written whole or not at
    all.

    Raises UserError if a part is unknown, or if its folder exists, is not empty and was not made by this, or cannot be
    written; it is left as is.
    """
    if unknown := [part for part in parts if part not in PARTS]:
        raise UserError(f"{unknown[0]}: is not generated; choose from {', '.join(PARTS)}")
    jobs = {part: list(_crops(settings) if part == PRETRAINING else _images(SCENES[part], settings)) for part in parts}
    done, total = 0, sum(map(len, jobs.values()))
    for part, writes in jobs.items():
        with folder_written_whole(output / part) as folder:
            if part in SCENES:
                write_json(folder / "defects_config.json", _defects_config(SCENES[part]))
            for write in writes:
                write(folder)
                done += 1
                progress(done, total)


def _images(category: Category, settings: SyntheticSettings) -> Iterator[Write]:
    splits: tuple[tuple[str, int, tuple[Defect | None, ...]], ...] = (
        ("train/good", settings.train, (None,)),
        ("validation/good", settings.validation, (None,)),
        ("test/good", settings.test_good, (None,)),
        ("test/logical_anomalies", settings.logical, category.logical),
        ("test/structural_anomalies", settings.structural, category.structural),
    )
    for split, (folder, count, defects) in enumerate(splits):
        for number in range(count):
            path, seed = Path(folder, f"{number:03d}.png"), _seed(settings, category.name, split, number)
            yield partial(_write_image, category, path, defects[number % len(defects)], seed)


def _crops(settings: SyntheticSettings) -> Iterator[Write]:
    for number in range(settings.pretraining):
        yield partial(_write_crop, number, _seed(settings, PRETRAINING, 0, number))


def _seed(settings: SyntheticSettings, part: str, split: int, number: int) -> tuple[int, ...]:
    """An image's own: by its part's name, so that it is the same whichever parts are drawn."""
    return settings.seed, zlib.crc32(part.encode()), split, number


def _write_image(category: Category, path: Path, defect: Defect | None, seed: tuple[int, ...], folder: Path) -> None:
    image, masks = draw_scene(category, np.random.default_rng(seed), defect)
    _save(image, folder / path)
    regions = folder / "ground_truth" / path.parent.name / path.stem
    value = _pixel_values(category)[defect] if defect else 0
    for region, mask in enumerate(masks):
        _save(mask.point(lambda covered: value if covered else 0), regions / f"{region:03d}.png")


def _write_crop(number: int, seed: tuple[int, ...], folder: Path) -> None:
    _save(pretraining_crop(np.random.default_rng(seed), number), folder / f"{number:05d}.png")


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
