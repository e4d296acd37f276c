"""An anomaly map drawn over its image, in colours that mean the same in every image."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Black, purple, red, orange, yellow: of matplotlib's inferno, which is not needed for this.
COLOURS = np.array([(0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164)], np.float32)
OPAQUE = 0.75  # from the middle of the scale on; below, a colour fades out towards 0


def overlay(image: Image.Image, anomaly_map: NDArray[np.float32], full_scale: float) -> Image.Image:
    """The image in grey under the colours of its map [height, width], from 0 (clear) to `full_scale` (yellow)."""
    level = np.clip(anomaly_map / np.float32(full_scale), 0, 1)
    colours = np.stack([np.interp(level, np.linspace(0, 1, len(COLOURS)), channel) for channel in COLOURS.T], axis=2)
    opacity = OPAQUE * np.minimum(2 * level, 1)[..., None]
    grey = np.asarray(image.convert("L"), np.float32)[..., None]
    return Image.fromarray((grey * (1 - opacity) + colours * opacity).round().astype(np.uint8))
