"""Damage to one part: the structural anomalies that all categories have."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import cos, pi, sin

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageChops, ImageFilter
from scipy.ndimage import map_coordinates

from dfsc.data.synthetic.photographs import Tones, toned
from dfsc.data.synthetic.scene import Array, Defect, Edited, Part, Span, blob, exchanged, shape

# How severe damage is: the lower end is the subtle one. Lengths are shares of the part's width.
SCRATCH_LENGTH: Span = (0.6, 1.0)
SCRATCH_WIDTH: Span = (0.06, 0.14)
SCRATCH_STRENGTH: Span = (0.6, 1.0)  # opacity
STAIN_RADIUS: Span = (0.20, 0.36)
STAIN_STRENGTH: Span = (0.6, 0.95)  # opacity
BROKEN_SHARE: Span = (0.22, 0.5)
BENT_RADIUS: Span = (0.5, 0.7)
BENT_SHIFT: Span = (0.22, 0.38)
DISCOLOURED_STRENGTH: Span = (0.45, 0.9)  # opacity of the new tone

Damaged = tuple[Image.Image, Image.Image]  # the part's new picture, and the area that changed ('L')
Damage = Callable[[Generator, Image.Image], Damaged]


def damage_defects(
    part: str, broken: str, bent: str, discoloured: str, tones: Tones, kinds: tuple[str, ...] | None = None
) -> tuple[Defect, ...]:
    """The defects in which one part, of one of these kinds if any, is damaged.

    They are named after `part` and what the damage is called there; `tones` are a discoloured part's.
    """

    def defect(name: str, saturation: float, damage: Damage) -> Defect:
        return Defect(f"{name}_{part}", saturation, partial(_on_one_part, damage, kinds))

    return (
        defect("scratched", 1.0, _scratched),
        defect("stained", 0.7, _stained),
        defect(broken, 1.0, _broken),
        defect(bent, 0.5, _bent),
        defect(discoloured, 0.5, partial(_discoloured, tones)),
    )


def _on_one_part(damage: Damage, kinds: tuple[str, ...] | None, random: Generator, parts: list[Part]) -> Edited:
    place = int(random.choice([place for place, part in enumerate(parts) if kinds is None or part.kind in kinds]))
    picture, area = damage(random, parts[place].picture)
    touched = picture.copy()
    touched.putalpha(area)
    changed, _ = exchanged(parts, {place: replace(parts[place], picture=picture)})
    return changed, [[replace(parts[place], picture=touched)]]


def _scratched(random: Generator, picture: Image.Image) -> Damaged:
    angle, half = random.uniform(0, pi), random.uniform(*SCRATCH_LENGTH) * picture.width / 2
    across = random.uniform(-0.04, 0.04, 5) * picture.width
    points = _turned(angle, np.linspace(-half, half, 5), across, _off_centre(random, picture, 0.08))
    area = shape(picture.size, "line", points, max(1.2, random.uniform(*SCRATCH_WIDTH) * picture.width))
    brightness = np.average(np.asarray(picture.convert("L")), weights=np.asarray(picture.getchannel("A")))
    colour = Image.new("RGB", picture.size, (25, 20, 18) if brightness > 110 else (245, 243, 235))
    return _covered(picture, area, colour, random.uniform(*SCRATCH_STRENGTH))


def _stained(random: Generator, picture: Image.Image) -> Damaged:
    radii = random.uniform(*STAIN_RADIUS) * picture.width * random.uniform(0.75, 1.2, 14)
    area = blob(picture.size, _off_centre(random, picture, 0.2), radii).filter(ImageFilter.GaussianBlur(1.2))
    soot = Image.new("RGB", picture.size, (58, 36, 16))
    return _covered(picture, area, soot, random.uniform(*STAIN_STRENGTH))


def _discoloured(tones: Tones, random: Generator, picture: Image.Image) -> Damaged:
    everywhere = Image.new("L", picture.size, 255)
    return _covered(picture, everywhere, toned(picture, tones), random.uniform(*DISCOLOURED_STRENGTH))


def _covered(picture: Image.Image, area: Image.Image, cover: Image.Image, strength: float) -> Damaged:
    alpha = picture.getchannel("A")
    covered = Image.composite(cover, picture.convert("RGB"), area.point(lambda value: value * strength))
    covered.putalpha(alpha)
    return covered, ImageChops.multiply(area, alpha)


def _broken(random: Generator, picture: Image.Image) -> Damaged:
    """A piece beyond a jagged line is gone; the area is where it was."""
    width, angle = picture.width, random.uniform(0, 2 * pi)
    edge = (0.5 - random.uniform(*BROKEN_SHARE)) * width + random.uniform(-0.05, 0.05, 9) * width
    outward = np.append(edge, [2 * width, 2 * width])
    along = np.append(np.linspace(-width, width, 9), [width, -width])
    piece = shape(picture.size, "polygon", _turned(angle, outward, along, np.array(picture.size) / 2))
    alpha, broken = picture.getchannel("A"), picture.copy()
    broken.putalpha(ImageChops.multiply(alpha, ImageChops.invert(piece)))
    return broken, ImageChops.multiply(alpha, piece)


def _bent(random: Generator, picture: Image.Image) -> Damaged:
    """A round region is pushed sideways, most at its centre; the area is where the push exceeds a pixel."""
    radius, push = random.uniform(*BENT_RADIUS) * picture.width, random.uniform(*BENT_SHIFT) * picture.width
    angle = random.uniform(0, 2 * pi)
    y, x = np.mgrid[: picture.height, : picture.width].astype(np.float64)
    centre = _off_centre(random, picture, 0.18)
    squared = ((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / radius**2
    amount = push * np.clip(1 - squared, 0, None) ** 2
    source = np.stack([y - amount * sin(angle), x - amount * cos(angle)])
    channels = np.asarray(picture.convert("RGBa"))  # premultiplied: the transparent surround must not bleed in
    moved = [map_coordinates(channels[..., channel], source, order=1, mode="constant") for channel in range(4)]
    bent = Image.frombuffer("RGBa", picture.size, np.stack(moved, axis=-1).tobytes()).convert("RGBA")
    touched = Image.fromarray(np.where(amount >= 1, 255, 0).astype(np.uint8))
    either = ImageChops.lighter(picture.getchannel("A"), bent.getchannel("A"))
    return bent, ImageChops.multiply(touched, either)


def _off_centre(random: Generator, picture: Image.Image, share: float) -> Array:
    return np.array(picture.size) / 2 + random.uniform(-share, share, 2) * picture.width


def _turned(angle: float, x: Array, y: Array, centre: Array) -> Array:
    """The points (x, y), turned about the origin and then moved to `centre`."""
    horizontal, vertical = centre[0] + x * cos(angle) - y * sin(angle), centre[1] + x * sin(angle) + y * cos(angle)
    return np.stack([horizontal, vertical], axis=1)
