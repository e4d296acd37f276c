"""A contact sheet of the generated data set: what is normal, what is not, and where."""

import io
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from dfsc.data.ground_truth import mask_files
from dfsc.data.images import decode_grey, decode_image
from dfsc.data.layout import read_defects
from dfsc.data.synthetic import SCENES
from dfsc.data.synthetic.scene import Category
from dfsc.files import written_whole

ROWS = {"train/good": "normal", "test/logical_anomalies": "logical", "test/structural_anomalies": "structural"}
COLUMNS = 6
OUTLINES = ("#ffd400", "#ffffff")  # first and second mask of an image

# Inches.
MARGIN, GAP, CAPTION, TITLE = 0.30, 0.06, 0.24, 0.62
IMAGE_WIDTH = 1.6


def draw_contact_sheet(root: Path, output: Path) -> None:
    """Draw the first training and anomalous images of each category below `root`, masks outlined, as a PNG file.

    `root` is an output of `dfsc.data.synthetic.synthesize`; folders with fewer than six images leave panels empty.
    Raises UserError naming a file that is missing or damaged, or `output` if it cannot be written.
    """
    width = MARGIN + COLUMNS * (IMAGE_WIDTH + GAP)
    figure = Figure(figsize=(width, sum(map(_height, SCENES.values()))), dpi=100)
    top = figure.get_figheight()
    for category in SCENES.values():
        _draw_category(figure, top, root / category.name, category)
        top -= _height(category)
    content = io.BytesIO()
    figure.savefig(content, format="png")
    # A palette makes the file a third as large; maximum coverage keeps the rare colours of outlines and defects.
    page = Image.open(content).convert("RGB")
    sheet = page.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE)
    with written_whole(output) as temporary:
        sheet.save(temporary, format="png", optimize=True)


def _image_height(category: Category) -> float:
    return IMAGE_WIDTH * category.size[1] / category.size[0]


def _height(category: Category) -> float:
    return TITLE + len(ROWS) * (_image_height(category) + CAPTION)


def _draw_category(figure: Figure, top: float, folder: Path, category: Category) -> None:
    width, height = figure.get_size_inches()
    title, rule = (top - 0.10) / height, (top - 0.36) / height
    figure.text(MARGIN / width, title, category.name.replace("_", " ").capitalize(), weight="bold", size=12, va="top")
    figure.text(MARGIN / width, rule, category.rule, size=9, color="#444444", va="top")
    for row, split in enumerate(ROWS):
        bottom = top - TITLE - _image_height(category) - row * (_image_height(category) + CAPTION)
        for number in range(COLUMNS):
            left = MARGIN + number * (IMAGE_WIDTH + GAP)
            box = (left / width, bottom / height, IMAGE_WIDTH / width, _image_height(category) / height)
            axes = figure.add_axes(box, xticks=[], yticks=[], frame_on=False)
            _draw_image(axes, folder, split, number)
            if number == 0:
                axes.set_ylabel(ROWS[split], size=9, color="#444444")


def _draw_image(axes: Axes, category_folder: Path, split: str, number: int) -> None:
    path = category_folder / split / f"{number:03d}.png"
    if not path.exists():
        return
    axes.imshow(np.asarray(decode_image(path)), interpolation="antialiased")
    defects = read_defects(category_folder / "defects_config.json")
    for index, mask in enumerate(mask_files(category_folder, Path(split).name, path.stem)):
        covered = decode_grey(mask)
        axes.contour(covered > 0, levels=[0.5], colors=[OUTLINES[index % len(OUTLINES)]], linewidths=1.1)
        axes.set_xlabel(defects[int(covered.max())].defect_name.replace("_", " "), size=8.5, labelpad=2)
