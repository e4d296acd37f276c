"""The category coin_tray: six compartments, large coins above and small ones below."""

from dataclasses import replace
from functools import lru_cache
from math import pi

from numpy.random import Generator
from PIL import Image

from dfsc.data.synthetic import scene
from dfsc.data.synthetic.damage import damage_defects
from dfsc.data.synthetic.scene import Category, Defect, Edited, Part, Point, Span, Tones, exchanged, photograph

SIZE = (320, 240)
RAIL = 8  # pixels between and around the six compartments
COMPARTMENT = ((SIZE[0] - 4 * RAIL) // 3, (SIZE[1] - 3 * RAIL) // 2)

# How much normal images vary: more hides anomalies better.
SHIFT: Span = (-5, 5)  # pixels
TURN: Span = (-10, 10)  # degrees
SCALE: Span = (0.96, 1.04)

# What tells the coins apart, hence how hard logical anomalies are.
DIAMETER = {"silver": 66, "copper": 48, "gold": 48}  # pixels
TONES: dict[str, Tones] = {
    "silver": ((22, 24, 30), (250, 250, 255)),
    "copper": ((48, 8, 2), (250, 150, 105)),
    "gold": ((46, 32, 2), (255, 232, 122)),
}
OTHER_METAL = {"copper": "gold", "gold": "copper"}  # of the small coins

# Structural anomalies.
VERDIGRIS: Tones = ((10, 45, 40), (150, 235, 205))
STONE_WIDTH: Span = (22, 38)  # pixels
STONE_PLACE: Span = (0.2, 0.8)  # share of the tray's width and height

# Ellipses in the photograph of coins: centre x, centre y, radius x, radius y, in pixels.
LARGE_COINS = ((335, 44, 28.0, 26.7), (46.3, 260.5, 26.7, 26.3), (172.5, 262, 27.3, 24.5))
SMALL_COINS = ((102.2, 196, 20.7, 20.2), (212.7, 193.2, 22.5, 22.2), (114, 265.7, 20.3, 20.2))
ELLIPSES = {"silver": LARGE_COINS, "copper": SMALL_COINS, "gold": SMALL_COINS}


def _tray(random: Generator) -> Image.Image:
    rails, (width, height) = Image.new("L", SIZE, 255), COMPARTMENT
    for x, y in map(_compartment, range(6)):
        rails.paste(Image.new("L", COMPARTMENT), (round(x - width / 2), round(y - height / 2)))
    tray = scene.random_crop(random, photograph("grass.png", ((10, 36, 31), (44, 100, 84))), SIZE, 0.64)
    scene.cast_shadow(tray, rails, (3, 4), 0.6)
    tray.paste(scene.wood(random, SIZE), (0, 0), rails)
    return tray


def _compartment(place: int) -> Point:
    """Its centre; places count from the left above."""
    row, column = divmod(place, 3)
    width, height = COMPARTMENT
    return RAIL + width / 2 + column * (RAIL + width), RAIL + height / 2 + row * (RAIL + height)


def _coins(random: Generator) -> list[Part]:
    kinds = ["silver"] * 3 + [str(random.choice(list(OTHER_METAL)))] * 3
    return [_coin(random, kind, place) for place, kind in enumerate(kinds)]


def _coin(random: Generator, kind: str, place: int) -> Part:
    picture = _coin_picture(kind, int(random.integers(len(ELLIPSES[kind]))))
    diameter = round(DIAMETER[kind] * random.uniform(*SCALE))
    picture = picture.resize((diameter, diameter * picture.height // picture.width), Image.Resampling.BICUBIC)
    return scene.laid(random, kind, picture, _compartment(place), TURN, SHIFT)


@lru_cache
def _coin_picture(kind: str, number: int) -> Image.Image:
    x, y, radius_x, radius_y = ELLIPSES[kind][number]
    size = round(4 * radius_x), round(4 * radius_y)
    box = (x - radius_x, y - radius_y, x + radius_x, y + radius_y)
    coin = scene.toned(photograph("coins.png").resize(size, Image.Resampling.BICUBIC, box), TONES[kind])
    coin.putalpha(scene.shape(size, "ellipse", [(0, 0), (size[0] - 1, size[1] - 1)]))
    return coin


def _extra_coin(random: Generator, parts: list[Part]) -> Edited:
    """Two small coins share a compartment. Either may be the one too many, so the region covers both."""
    place = int(random.integers(3, 6))
    x, y = _compartment(place)
    upper = replace(parts[place], centre=(x + random.uniform(-14, 14), y - 26))
    lower = replace(_coin(random, upper.kind, place), centre=(x + random.uniform(-14, 14), y + 26))
    return [*exchanged(parts, {place: upper})[0], lower], [[upper, lower]]


def _wrong_coin(random: Generator, parts: list[Part]) -> Edited:
    """A small coin lies above, or a large one below."""
    place = int(random.integers(6))
    return exchanged(parts, {place: _coin(random, parts[(place + 3) % 6].kind, place)})


def _swapped_coins(random: Generator, parts: list[Part]) -> Edited:
    """A large coin and the small one below it have exchanged their places."""
    above = int(random.integers(3))
    small, large = _coin(random, parts[above + 3].kind, above), _coin(random, "silver", above + 3)
    return exchanged(parts, {above: small, above + 3: large})


def _mixed_metals(random: Generator, parts: list[Part]) -> Edited:
    """One of the small coins is of the other metal."""
    place = int(random.integers(3, 6))
    return exchanged(parts, {place: _coin(random, OTHER_METAL[parts[place].kind], place)})


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


COIN_AREA = int(pi / 4 * DIAMETER["copper"] ** 2)  # of the smaller kinds: covering one coin is enough

COIN_TRAY = Category(
    name="coin_tray",
    size=SIZE,
    rule="One coin per compartment: three large silver ones above three small ones, all copper or all gold.",
    ground=_tray,
    arrange=_coins,
    logical=(
        Defect("missing_coin", COIN_AREA, scene.missing),
        Defect("extra_coin", COIN_AREA, _extra_coin),
        Defect("wrong_coin", COIN_AREA, _wrong_coin),
        Defect("swapped_coins", COIN_AREA, _swapped_coins),
        Defect("mixed_metals", COIN_AREA, _mixed_metals),
    ),
    structural=(
        *damage_defects("coin", broken="broken", bent="bent", discoloured="tarnished", tones=VERDIGRIS),
        Defect("stone_on_tray", 1.0, _stone),
    ),
)
