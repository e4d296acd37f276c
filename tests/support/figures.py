"""Figures as files: what can be said of any of them without knowing what it shows."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

DOTS, POINTS = 150, 72  # per inch: of our PNGs, of any PDF


def check_figure(path: Path) -> None:
    """`path`.png decodes to more than one colour, and `path`.pdf is whole and one page of the same size, within 2 %."""
    with Image.open(f"{path}.png") as image:
        pixels, size = np.asarray(image.convert("RGB")), image.size
    assert (pixels != pixels[0, 0]).any(), f"{path}.png is of one colour"
    pdf = Path(f"{path}.pdf").read_bytes()
    assert pdf.startswith(b"%PDF-") and pdf.rstrip().endswith(b"%%EOF"), f"{path}.pdf is cut short"
    assert len(re.findall(rb"/Type /Page\b", pdf)) == 1, f"{path}.pdf has another number of pages than one"
    (box,) = re.findall(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", pdf)
    # Letters of the two are not of quite the same width, and a figure ends where its last letter does.
    sides = [float(side) * DOTS / POINTS for side in box]
    assert sides == pytest.approx(size, rel=0.02), f"{path}: other sides as PDF"
