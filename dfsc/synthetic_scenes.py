"""The scenes of the generated data set: photographed parts on a photographed ground, a rule, and what breaks it.

Two categories. The parts and grounds are cut from photographs that scikit-image ships inside its wheel.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.util import find_spec
from math import cos, pi, sin
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps

from dfsc.data import decode_image
from dfsc.errors import UserError

Span = tuple[float, float]  # drawn uniformly between the two
Colour = tuple[int, int, int]

# How much normal images vary: more hides anomalies better.
BRIGHTNESS: Span = (0.95, 1.05)  # factor over the whole image
LIGHT_FALL: Span = (-0.06, 0.06)  # change of that factor from the left edge to the right edge
COIN_SHIFT: Span = (-5, 5)  # pixels
COIN_TURN: Span = (-10, 10)  # degrees
COIN_SCALE: Span = (0.96, 1.04)
PICTURE_SHIFT: Span = (-3, 3)  # pixels
PICTURE_TURN: Span = (-1.5, 1.5)  # degrees
PICTURE_CROP: Span = (0.90, 1.0)  # share of the photograph that the frame shows

# How severe structural anomalies are: the lower end is the subtle one. Lengths are shares of the part's width.
SCRATCH_LENGTH: Span = (0.6, 1.0)
SCRATCH_WIDTH: Span = (0.06, 0.14)
SCRATCH_STRENGTH: Span = (0.6, 1.0)  # opacity
STAIN_RADIUS: Span = (0.20, 0.36)
STAIN_STRENGTH: Span = (0.6, 0.95)  # opacity
BROKEN_SHARE: Span = (0.22, 0.5)
BENT_RADIUS: Span = (0.5, 0.7)
BENT_SHIFT: Span = (0.22, 0.38)
DISCOLOURED_STRENGTH: Span = (0.45, 0.9)  # opacity of the new tone
STONE_WIDTH: Span = (22, 38)  # pixels
STONE_PLACE: Span = (0.2, 0.8)  # share of the tray's width and height

# What tells the parts apart, hence how hard logical anomalies are.
COIN_DIAMETER = {"silver": 66, "copper": 48, "gold": 48}  # pixels
COIN_TONES: dict[str, tuple[Colour, Colour]] = {
    "silver": ((22, 24, 30), (250, 250, 255)),
    "copper": ((48, 8, 2), (250, 150, 105)),
    "gold": ((46, 32, 2), (255, 232, 122)),
}
PICTURE_WIDTH = 70  # pixels
VERDIGRIS: tuple[Colour, Colour] = ((10, 45, 40), (150, 235, 205))
BLEACHED: tuple[Colour, Colour] = ((120, 105, 75), (250, 240, 205))

# Ellipses in the photograph of coins: centre x, centre y, radius x, radius y, in pixels.
LARGE_COINS = ((335, 44, 28.0, 26.7), (46.3, 260.5, 26.7, 26.3), (172.5, 262, 27.3, 24.5))
SMALL_COINS = ((102.2, 196, 20.7, 20.2), (212.7, 193.2, 22.5, 22.2), (114, 265.7, 20.3, 20.2))
# Squares in the photographs that hang on the wall: file, left, top, side, in pixels.
MOTIFS = {
    "cat": ("chelsea.png", 90, 0, 300),
    "cup": ("coffee.png", 75, 0, 400),
    "astronaut": ("astronaut.png", 120, 5, 220),
    "rocket": ("rocket.jpg", 190, 30, 380),
}


@dataclass(frozen=True)
class Part:
    """One object in a scene: its kind, an RGBA picture whose alpha is its outline, and its centre in pixels."""

    kind: str
    picture: Image.Image
    centre: tuple[float, float]

    def outline(self, size: tuple[int, int]) -> Image.Image:
        """The part's alpha on an otherwise empty 'L' image of `size` (width, height)."""
        canvas = Image.new("L", size)
        canvas.paste(self.picture.getchannel("A"), self.corner)
        return canvas

    @property
    def corner(self) -> tuple[int, int]:
        """Left upper corner of the picture in the scene, in pixels."""
        return round(self.centre[0] - self.picture.width / 2), round(self.centre[1] - self.picture.height / 2)


Region = list[Part]  # a defect region is whatever these parts cover together
Edit = Callable[[np.random.Generator, list[Part]], tuple[list[Part], list[Region]]]
Damage = Callable[[np.random.Generator, Image.Image], tuple[Image.Image, Image.Image]]  # new picture, area 'L'


