"""The category picture_wall: three rows of two framed pictures, each row with one motif."""

from numpy.random import Generator
from PIL import Image, ImageDraw, ImageOps

from dfsc.data.synthetic import scene
from dfsc.data.synthetic.damage import damage_defects
from dfsc.data.synthetic.scene import Category, Defect, Edited, Part, Span, Tones, exchanged, photograph

SIZE = (240, 320)
PICTURE_WIDTH, FRAME, MAT = 70, 6, 2  # pixels
# Squares in the photographs that hang on the wall: file, left, top, side, in pixels.
MOTIFS = {
    "cat": ("chelsea.png", 90, 0, 300),
    "cup": ("coffee.png", 75, 0, 400),
    "astronaut": ("astronaut.png", 120, 5, 220),
    "rocket": ("rocket.jpg", 190, 30, 380),
}
OTHER_MOTIF = {"cup": "astronaut", "astronaut": "cup"}  # of the middle row
BLEACHED: Tones = ((120, 105, 75), (250, 240, 205))

# How much normal images vary: more hides anomalies better.
SHIFT: Span = (-3, 3)  # pixels
TURN: Span = (-1.5, 1.5)  # degrees
CROP: Span = (0.90, 1.0)  # share of the photograph that the frame shows


def _wall(random: Generator) -> Image.Image:
    bricks = photograph("brick.png", ((92, 82, 76), (206, 198, 188))).transpose(Image.Transpose.ROTATE_90)
    return scene.random_crop(random, bricks, SIZE, 0.8)


def _pictures(random: Generator) -> list[Part]:
    middle = str(random.choice(list(OTHER_MOTIF)))
    motifs = ("cat", "cat", middle, middle, "rocket", "rocket")
    return [_picture(random, motif, place) for place, motif in enumerate(motifs)]


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
    frame = scene.wood(random, (PICTURE_WIDTH, PICTURE_WIDTH))
    draw = ImageDraw.Draw(frame)
    draw.line([(0, far), (0, 0), (far, 0)], fill=(240, 190, 130))
    draw.line([(far, 0), (far, far), (0, far)], fill=(60, 28, 12))
    draw.rectangle((FRAME - 1, FRAME - 1, far - FRAME + 1, far - FRAME + 1), fill=(60, 28, 12))
    draw.rectangle((FRAME, FRAME, far - FRAME, far - FRAME), fill=(238, 234, 224))
    return frame


def _mismatched_pair(random: Generator, parts: list[Part]) -> Edited:
    """The middle row shows one cup and one astronaut. Either may be the odd one, so the region covers both."""
    place = int(random.integers(2, 4))
    changed, _ = exchanged(parts, {place: _picture(random, OTHER_MOTIF[parts[place].kind], place)})
    return changed, [changed[2:4]]


def _wrong_picture(random: Generator, parts: list[Part]) -> Edited:
    """A picture in the upper or lower row shows another motif."""
    place = int(random.choice([0, 1, 4, 5]))
    motif = str(random.choice([motif for motif in MOTIFS if motif != parts[place].kind]))
    return exchanged(parts, {place: _picture(random, motif, place)})


def _swapped_pictures(random: Generator, parts: list[Part]) -> Edited:
    """A cat and a rocket have exchanged their places."""
    above, below = int(random.integers(2)), int(random.integers(4, 6))
    return exchanged(parts, {above: _picture(random, "rocket", above), below: _picture(random, "cat", below)})


PICTURE_AREA = PICTURE_WIDTH**2

PICTURE_WALL = Category(
    name="picture_wall",
    size=SIZE,
    rule="Each row shows one motif twice: cats above, cups or astronauts in the middle, rockets below.",
    ground=_wall,
    arrange=_pictures,
    logical=(
        Defect("missing_picture", PICTURE_AREA, scene.missing),
        Defect("mismatched_pair", PICTURE_AREA, _mismatched_pair),
        Defect("wrong_picture", PICTURE_AREA, _wrong_picture),
        Defect("swapped_pictures", PICTURE_AREA, _swapped_pictures),
    ),
    structural=damage_defects("picture", broken="torn", bent="warped", discoloured="bleached", tones=BLEACHED),
)
