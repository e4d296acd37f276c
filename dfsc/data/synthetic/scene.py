"""A scene: photographed parts on a photographed ground, and the edits that turn a normal one into an anomaly."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from dfsc.data.synthetic.photographs import Size
from dfsc.settings.synthetic import CategoryName

Array = NDArray[np.float64]
Span = tuple[float, float]  # drawn uniformly between the two
Point = tuple[float, float]  # x and y in pixels

# How much the light on normal images varies: more hides anomalies better.
BRIGHTNESS: Span = (0.95, 1.05)  # factor over the whole image
LIGHT_FALL: Span = (-0.06, 0.06)  # change of that factor from the left edge to the right edge


@dataclass(frozen=True)
class Part:
    """One object in a scene: its kind, an RGBA picture whose alpha is its outline, and its centre in pixels."""

    kind: str
    picture: Image.Image
    centre: Point

    @property
    def corner(self) -> Size:
        """Left upper corner of the picture in the scene, in pixels."""
        return round(self.centre[0] - self.picture.width / 2), round(self.centre[1] - self.picture.height / 2)


Region = list[Part]  # a defect region is whatever these parts cover together
Edited = tuple[list[Part], list[Region]]
Edit = Callable[[Generator, list[Part]], Edited]


@dataclass(frozen=True)
class Defect:
    """A kind of anomaly; `saturation` is a share of the region (float) or an area in pixels (int)."""

    name: str
    saturation: float
    edit: Edit


@dataclass(frozen=True)
class Category:
    """A kind of scene: its size (width, height), the rule normal images keep, and the defects that break it."""

    name: CategoryName
    size: Size
    rule: str
    ground: Callable[[Generator], Image.Image]
    arrange: Callable[[Generator], list[Part]]
    logical: tuple[Defect, ...]
    structural: tuple[Defect, ...]


def draw_scene(
    category: Category, random: Generator, defect: Defect | None = None
) -> tuple[Image.Image, list[Image.Image]]:
    """Draw one image, normal unless a defect is given: an RGB image and one 'L' mask (0 or 255) per defect region."""
    scene, parts, regions = category.ground(random), category.arrange(random), list[Region]()
    if defect:
        parts, regions = defect.edit(random, parts)
    cast_shadow(scene, _mask(parts, scene.size), (2, 3), 0.55)
    for part in parts:
        scene.paste(part.picture, part.corner, part.picture)
    return _lit(random, scene), [_mask(region, scene.size) for region in regions]


def cast_shadow(ground: Image.Image, outline: Image.Image, offset: Size, strength: float) -> None:
    """Darken the ground, softly, where the outline ('L') moved by `offset` covers it."""
    shadow = ImageChops.offset(outline, *offset).filter(ImageFilter.GaussianBlur(2.5))
    ground.paste((0, 0, 0), (0, 0), shadow.point(lambda value: value * strength))


def _mask(region: Region, size: Size) -> Image.Image:
    mask = Image.new("L", size)
    for part in region:
        outline = Image.new("L", size)
        outline.paste(part.picture.getchannel("A"), part.corner)
        mask = ImageChops.lighter(mask, outline)
    return mask.point(lambda value: 255 * (value >= 96))


def _lit(random: Generator, scene: Image.Image) -> Image.Image:
    fall = random.uniform(*LIGHT_FALL) * np.linspace(-0.5, 0.5, scene.width)
    light = (random.uniform(*BRIGHTNESS) + fall)[None, :, None]
    return Image.fromarray(np.clip(np.asarray(scene) * light, 0, 255).astype(np.uint8))


def exchanged(parts: list[Part], new: dict[int, Part]) -> Edited:
    """The parts with those at some places exchanged; each new one is a region."""
    return [new.get(place, part) for place, part in enumerate(parts)], [[part] for part in new.values()]


def swapped(parts: list[Part], pairs: list[tuple[int, int]]) -> Edited:
    """The parts at each pair of places have exchanged them; each is a region."""
    new = dict[int, Part]()
    for one, other in pairs:
        new[one] = replace(parts[other], centre=parts[one].centre)
        new[other] = replace(parts[one], centre=parts[other].centre)
    return exchanged(parts, new)


def missing(random: Generator, parts: list[Part]) -> Edited:
    """One part is gone; the region is where it was."""
    place = int(random.integers(len(parts)))
    return parts[:place] + parts[place + 1 :], [[parts[place]]]


def laid(random: Generator, kind: str, picture: Image.Image, centre: Point, turn: Span, shift: Span) -> Part:
    """A part near `centre`, turned by some degrees and shifted by some pixels."""
    picture = picture.rotate(random.uniform(*turn), Image.Resampling.BICUBIC, expand=True)
    return Part(kind, picture, (centre[0] + random.uniform(*shift), centre[1] + random.uniform(*shift)))


def shape(size: Size, kind: str, points: Array | list[Point], width: float = 0) -> Image.Image:
    """An antialiased 'polygon', 'ellipse' or 'line' as an 'L' image of `size`; `points` and `width` in pixels."""
    fine = 4
    canvas = Image.new("L", (size[0] * fine, size[1] * fine))
    corners = [(float(x) * fine, float(y) * fine) for x, y in points]
    options = {"width": max(1, round(width * fine)), "joint": "curve"} if kind == "line" else {}
    getattr(ImageDraw.Draw(canvas), kind)(corners, fill=255, **options)
    return canvas.reduce(fine)


def blob(size: Size, centre: float | Array, radii: Array) -> Image.Image:
    """A polygon as `shape` draws it, its corners at these distances from `centre`, equal angles apart."""
    angles = np.linspace(0, 2 * np.pi, len(radii), endpoint=False)
    return shape(size, "polygon", centre + radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1))