@dataclass(frozen=True)
class Defect:
    """A kind of anomaly; `saturation` is a share of the region (float) or an area in pixels (int)."""

    name: str
    saturation: float
    edit: Edit


@dataclass(frozen=True)
class Category:
    """A kind of scene: its size (width, height), the rule normal images keep, and the defects that break it."""

    name: str
    size: tuple[int, int]
    rule: str
    ground: Callable[[np.random.Generator], Image.Image]
    arrange: Callable[[np.random.Generator], list[Part]]
    logical: tuple[Defect, ...]
    structural: tuple[Defect, ...]


def draw_scene(
    category: Category, random: np.random.Generator, defect: Defect | None = None
) -> tuple[Image.Image, list[Image.Image]]:
    """Draw one image, normal unless a defect is given: an RGB image and one 'L' mask (0 or 255) per defect region."""
    scene, parts, regions = category.ground(random), category.arrange(random), list[Region]()
    if defect:
        parts, regions = defect.edit(random, parts)
    _cast_shadow(scene, _mask(parts, scene.size), (2, 3), 0.55)
    for part in parts:
        scene.paste(part.picture, part.corner, part.picture)
    return _lit(random, scene), [_mask(region, scene.size) for region in regions]


def _cast_shadow(ground: Image.Image, outline: Image.Image, offset: tuple[int, int], strength: float) -> None:
    shadow = ImageChops.offset(outline, *offset).filter(ImageFilter.GaussianBlur(2.5))
    ground.paste((0, 0, 0), (0, 0), shadow.point(lambda value: value * strength))


def _mask(region: Region, size: tuple[int, int]) -> Image.Image:
    mask = Image.new("L", size)
    for part in region:
        mask = ImageChops.lighter(mask, part.outline(size))
    return mask.point(lambda value: 255 * (value >= 96))


def _lit(random: np.random.Generator, scene: Image.Image) -> Image.Image:
    fall = random.uniform(*LIGHT_FALL) * np.linspace(-0.5, 0.5, scene.width)
    light = (random.uniform(*BRIGHTNESS) + fall)[None, :, None]
    return Image.fromarray(np.clip(np.asarray(scene) * light, 0, 255).astype(np.uint8))


@lru_cache
def photograph(name: str) -> Image.Image:
    """One of scikit-image's photographs, RGB, read from the installed package. Raises UserError if it is missing."""
    package = find_spec("skimage")
    if package is None or package.origin is None:
        raise UserError("scikit-image is not installed; the generated data set is cut from its photographs")
    return decode_image(Path(package.origin).parent / "data" / name, "RGB")


def _toned(picture: Image.Image, tones: tuple[Colour, Colour]) -> Image.Image:
    return ImageOps.colorize(ImageOps.autocontrast(picture.convert("L"), cutoff=1), *tones)


def _shape(size: tuple[int, int], kind: str, points: NDArray[np.float64] | list[Span], width: float = 0) -> Image.Image:
    """An antialiased 'polygon', 'ellipse' or 'line' as an 'L' image of `size`; `points` and `width` in pixels."""
    fine = 4
    canvas = Image.new("L", (size[0] * fine, size[1] * fine))
    corners = [(float(x) * fine, float(y) * fine) for x, y in points]
    options = {"width": max(1, round(width * fine)), "joint": "curve"} if kind == "line" else {}
    getattr(ImageDraw.Draw(canvas), kind)(corners, fill=255, **options)
    return canvas.reduce(fine)


def _shift(random: np.random.Generator, place: Span, span: Span) -> Span:
    return place[0] + random.uniform(*span), place[1] + random.uniform(*span)


def _any(random: np.random.Generator, items: tuple[str, ...]) -> str:
    return items[int(random.integers(len(items)))]


def _other(pair: tuple[str, str], item: str) -> str:
    return pair[1] if item == pair[0] else pair[0]


# Damage to one part


def _scratched(random: np.random.Generator, picture: Image.Image) -> tuple[Image.Image, Image.Image]:
    width = picture.width
    angle, half = random.uniform(0, pi), random.uniform(*SCRATCH_LENGTH) * width / 2
    along = np.linspace(-half, half, 5)
    across = random.uniform(-0.04, 0.04, 5) * width
    centre = np.array(picture.size) / 2 + random.uniform(-0.08, 0.08, 2) * width
    points = centre + np.outer(along, (cos(angle), sin(angle))) + np.outer(across, (-sin(angle), cos(angle)))
    area = _shape(picture.size, "line", points, max(1.2, random.uniform(*SCRATCH_WIDTH) * width))
    colour = (25, 20, 18) if _brightness(picture) > 110 else (245, 243, 235)
    return _covered(picture, area, Image.new("RGB", picture.size, colour), random.uniform(*SCRATCH_STRENGTH))


