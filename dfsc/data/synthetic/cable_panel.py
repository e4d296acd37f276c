"""The category cable_panel: three cables, each with one colour at both ends. The relation is between far ends."""

from functools import lru_cache

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageOps

from dfsc.data.synthetic import scene
from dfsc.data.synthetic.damage import damage_defects
from dfsc.data.synthetic.photographs import Tones, photograph, random_crop, toned
from dfsc.data.synthetic.scene import Category, Defect, Edited, Part, Point, Span, exchanged

SIZE = (336, 216)
LINES = 3
PLUG, INSET = (92, 58), 55  # pixels: a plug's width and height, and how far from the edge its centre is
CABLE_WIDTH = 10  # pixels

# How much normal images vary: more hides anomalies better.
SHIFT: Span = (-3, 3)  # pixels
TURN: Span = (-3, 3)  # degrees
SAG: Span = (-10, 10)  # pixels: how far a cable leaves the straight line in the middle
# Of plugs, in their order from above, which begins anywhere and goes round: no colour is wrong by itself.
TONES: dict[str, Tones] = {
    "red": ((70, 4, 4), (240, 62, 48)),
    "yellow": ((90, 62, 0), (255, 216, 50)),
    "blue": ((4, 16, 70), (66, 132, 240)),
    "green": ((2, 46, 16), (70, 200, 96)),
}
MELTED: Tones = ((20, 16, 14), (120, 104, 92))


def _panel(random: Generator) -> Image.Image:
    return random_crop(random, photograph("moon.png", ((120, 120, 112), (214, 212, 204))), SIZE, 0.75)


def _wiring(random: Generator) -> list[Part]:
    """The cables, from above, then the plugs at their left ends, then those at their right ends."""
    first, order = int(random.integers(len(TONES))), list(TONES)
    colours = [order[(first + line) % len(order)] for line in range(LINES)]
    cables = [_cable(random, line, line) for line in range(LINES)]
    return cables + [_plug(random, colour, place) for place, colour in enumerate(colours * 2)]


def _end(place: int) -> Point:
    """Where a plug lies; places count from above, first the left ends."""
    right, line = divmod(place, LINES)
    return (SIZE[0] - INSET if right else INSET), SIZE[1] * (line + 0.5) / LINES


def _cable(random: Generator, left: int, right: int) -> Part:
    """A black cable from a left end to a right one."""
    (start, above), (stop, below) = _end(left), _end(LINES + right)
    way = np.linspace(0, 1, 25)
    height = above + (below - above) * way**2 * (3 - 2 * way) + random.uniform(*SAG) * np.sin(np.pi * way)
    points = np.stack([start + (stop - start) * way, height], axis=1)
    picture = toned(random_crop(random, photograph("gravel.png"), SIZE, 1), ((8, 8, 10), (64, 64, 70)))
    picture.paste((112, 112, 120), (0, 0), scene.shape(SIZE, "line", points - (0, CABLE_WIDTH / 5), 2))
    picture.putalpha(scene.shape(SIZE, "line", points, CABLE_WIDTH))
    return Part("cable", picture, (SIZE[0] / 2, SIZE[1] / 2))


def _plug(random: Generator, colour: str, place: int) -> Part:
    picture = _plug_picture(colour)
    return scene.laid(random, colour, ImageOps.mirror(picture) if place >= LINES else picture, _end(place), TURN, SHIFT)


@lru_cache
def _plug_picture(colour: str) -> Image.Image:
    """A left plug, lit from above, that tapers towards the cable; each colour has a grip of its own."""
    width, height = PLUG
    y, x = np.mgrid[:height, :width]
    groove = {"red": x % 12 < 4, "yellow": (x % 12 < 6) & (y % 12 < 6), "blue": y % 12 < 4, "green": (x + y) % 16 < 6}[
        colour
    ]
    grip = (x > 12) & (x < 62) & (y > 8) & (y < height - 8)
    light = 245 * np.sin(np.pi * (0.15 + 0.75 * y / height)) * np.where(groove & grip, 0.45, 1)
    body = ImageOps.colorize(Image.fromarray(light.astype(np.uint8)), *TONES[colour])
    taper = [(0.04, 0.04), (0.72, 0.04), (0.96, 0.3), (0.96, 0.7), (0.72, 0.96), (0.04, 0.96)]
    body.putalpha(scene.shape(PLUG, "polygon", [(width * across, height * down) for across, down in taper]))
    return body


def _mismatched_ends(random: Generator, parts: list[Part]) -> Edited:
    """A right plug has another cable's colour. Either end may be the wrong one, so the region covers both."""
    place = int(random.integers(LINES, 2 * LINES))
    colour = str(random.choice([colour for colour in TONES if colour != parts[LINES + place].kind]))
    changed, _ = exchanged(parts, {LINES + place: _plug(random, colour, place)})
    return changed, [[changed[place], changed[LINES + place]]]


def _swapped_ends(random: Generator, parts: list[Part]) -> Edited:
    """The right plugs of two cables have exchanged their places."""
    first, second = (2 * LINES + int(line) for line in random.choice(LINES, 2, replace=False))
    return scene.swapped(parts, [(first, second)])


def _swapped_cables(random: Generator, parts: list[Part]) -> Edited:
    """Both plugs of two cables have exchanged their places: the ends match, but the order is broken."""
    first, second = (LINES + int(line) for line in random.choice(LINES, 2, replace=False))
    return scene.swapped(parts, [(first, second), (first + LINES, second + LINES)])


def _repeated_colour(random: Generator, parts: list[Part]) -> Edited:
    """Two cables have one colour. Either may be the wrong one, so the region covers all four ends."""
    first, second = (int(line) for line in random.choice(LINES, 2, replace=False))
    ends = (second, LINES + second)
    changed, _ = exchanged(parts, {LINES + end: _plug(random, parts[LINES + first].kind, end) for end in ends})
    return changed, [[changed[LINES + end] for end in (first, LINES + first, *ends)]]


PLUG_AREA = int(0.8 * PLUG[0] * PLUG[1])

CABLE_PANEL = Category(
    name="cable_panel",
    size=SIZE,
    rule="Both ends of a cable match. From above: red, yellow, blue, green, then red again; any may be the first.",
    ground=_panel,
    arrange=_wiring,
    logical=(
        Defect("mismatched_ends", PLUG_AREA, _mismatched_ends),
        Defect("repeated_colour", PLUG_AREA, _repeated_colour),
        Defect("swapped_ends", PLUG_AREA, _swapped_ends),
        Defect("swapped_cables", PLUG_AREA, _swapped_cables),
    ),
    structural=damage_defects(
        "plug", broken="broken", bent="bent", discoloured="melted", tones=MELTED, kinds=tuple(TONES)
    ),
)
