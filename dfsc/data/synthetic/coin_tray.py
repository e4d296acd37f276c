"""The category coin_tray: as many small coins below as large ones above. The relation is a count equal to another."""

from dataclasses import replace
from functools import lru_cache
from math import pi

from numpy.random import Generator
from PIL import Image

from dfsc.data.synthetic import scene
from dfsc.data.synthetic.damage import damage_defects
from dfsc.data.synthetic.photographs import Tones, photograph, random_crop, toned, wood
from dfsc.data.synthetic.scene import Category, Defect, Edited, Part, Span, exchanged

SIZE = (320, 240)
RAIL = 8  # pixels between and around the two rows
ROW = (SIZE[0] - 2 * RAIL, (SIZE[1] - 3 * RAIL) // 2)  # width and height in pixels

# How much normal images vary: more hides anomalies better.
COUNTS = (2, 3, 4)  # coins per row
SHIFT: Span = (-4, 4)  # pixels
TURN: Span = (-10, 10)  # degrees
SCALE: Span = (0.96, 1.04)

# What tells the coins apart, hence how hard logical anomalies are.
DIAMETERS = (70, 54)  # pixels: above, below
METALS: tuple[Tones, Tones] = (((22, 24, 30), (250, 250, 255)), ((48, 8, 2), (250, 150, 105)))  # silver, copper

# Structural anomalies.
VERDIGRIS: Tones = ((10, 45, 40), (150, 235, 205))
STONE_WIDTH: Span = (22, 38)  # pixels
STONE_PLACE: Span = (0.2, 0.8)  # share of the tray's width and height

# Ellipses in the photograph of coins: centre x, centre y, radius x, radius y, in pixels.
LARGE_COINS = ((335, 44, 28.0, 26.7), (46.3, 260.5, 26.7, 26.3), (172.5, 262, 27.3, 24.5))
SMALL_COINS = ((102.2, 196, 20.7, 20.2), (212.7, 193.2, 22.5, 22.2), (114, 265.7, 20.3, 20.2))
ELLIPSES = (LARGE_COINS, SMALL_COINS)


def _tray(random: Generator) -> Image.Image:
    rails = Image.new("L", SIZE, 255)
    for row in range(2):
        rails.paste(Image.new("L", ROW), (RAIL, RAIL + row * (ROW[1] + RAIL)))
    tray = random_crop(random, photograph("grass.png", ((10, 36, 31), (44, 100, 84))), SIZE, 0.64)
    scene.cast_shadow(tray, rails, (3, 4), 0.6)
    tray.paste(wood(random, SIZE), (0, 0), rails)
    return tray


def _coins(random: Generator) -> list[Part]:
    count = int(random.choice(COUNTS))
    return [*_row(random, 0, count), *_row(random, 1, count)]


def _row(random: Generator, row: int, count: int) -> list[Part]:
    """So many coins, evenly apart: large ones above (row 0), small ones below (row 1)."""
    return [_coin(random, row, (place + 0.5) / count) for place in range(count)]


def _coin(random: Generator, row: int, across: float) -> Part:
    """The row's coin; `across`: share of the row's width."""
    picture = _coin_picture(row, int(random.integers(len(ELLIPSES[row]))))
    diameter = round(DIAMETERS[row] * random.uniform(*SCALE))
    picture = picture.resize((diameter, diameter * picture.height // picture.width), Image.Resampling.BICUBIC)
    centre = RAIL + across * ROW[0], RAIL + ROW[1] / 2 + row * (RAIL + ROW[1])
    return scene.laid(random, ("large", "small")[row], picture, centre, TURN, SHIFT)


@lru_cache
def _coin_picture(row: int, number: int) -> Image.Image:
    x, y, radius_x, radius_y = ELLIPSES[row][number]
    size = round(4 * radius_x), round(4 * radius_y)
    box = (x - radius_x, y - radius_y, x + radius_x, y + radius_y)
    coin = toned(photograph("coins.png").resize(size, Image.Resampling.BICUBIC, box), METALS[row])
    coin.putalpha(scene.shape(size, "ellipse", [(0, 0), (size[0] - 1, size[1] - 1)]))
    return coin


def _uneven_rows(random: Generator, parts: list[Part]) -> Edited:
    """The row below holds more coins than the one above, or fewer. Either may be wrong: the region covers both."""
    above = parts[: len(parts) // 2]
    count = int(random.choice([count for count in COUNTS if count != len(above)]))
    changed = [*above, *_row(random, 1, count)]
    return changed, [changed]


def _extra_coin(random: Generator, parts: list[Part]) -> Edited:
    """One coin too many lies in a row, between two others."""
    count = len(parts) // 2
    extra = _coin(random, int(random.integers(2)), int(random.integers(1, count)) / count)
    return [*parts, extra], [[extra]]


def _strayed_coin(random: Generator, parts: list[Part]) -> Edited:
    """A coin lies in the other row, between two others. It is missing in the one, and too many in the other."""
    row, count = int(random.integers(2)), len(parts) // 2
    place = row * count + int(random.integers(count))
    others = parts[(1 - row) * count :][: int(random.integers(1, count)) + 1][-2:]
    centre = sum(part.centre[0] for part in others) / 2, others[0].centre[1]
    changed, _ = exchanged(parts, {place: replace(parts[place], centre=centre)})
    return changed, [[parts[place]], [changed[place]]]


def _swapped_coins(random: Generator, parts: list[Part]) -> Edited:
    """A large coin and the small one below it have exchanged their places."""
    above = int(random.integers(len(parts) // 2))
    return scene.swapped(parts, [(above, above + len(parts) // 2)])


def _stone(random: Generator, parts: list[Part]) -> Edited:
    """A pebble, cut from the photograph of gravel, lies somewhere on the tray."""
    width = round(random.uniform(*STONE_WIDTH))
    radii = random.uniform(0.36, 0.5, 9) * width
    gravel = photograph("gravel.png", ((95, 84, 76), (240, 232, 218)))
    left, top = random.integers(0, gravel.width - width, 2)
    picture = gravel.crop((left, top, left + width, top + width))
    picture.putalpha(scene.blob(picture.size, width / 2, radii))
    centre = SIZE[0] * random.uniform(*STONE_PLACE), SIZE[1] * random.uniform(*STONE_PLACE)
    stone = Part("stone", picture, centre)
    return [*parts, stone], [[stone]]


COIN_AREA = int(pi / 4 * DIAMETERS[1] ** 2)  # of the smaller kinds: covering one coin is enough

COIN_TRAY = Category(
    name="coin_tray",
    size=SIZE,
    rule="As many small coins below as large ones above, evenly apart.",
    ground=_tray,
    arrange=_coins,
    logical=(
        Defect("missing_coin", COIN_AREA, scene.missing),
        Defect("extra_coin", COIN_AREA, _extra_coin),
        Defect("strayed_coin", COIN_AREA, _strayed_coin),
        Defect("uneven_rows", COIN_AREA, _uneven_rows),
        Defect("swapped_coins", COIN_AREA, _swapped_coins),
    ),
    structural=(
        *damage_defects("coin", broken="broken", bent="bent", discoloured="tarnished", tones=VERDIGRIS),
        Defect("stone_on_tray", 1.0, _stone),
    ),
)