def _brightness(picture: Image.Image) -> float:
    return float(np.average(np.asarray(picture.convert("L")), weights=np.asarray(picture.getchannel("A"))))


def _stained(random: np.random.Generator, picture: Image.Image) -> tuple[Image.Image, Image.Image]:
    width = picture.width
    angles = np.linspace(0, 2 * pi, 14, endpoint=False)
    radii = random.uniform(*STAIN_RADIUS) * width * random.uniform(0.75, 1.2, 14)
    centre = np.array(picture.size) / 2 + random.uniform(-0.2, 0.2, 2) * width
    points = centre + radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    area = _shape(picture.size, "polygon", points).filter(ImageFilter.GaussianBlur(1.2))
    soot = Image.new("RGB", picture.size, (58, 36, 16))
    return _covered(picture, area, soot, random.uniform(*STAIN_STRENGTH))


def _discoloured(tones: tuple[Colour, Colour]) -> Damage:
    def damage(random: np.random.Generator, picture: Image.Image) -> tuple[Image.Image, Image.Image]:
        everywhere = Image.new("L", picture.size, 255)
        return _covered(picture, everywhere, _toned(picture, tones), random.uniform(*DISCOLOURED_STRENGTH))

    return damage


def _covered(
    picture: Image.Image, area: Image.Image, cover: Image.Image, strength: float
) -> tuple[Image.Image, Image.Image]:
    alpha = picture.getchannel("A")
    covered = Image.composite(cover, picture.convert("RGB"), area.point(lambda value: value * strength))
    covered.putalpha(alpha)
    return covered, ImageChops.multiply(area, alpha)


def _broken(random: np.random.Generator, picture: Image.Image) -> tuple[Image.Image, Image.Image]:
    """A piece beyond a jagged line is gone; the area is where it was."""
    width = picture.width
    angle = random.uniform(0, 2 * pi)
    edge = (0.5 - random.uniform(*BROKEN_SHARE)) * width + random.uniform(-0.05, 0.05, 9) * width
    along, outward = np.linspace(-width, width, 9), np.append(edge, [2 * width, 2 * width])
    along = np.append(along, [width, -width])
    centre = np.array(picture.size) / 2
    points = centre + np.outer(outward, (cos(angle), sin(angle))) + np.outer(along, (-sin(angle), cos(angle)))
    piece = _shape(picture.size, "polygon", points)
    alpha = picture.getchannel("A")
    broken = picture.copy()
    broken.putalpha(ImageChops.multiply(alpha, ImageChops.invert(piece)))
    return broken, ImageChops.multiply(alpha, piece)


