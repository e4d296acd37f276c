"""The category picture_wall: three rows of two framed pictures. The relations are matching pairs and their order."""

from numpy.random import Generator
from PIL import Image, ImageDraw, ImageOps

from dfsc.data.synthetic import scene
from dfsc.data.synthetic.damage import damage_defects
from dfsc.data.synthetic.photographs import Tones, photograph, random_crop, wood
from dfsc.data.synthetic.scene import Category, Defect, Edited, Part, Span, exchanged

SIZE = (240, 320)
PICTURE_WIDTH, FRAME, MAT = 70, 6, 2  # pixels
# Squares in the photographs that hang on the wall: file, left, top, side, in pixels. In the order of the rows, which
# begins anywhere and goes round: every motif hangs in every row, so that none is wrong by itself.
MOTIFS = {
    "cat": ("chelsea.png", 90, 0, 300),
    "cup": ("coffee.png", 75, 0, 400),
    "astronaut": ("astronaut.png", 120, 5, 220),
    "rocket": ("rocket.jpg", 190, 30, 380),
}
BLEACHED: Tones = ((120, 105, 75), (250, 240, 205))

# How much normal images vary: more hides anomalies better.
SHIFT: Span = (-3, 3)  # pixels
TURN: Span = (-1.5, 1.5)  # degrees
CROP: Span = (0.90, 1.0)  # share of the photograph that the frame shows


def _wall(random: Generator) -> Image.Image:
    bricks = photograph("brick.png", ((92, 82, 76), (206, 198, 188))).transpose(Image.Transpose.ROTATE_90)
    return random_crop(random, bricks, SIZE, 0.8)


def _pictures(random: Generator) -> list[Part]:
    first, motifs = int(random.integers(len(MOTIFS))), list(MOTIFS)
    return [_picture(random, motifs[(first + place // 2) % len(motifs)], place) for place in range(6)]


def _picture(random: Generator, motif: str, place: int) -> Part:
    """A framed photograph; places count from the left above."""
    name, left, top, side = MOTIFS[motif]
    shown, inner = side * random.uniform(*CROP), PICTURE_WIDTH - 2 * (FRAME + MAT)
    x, y = left + random.uniform(0, side - shown), top + random.uniform(0, side - shown)
    photo = photograph(name).resize((inner, inner), Image.Resampling.LANCZOS, (x, y, x + shown, y + shown))
    picture = _frame(random)
    picture.paste(photo, (FRAME + MAT, FRAME + MAT))
    picture.putalpha(255)
    picture = ImageOps.expand(picture, 2, (0, 0, 0, 0))  # transparent, so that turning smooths the edges
    row, column = divmod(place, 2)
    centre = SIZE[0] * (0.275 + 0.45 * column), SIZE[1] * (1 + 2 * row) / 6
    return scene.laid(random, motif, picture, centre, TURN, SHIFT)


def _frame(random: Generator) -> Image.Image:
    """A wooden frame, lit from the left above, around a white mat."""
    far = PICTURE_WIDTH - 1
    frame = wood(random, (PICTURE_WIDTH, PICTURE_WIDTH))
    draw = ImageDraw.Draw(frame)
    draw.line([(0, far), (0, 0), (far, 0)], fill=(240, 190, 130))
    draw.line([(far, 0), (far, far), (0, far)], fill=(60, 28, 12))
    draw.rectangle((FRAME - 1, FRAME - 1, far - FRAME + 1, far - FRAME + 1), fill=(60, 28, 12))
    draw.rectangle((FRAME, FRAME, far - FRAME, far - FRAME), fill=(238, 234, 224))
    return frame


def _mismatched_pair(random: Generator, parts: list[Part]) -> Edited:
    """A row shows two motifs. Either may be the odd one, so the region covers both."""
    place = int(random.integers(6))
    motif = str(random.choice([motif for motif in MOTIFS if motif != parts[place].kind]))
    changed, _ = exchanged(parts, {place: _picture(random, motif, place)})
    left = place // 2 * 2
    return changed, [changed[left : left + 2]]


def _repeated_motif(random: Generator, parts: list[Part]) -> Edited:
    """Two rows show the same motif. Either may be the wrong one, so the region covers both."""
    first, second = (2 * int(row) for row in random.choice(3, 2, replace=False))
    copies = {place: _picture(random, parts[first].kind, place) for place in (second, second + 1)}
    changed, _ = exchanged(parts, copies)
    return changed, [changed[first : first + 2] + changed[second : second + 2]]


def _swapped_pictures(random: Generator, parts: list[Part]) -> Edited:
    """Two pictures of different rows have exchanged their places, so that two pairs do not match."""
    rows, columns = random.choice(3, 2, replace=False), random.integers(2, size=2)
    return scene.swapped(parts, [(2 * int(rows[0]) + int(columns[0]), 2 * int(rows[1]) + int(columns[1]))])


def _swapped_rows(random: Generator, parts: list[Part]) -> Edited:
    """Two rows have exchanged their places: the pairs match, but their order is broken."""
    first, second = (2 * int(row) for row in random.choice(3, 2, replace=False))
    return scene.swapped(parts, [(first, second), (first + 1, second + 1)])


PICTURE_AREA = PICTURE_WIDTH**2

PICTURE_WALL = Category(
    name="picture_wall",
    size=SIZE,
    rule="Rows are pairs. From above: cat, cup, astronaut, rocket, then cat again; any may be the first.",
    ground=_wall,
    arrange=_pictures,
    logical=(
        Defect("mismatched_pair", PICTURE_AREA, _mismatched_pair),
        Defect("repeated_motif", PICTURE_AREA, _repeated_motif),
        Defect("swapped_pictures", PICTURE_AREA, _swapped_pictures),
        Defect("swapped_rows", PICTURE_AREA, _swapped_rows),
    ),
    structural=damage_defects("picture", broken="torn", bent="warped", discoloured="bleached", tones=BLEACHED),
)
