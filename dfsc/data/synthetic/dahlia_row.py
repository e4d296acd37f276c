"""The category dahlia_row: five flowers, each larger than the one before. The relation is an order."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from math import pi

from numpy.random import Generator
from PIL import Image

from dfsc.data.synthetic import scene
from dfsc.data.synthetic.damage import damage_defects
from dfsc.data.synthetic.photographs import Tones, photograph, random_crop, toned
from dfsc.data.synthetic.scene import Category, Defect, Edited, Part, Point, Span

SIZE = (352, 176)
DIAMETERS = (40, 49, 58, 67, 76)  # pixels, from the left
FLOWER = (305, 228, 130, 136)  # in its photograph: centre x, centre y, radius x, radius y, in pixels

# How much normal images vary: more hides anomalies better.
SHIFT: Span = (-3, 3)  # pixels
GAP: Span = (4, 11)  # pixels between two flowers
TURN: Span = (0, 360)  # degrees
SCALE: Span = (0.88, 1.06)  # of all flowers of an image, so that a diameter alone does not tell the place
TONES: dict[str, Tones] = {  # each flower's, at random
    "orange": ((120, 20, 8), (255, 214, 150)),
    "pink": ((110, 8, 60), (255, 196, 226)),
    "white": ((92, 96, 70), (255, 255, 246)),
    "violet": ((40, 10, 96), (214, 190, 255)),
}
WITHERED: Tones = ((40, 26, 8), (168, 132, 70))


def _lawn(random: Generator) -> Image.Image:
    return random_crop(random, photograph("grass.png", ((18, 36, 10), (110, 150, 62))), SIZE, 0.8)


def _flowers(random: Generator) -> list[Part]:
    return _row(random, [str(colour) for colour in random.choice(list(TONES), 5)], DIAMETERS)


def _row(random: Generator, colours: list[str], diameters: Sequence[int]) -> list[Part]:
    """Flowers side by side in this order, in the middle of the image."""
    scale, gap = random.uniform(*SCALE), random.uniform(*GAP)
    left, flowers = SIZE[0] / 2 - (sum(diameters) * scale + 4 * gap) / 2, list[Part]()
    for colour, diameter in zip(colours, diameters, strict=True):
        width = diameter * scale
        flowers.append(_flower(random, colour, width, (left + width / 2, SIZE[1] / 2)))
        left += width + gap
    return flowers


def _flower(random: Generator, colour: str, diameter: float, centre: Point) -> Part:
    picture = _flower_picture(colour).resize((round(diameter), round(diameter)), Image.Resampling.LANCZOS)
    picture = picture.rotate(random.uniform(*TURN), Image.Resampling.BICUBIC)
    return scene.laid(random, colour, picture, centre, (0, 0), SHIFT)


@lru_cache
def _flower_picture(colour: str) -> Image.Image:
    x, y, radius_x, radius_y = FLOWER
    side = 2 * radius_x
    box = (x - radius_x, y - radius_y, x + radius_x, y + radius_y)
    flower = photograph("flower.jpg").resize((side, side), Image.Resampling.LANCZOS, box)
    flower = toned(flower, TONES[colour])
    flower.putalpha(scene.shape((side, side), "ellipse", [(1, 1), (side - 2, side - 2)]))
    return flower


def _with_sizes(random: Generator, parts: list[Part], order: list[int]) -> list[Part]:
    """The row laid anew, with the size of each of these places in turn."""
    return _row(random, [part.kind for part in parts], [DIAMETERS[place] for place in order])


def _swapped_neighbours(random: Generator, parts: list[Part]) -> Edited:
    """A flower is smaller than the one to its left. Either may be the wrong one, so the region covers both."""
    left = int(random.integers(4))
    order = [*range(left), left + 1, left, *range(left + 2, 5)]
    changed = _with_sizes(random, parts, order)
    return changed, [changed[left : left + 2]]


def _moved_flower(random: Generator, parts: list[Part]) -> Edited:
    """The smallest flower lies among larger ones, or the largest among smaller ones."""
    place = int(random.integers(1, 4))
    order = (
        [*range(1, place + 1), 0, *range(place + 1, 5)] if random.integers(2) else [*range(place), 4, *range(place, 4)]
    )
    changed = _with_sizes(random, parts, order)
    return changed, [[changed[place]]]


def _reversed_row(random: Generator, parts: list[Part]) -> Edited:
    """The row begins with its largest flower: left and right are exchanged. The region covers all flowers."""
    changed = [replace(part, centre=(SIZE[0] - part.centre[0], part.centre[1])) for part in parts]
    return changed, [changed]


def _equal_sizes(random: Generator, parts: list[Part]) -> Edited:
    """Two neighbours have one size. Either may be the wrong one, so the region covers both."""
    left = int(random.integers(4))
    order = (
        [*range(left + 1), left, *range(left + 2, 5)]
        if random.integers(2)
        else [*range(left), left + 1, *range(left + 1, 5)]
    )
    changed = _with_sizes(random, parts, order)
    return changed, [changed[left : left + 2]]


FLOWER_AREA = int(pi / 4 * DIAMETERS[0] ** 2)

DAHLIA_ROW = Category(
    name="dahlia_row",
    size=SIZE,
    rule="Five flowers of any colours, each larger than the one to its left.",
    ground=_lawn,
    arrange=_flowers,
    logical=(
        Defect("swapped_neighbours", FLOWER_AREA, _swapped_neighbours),
        Defect("moved_flower", FLOWER_AREA, _moved_flower),
        Defect("reversed_row", FLOWER_AREA, _reversed_row),
        Defect("equal_sizes", FLOWER_AREA, _equal_sizes),
    ),
    structural=damage_defects("flower", broken="torn", bent="bent", discoloured="withered", tones=WITHERED),
)