def _bent(random: np.random.Generator, picture: Image.Image) -> tuple[Image.Image, Image.Image]:
    """A round region is pushed sideways, most at its centre; the area is where the push exceeds a pixel."""
    from scipy.ndimage import map_coordinates

    radius, push = random.uniform(*BENT_RADIUS) * picture.width, random.uniform(*BENT_SHIFT) * picture.width
    angle = random.uniform(0, 2 * pi)
    y, x = np.mgrid[: picture.height, : picture.width].astype(np.float64)
    centre = np.array(picture.size) / 2 + random.uniform(-0.18, 0.18, 2) * picture.width
    squared = ((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / radius**2
    amount = push * np.clip(1 - squared, 0, None) ** 2
    source = np.stack([y - amount * sin(angle), x - amount * cos(angle)])
    channels = np.asarray(picture.convert("RGBa"))  # premultiplied: the transparent surround must not bleed in
    moved = [map_coordinates(channels[..., channel], source, order=1, mode="constant") for channel in range(4)]
    bent = Image.frombuffer("RGBa", picture.size, np.stack(moved, axis=-1).tobytes()).convert("RGBA")
    touched = Image.fromarray(np.where(amount >= 1, 255, 0).astype(np.uint8))
    either = ImageChops.lighter(picture.getchannel("A"), bent.getchannel("A"))
    return bent, ImageChops.multiply(touched, either)


def _on_one_part(damage: Damage) -> Edit:
    def edit(random: np.random.Generator, parts: list[Part]) -> tuple[list[Part], list[Region]]:
        place = int(random.integers(len(parts)))
        picture, area = damage(random, parts[place].picture)
        touched = parts[place].picture.copy()
        touched.putalpha(area)
        region = [replace(parts[place], picture=touched)]
        return _with(parts, {place: replace(parts[place], picture=picture)}), [region]

    return edit


def _with(parts: list[Part], changed: dict[int, Part]) -> list[Part]:
    return [changed.get(place, part) for place, part in enumerate(parts)]


def _missing(random: np.random.Generator, parts: list[Part]) -> tuple[list[Part], list[Region]]:
    place = int(random.integers(len(parts)))
    return parts[:place] + parts[place + 1 :], [[parts[place]]]


# The coin tray

TRAY_SIZE = (320, 240)
RAIL = 8  # pixels between and around the six compartments
SMALL_KINDS = ("copper", "gold")
COMPARTMENT = ((TRAY_SIZE[0] - 4 * RAIL) // 3, (TRAY_SIZE[1] - 3 * RAIL) // 2)


def _tray(random: np.random.Generator) -> Image.Image:
    rails = Image.new("L", TRAY_SIZE, 255)
    for place in range(6):
        x, y = _compartment(place)
        half = COMPARTMENT[0] / 2, COMPARTMENT[1] / 2
        rails.paste(0, (round(x - half[0]), round(y - half[1]), round(x + half[0]), round(y + half[1])))
    lining = _toned_photograph("grass.png", ((10, 36, 31), (44, 100, 84)))
    tray = _ground(random, lining, TRAY_SIZE, 0.64)
    _cast_shadow(tray, rails, (3, 4), 0.6)
    tray.paste(_wood(random, TRAY_SIZE), (0, 0), rails)
    return tray


def _ground(random: np.random.Generator, texture: Image.Image, size: tuple[int, int], scale: float) -> Image.Image:
    """A random crop of a texture, `scale` times as large."""
    width, height = size[0] / scale, size[1] / scale
    left, top = random.uniform(0, texture.width - width), random.uniform(0, texture.height - height)
    return texture.resize(size, Image.Resampling.BICUBIC, (left, top, left + width, top + height))


@lru_cache
def _toned_photograph(name: str, tones: tuple[Colour, Colour]) -> Image.Image:
    return _toned(photograph(name), tones)


def _wood(random: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    planks = photograph("coffee.png").crop((490, 0, 600, 400)).rotate(90, expand=True)
    left, wood = int(random.integers(400 - size[0] + 1)), Image.new("RGB", size)
    for row, top in enumerate(range(0, size[1], planks.height)):
        wood.paste(ImageOps.flip(planks) if row % 2 else planks, (-left, top))
    return wood


def _compartment(place: int) -> tuple[float, float]:
    column, row = place % 3, place // 3
    width, height = COMPARTMENT
    return RAIL + width / 2 + column * (RAIL + width), RAIL + height / 2 + row * (RAIL + height)


def _ellipses(kind: str) -> tuple[tuple[float, float, float, float], ...]:
    return LARGE_COINS if kind == "silver" else SMALL_COINS


def _coin(random: np.random.Generator, kind: str, place: int) -> Part:
    picture = _coin_picture(kind, int(random.integers(len(_ellipses(kind)))))
    diameter = round(COIN_DIAMETER[kind] * random.uniform(*COIN_SCALE))
    picture = picture.resize((diameter, diameter * picture.height // picture.width), Image.Resampling.BICUBIC)
    picture = picture.rotate(random.uniform(*COIN_TURN), Image.Resampling.BICUBIC, expand=True)
    return Part(kind, picture, _shift(random, _compartment(place), COIN_SHIFT))


@lru_cache
def _coin_picture(kind: str, number: int) -> Image.Image:
    x, y, radius_x, radius_y = _ellipses(kind)[number]
    size = round(4 * radius_x), round(4 * radius_y)
    box = (x - radius_x, y - radius_y, x + radius_x, y + radius_y)
    coin = _toned(photograph("coins.png").resize(size, Image.Resampling.BICUBIC, box), COIN_TONES[kind])
    coin.putalpha(_shape(size, "ellipse", [(0, 0), (size[0] - 1, size[1] - 1)]))
    return coin


def _coins(random: np.random.Generator) -> list[Part]:
    kinds = ["silver"] * 3 + [_any(random, SMALL_KINDS)] * 3
    return [_coin(random, kind, place) for place, kind in enumerate(kinds)]


def _extra_coin(random: np.random.Generator, parts: list[Part]) -> tuple[list[Part], list[Region]]:
    """Two small coins share a compartment. Either may be the one too many, so the region covers both."""
    place = int(random.integers(3, 6))
    x, y = _compartment(place)
    upper = replace(parts[place], centre=(x + random.uniform(-14, 14), y - 26))
    lower = replace(_coin(random, upper.kind, place), centre=(x + random.uniform(-14, 14), y + 26))
    return [*_with(parts, {place: upper}), lower], [[upper, lower]]


def _wrong_coin(random: np.random.Generator, parts: list[Part]) -> tuple[list[Part], list[Region]]:
    """A small coin lies above, or a large one below."""
    place = int(random.integers(6))
    wrong = _coin(random, parts[(place + 3) % 6].kind, place)
    return _with(parts, {place: wrong}), [[wrong]]


def _swapped_coins(random: np.random.Generator, parts: list[Part]) -> tuple[list[Part], list[Region]]:
    above = int(random.integers(3))
    small, large = _coin(random, parts[above + 3].kind, above), _coin(random, "silver", above + 3)
    return _with(parts, {above: small, above + 3: large}), [[small], [large]]


def _mixed_metals(random: np.random.Generator, parts: list[Part]) -> tuple[list[Part], list[Region]]:
    """One of the small coins is of the other metal."""
    place = int(random.integers(3, 6))
    odd = _coin(random, _other(SMALL_KINDS, parts[place].kind), place)
    return _with(parts, {place: odd}), [[odd]]


def _stone(random: np.random.Generator, parts: list[Part]) -> tuple[list[Part], list[Region]]:
    """A pebble, cut from the photograph of gravel, lies somewhere on the tray."""
    width = round(random.uniform(*STONE_WIDTH))
    angles = np.linspace(0, 2 * pi, 9, endpoint=False)
    radii = random.uniform(0.36, 0.5, 9) * width
    points = width / 2 + radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    gravel = _toned_photograph("gravel.png", ((95, 84, 76), (240, 232, 218)))
    left, top = random.integers(0, gravel.width - width, 2)
    picture = gravel.crop((left, top, left + width, top + width))
    picture.putalpha(_shape((width, width), "polygon", points))
    centre = TRAY_SIZE[0] * random.uniform(*STONE_PLACE), TRAY_SIZE[1] * random.uniform(*STONE_PLACE)
    stone = Part("stone", picture, centre)
    return [*parts, stone], [[stone]]


# The picture wall

WALL_SIZE = (240, 320)
FRAME, MAT = 6, 2  # pixels
MIDDLE_MOTIFS = ("cup", "astronaut")


def _wall(random: np.random.Generator) -> Image.Image:
    bricks = _toned_photograph("brick.png", ((92, 82, 76), (206, 198, 188))).transpose(Image.Transpose.ROTATE_90)
    return _ground(random, bricks, WALL_SIZE, 0.8)


def _place_on_wall(place: int) -> Span:
    column, row = place % 2, place // 2
    return WALL_SIZE[0] * (0.275 + 0.45 * column), WALL_SIZE[1] * (1 + 2 * row) / 6


def _picture(random: np.random.Generator, motif: str, place: int) -> Part:
    name, left, top, side = MOTIFS[motif]
    shown = side * random.uniform(*PICTURE_CROP)
    x, y = left + random.uniform(0, side - shown), top + random.uniform(0, side - shown)
    inner = PICTURE_WIDTH - 2 * (FRAME + MAT)
    photo = photograph(name).resize((inner, inner), Image.Resampling.LANCZOS, (x, y, x + shown, y + shown))
    picture = _frame(random)
    picture.paste(photo, (FRAME + MAT, FRAME + MAT))
    picture.putalpha(255)
    turned = ImageOps.expand(picture, 2, (0, 0, 0, 0)).rotate(
        random.uniform(*PICTURE_TURN), Image.Resampling.BICUBIC, expand=True
    )
    return Part(motif, turned, _shift(random, _place_on_wall(place), PICTURE_SHIFT))


def _frame(random: np.random.Generator) -> Image.Image:
    """A wooden frame, lit from the left above, around a white mat."""
    far = PICTURE_WIDTH - 1
    frame = _wood(random, (PICTURE_WIDTH, PICTURE_WIDTH))
    draw = ImageDraw.Draw(frame)
    draw.line([(0, far), (0, 0), (far, 0)], fill=(240, 190, 130))
    draw.line([(far, 0), (far, far), (0, far)], fill=(60, 28, 12))
    draw.rectangle((FRAME - 1, FRAME - 1, far - FRAME + 1, far - FRAME + 1), fill=(60, 28, 12))
    draw.rectangle((FRAME, FRAME, far - FRAME, far - FRAME), fill=(238, 234, 224))
    return frame


def _pictures(random: np.random.Generator) -> list[Part]:
    middle = _any(random, MIDDLE_MOTIFS)
    motifs = ("cat", "cat", middle, middle, "rocket", "rocket")
    return [_picture(random, motif, place) for place, motif in enumerate(motifs)]


def _mismatched_pair(random: np.random.Generator, parts: list[Part]) -> tuple[list[Part], list[Region]]:
    """The middle row shows one cup and one astronaut. Either may be the odd one, so the region covers both."""
    place = int(random.integers(2, 4))
    changed = _with(parts, {place: _picture(random, _other(MIDDLE_MOTIFS, parts[place].kind), place)})
    return changed, [changed[2:4]]


def _wrong_picture(random: np.random.Generator, parts: list[Part]) -> tuple[list[Part], list[Region]]:
    """A picture in the upper or lower row shows another motif."""
    place = int(random.choice([0, 1, 4, 5]))
    motif = _any(random, tuple(motif for motif in MOTIFS if motif != parts[place].kind))
    wrong = _picture(random, motif, place)
    return _with(parts, {place: wrong}), [[wrong]]


def _swapped_pictures(random: np.random.Generator, parts: list[Part]) -> tuple[list[Part], list[Region]]:
    """A cat and a rocket have exchanged their places."""
    above, below = int(random.integers(2)), int(random.integers(4, 6))
    rocket, cat = _picture(random, "rocket", above), _picture(random, "cat", below)
    return _with(parts, {above: rocket, below: cat}), [[rocket], [cat]]


COIN_AREA = int(pi / 4 * COIN_DIAMETER["copper"] ** 2)  # of the smaller kinds: covering one coin is enough
PICTURE_AREA = PICTURE_WIDTH**2

COIN_TRAY = Category(
    name="coin_tray",
    size=TRAY_SIZE,
    rule="One coin per compartment: three large silver ones above three small ones, all copper or all gold.",
    ground=_tray,
    arrange=_coins,
    logical=(
        Defect("missing_coin", COIN_AREA, _missing),
        Defect("extra_coin", COIN_AREA, _extra_coin),
        Defect("wrong_coin", COIN_AREA, _wrong_coin),
        Defect("swapped_coins", COIN_AREA, _swapped_coins),
        Defect("mixed_metals", COIN_AREA, _mixed_metals),
    ),
    structural=(
        Defect("scratched_coin", 1.0, _on_one_part(_scratched)),
        Defect("stained_coin", 0.7, _on_one_part(_stained)),
        Defect("broken_coin", 1.0, _on_one_part(_broken)),
        Defect("bent_coin", 0.5, _on_one_part(_bent)),
        Defect("tarnished_coin", 0.5, _on_one_part(_discoloured(VERDIGRIS))),
        Defect("stone_on_tray", 1.0, _stone),
    ),
)

PICTURE_WALL = Category(
    name="picture_wall",
    size=WALL_SIZE,
    rule="Each row shows one motif twice: cats above, cups or astronauts in the middle, rockets below.",
    ground=_wall,
    arrange=_pictures,
    logical=(
        Defect("missing_picture", PICTURE_AREA, _missing),
        Defect("mismatched_pair", PICTURE_AREA, _mismatched_pair),
        Defect("wrong_picture", PICTURE_AREA, _wrong_picture),
        Defect("swapped_pictures", PICTURE_AREA, _swapped_pictures),
    ),
    structural=(
        Defect("scratched_picture", 1.0, _on_one_part(_scratched)),
        Defect("stained_picture", 0.7, _on_one_part(_stained)),
        Defect("torn_picture", 1.0, _on_one_part(_broken)),
        Defect("warped_picture", 0.5, _on_one_part(_bent)),
        Defect("bleached_picture", 0.5, _on_one_part(_discoloured(BLEACHED))),
    ),
)
