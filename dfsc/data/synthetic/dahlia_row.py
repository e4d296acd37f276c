"""The category dahlia_row: five flowers, each larger than the one before. The relation is an order."""

from dataclasses import replace
from functools import lru_cache
from math import pi

from numpy.random import Generator
from PIL import Image

from dfsc.data.synthetic import scene
from dfsc.data.synthetic.damage import damage_defects
from dfsc.data.synthetic.photographs import Tones, photograph, random_crop, toned
from dfsc.data.synthetic.scene import Category, Defect, Edited, Part, Point, Span, exchanged

SIZE = (352, 176)
DIAMETERS = (34, 46, 58, 70, 82)  # pixels, from the left
MARGIN, GAP = 11, 10  # pixels: at the left and right edge, and between two flowers
FLOWER = (305, 228, 130, 136)  # in its photograph: centre x, centre y, radius x, radius y, in pixels

# How much normal images vary: more hides anomalies better.
SHIFT: Span = (-3, 3)  # pixels
TURN: Span = (0, 360)  # degrees
SCALE: Span = (0.92, 1.04)  # of all flowers of an image, so that a diameter alone does not tell the place
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


def _row(random: Generator, colours: list[str], diameters: tuple[int, ...]) -> list[Part]:
    """Flowers side by side in this order."""
    scale, left, flowers = random.uniform(*SCALE), float(MARGIN), []
    for colour, diameter in zip(colours, diameters, strict=True):
        flowers.append(_flower(random, colour, diameter * scale, (left + diameter / 2, SIZE[1] / 2)))
        left += diameter + GAP
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


def _swapped(random: Generator, parts: list[Part], first: int, second: int) -> Edited:
    order = list(range(5))
    order[first], order[second] = order[second], order[first]
    changed = _row(random, [parts[place].kind for place in order], tuple(DIAMETERS[place] for place in order))
    return changed, [[changed[first]], [changed[second]]]


def _swapped_neighbours(random: Generator, parts: list[Part]) -> Edited:
    """A flower is smaller than the one to its left."""
    place = int(random.integers(4))
    return _swapped(random, parts, place, place + 1)


def _swapped_ends(random: Generator, parts: list[Part]) -> Edited:
    """The smallest and the largest flower have exchanged their places."""
    return _swapped(random, parts, 0, 4)


def _reversed_row(random: Generator, parts: list[Part]) -> Edited:
    """The row begins with its largest flower: left and right are exchanged. The region covers all flowers."""
    changed = [replace(part, centre=(SIZE[0] - part.centre[0], part.centre[1])) for part in parts]
    return changed, [changed]


def _equal_sizes(random: Generator, parts: list[Part]) -> Edited:
    """A flower is as small as the one to its left. Either may be the wrong one: the region covers both."""
    place = int(random.integers(1, 5))
    width = parts[place - 1].picture.width
    twin = replace(parts[place], picture=parts[place].picture.resize((width, width), Image.Resampling.LANCZOS))
    changed, _ = exchanged(parts, {place: twin})
    return changed, [changed[place - 1 : place + 1]]


FLOWER_AREA = int(pi / 4 * DIAMETERS[0] ** 2)

DAHLIA_ROW = Category(
    name="dahlia_row",
    size=SIZE,
    rule="Five flowers of any colours, each larger than the one to its left.",
    ground=_lawn,
    arrange=_flowers,
    logical=(
        Defect("swapped_neighbours", FLOWER_AREA, _swapped_neighbours),
        Defect("swapped_ends", FLOWER_AREA, _swapped_ends),
        Defect("reversed_row", FLOWER_AREA, _reversed_row),
        Defect("equal_sizes", FLOWER_AREA, _equal_sizes),
    ),
    structural=damage_defects("flower", broken="torn", bent="bent", discoloured="withered", tones=WITHERED),
)
