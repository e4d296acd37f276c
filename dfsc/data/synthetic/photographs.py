"""The photographs that everything generated is cut from: those that installed packages ship, so none is downloaded.

scikit-image's are in the public domain, or free of known restrictions. scikit-learn's two are under CC BY 2.0:
china.jpg by danielbuechele, flower.jpg by vultilion. matplotlib's is a work of the US Navy, in the public domain.
"""

from functools import lru_cache
from importlib.metadata import distribution
from pathlib import Path

from numpy.random import Generator
from PIL import Image, ImageOps

from dfsc.data.images import decode_image

Size = tuple[int, int]  # width and height in pixels
Tones = tuple[tuple[int, int, int], tuple[int, int, int]]  # RGB of the darkest and of the lightest pixel

FOLDERS = {  # of each distribution, where it installs them
    "scikit-image": "skimage/data",
    "scikit-learn": "sklearn/datasets/images",
    "matplotlib": "matplotlib/mpl-data/sample_data",
}
PHOTOGRAPHS = {  # the distribution that ships each
    "astronaut.png": "scikit-image",
    "brick.png": "scikit-image",
    "camera.png": "scikit-image",
    "chelsea.png": "scikit-image",
    "china.jpg": "scikit-learn",
    "coffee.png": "scikit-image",
    "coins.png": "scikit-image",
    "flower.jpg": "scikit-learn",
    "grace_hopper.jpg": "matplotlib",
    "grass.png": "scikit-image",
    "gravel.png": "scikit-image",
    "hubble_deep_field.jpg": "scikit-image",
    "ihc.png": "scikit-image",
    "moon.png": "scikit-image",
    "retina.jpg": "scikit-image",
    "rocket.jpg": "scikit-image",
}

CROP_SHARE = (0.25, 1.0)  # side of a pretraining crop, as a share of the photograph's shorter side
CROP_PIXELS = (128, 256)  # and in the file


@lru_cache
def photograph(name: str, tones: Tones | None = None) -> Image.Image:
    """One of PHOTOGRAPHS, RGB, in these tones if any. Raises UserError if the file is missing."""
    if tones:
        return toned(photograph(name), tones)
    shipped_by = PHOTOGRAPHS[name]
    return decode_image(Path(str(distribution(shipped_by).locate_file(f"{FOLDERS[shipped_by]}/{name}"))))


def toned(picture: Image.Image, tones: Tones) -> Image.Image:
    """The picture in other colours, from the darkest of the tones to the lightest, at full contrast."""
    return ImageOps.colorize(ImageOps.autocontrast(picture.convert("L"), cutoff=1), *tones)


def random_crop(random: Generator, texture: Image.Image, size: Size, scale: float) -> Image.Image:
    """A piece of a texture, `scale` times as large."""
    width, height = size[0] / scale, size[1] / scale
    left, top = random.uniform(0, texture.width - width), random.uniform(0, texture.height - height)
    return texture.resize(size, Image.Resampling.BICUBIC, (left, top, left + width, top + height))


def wood(random: Generator, size: Size) -> Image.Image:
    """Planks, cut from the table in the photograph of coffee."""
    planks = photograph("coffee.png").crop((490, 0, 600, 400)).rotate(90, expand=True)
    left, boards = int(random.integers(400 - size[0] + 1)), Image.new("RGB", size)
    for row, top in enumerate(range(0, size[1], planks.height)):
        boards.paste(ImageOps.flip(planks) if row % 2 else planks, (-left, top))
    return boards


def pretraining_crop(random: Generator, number: int) -> Image.Image:
    """Crop `number`, square, 128 to 256 pixels wide; the photographs take turns."""
    photo = photograph(list(PHOTOGRAPHS)[number % len(PHOTOGRAPHS)])
    side = min(photo.size) * random.uniform(*CROP_SHARE)
    left, top = random.uniform(0, photo.width - side), random.uniform(0, photo.height - side)
    pixels = int(random.integers(CROP_PIXELS[0], CROP_PIXELS[1] + 1))
    crop = photo.resize((pixels, pixels), Image.Resampling.BICUBIC, (left, top, left + side, top + side))
    return crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if random.integers(2) else crop
