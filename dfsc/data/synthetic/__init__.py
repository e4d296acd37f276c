"""A generated data set in exactly MVTec LOCO AD's layout, for demonstrations and tests where the real one is absent.

`coin_tray` and `picture_wall` say what the images show; here they are counted, seeded and written.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from dfsc.data.synthetic.coin_tray import COIN_TRAY
from dfsc.data.synthetic.picture_wall import PICTURE_WALL
from dfsc.data.synthetic.scene import Category, Defect, draw_scene, photograph
from dfsc.files import folder_written_whole, write_json
from dfsc.settings.synthetic import SyntheticSettings

SCENES = (COIN_TRAY, PICTURE_WALL)

CROP_SHARE = (0.25, 1.0)  # side of a pretraining crop, as a share of the photograph's shorter side
CROP_PIXELS = (128, 256)  # and in the file
PHOTOGRAPHS = (
    "astronaut.png",
    "brick.png",
    "chelsea.png",
    "coffee.png",
    "coins.png",
    "grass.png",
    "gravel.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "moon.png",
    "retina.jpg",
    "rocket.jpg",
)


def synthesize(
    output: Path, settings: SyntheticSettings, progress: Callable[[int, int], None] = lambda done, total: None
) -> None:
    """Write output/<category>/... in MVTec LOCO AD's layout and output/pretraining/NNNNN.png.

    Every image depends on the seed and on its own category, split and number alone, so the same settings give the
    same bytes, and larger counts only add images. Images are RGB, neither square nor of one size over the categories;
    masks are 'L', 0 = normal. Pretraining images are square RGB crops of photographs, 128 to 256 pixels wide.
    `progress` is called with the images written so far and in all.

    Raises UserError if `output` exists, is not empty and was not made by this, or cannot be written; it is left as is.
    """
    jobs = list(_jobs(settings))
    with folder_written_whole(output) as root:
        for category in SCENES:
            (root / category.name).mkdir()
            write_json(root / category.name / "defects_config.json", _defects_config(category))
        for done, job in enumerate(jobs, start=1):
            job(root)
            progress(done, len(jobs))


def _jobs(settings: SyntheticSettings) -> Iterator[Callable[[Path], None]]:
    """One function per image, which writes it and its masks below a folder."""
    for index, category in enumerate(SCENES):
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
                seed = (settings.seed, index, split, number)
                yield partial(_write_image, category, path, defects[number % len(defects)], seed)
    for number in range(settings.pretraining):
        yield partial(_write_crop, number, (settings.seed, len(SCENES), 0, number))


def _write_image(category: Category, path: Path, defect: Defect | None, seed: tuple[int, ...], root: Path) -> None:
    image, masks = draw_scene(category, np.random.default_rng(seed), defect)
    _save(image, root / path)
    regions = root / category.name / "ground_truth" / path.parent.name / path.stem
    value = _pixel_values(category)[defect] if defect else 0
    for region, mask in enumerate(masks):
        _save(mask.point(lambda covered: value if covered else 0), regions / f"{region:03d}.png")


def _write_crop(number: int, seed: tuple[int, ...], root: Path) -> None:
    random, photo = np.random.default_rng(seed), photograph(PHOTOGRAPHS[number % len(PHOTOGRAPHS)])
    side = min(photo.size) * random.uniform(*CROP_SHARE)
    left, top = random.uniform(0, photo.width - side), random.uniform(0, photo.height - side)
    pixels = int(random.integers(CROP_PIXELS[0], CROP_PIXELS[1] + 1))
    crop = photo.resize((pixels, pixels), Image.Resampling.BICUBIC, (left, top, left + side, top + side))
    if random.integers(2):
        crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    _save(crop, root / "pretraining" / f"{number:05d}.png")


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
