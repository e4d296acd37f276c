"""A trained model as a detector: an image in, a verdict out.

from dfsc.inference import Detector
verdict = Detector.load("model.pt")("part.jpg")
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import ExifTags, Image

from dfsc.data.images import decode_image
from dfsc.errors import UserError
from dfsc.inference.score import anomaly_maps
from dfsc.inference.threshold import SMALLEST_SCORE, percentile_of, threshold_of
from dfsc.model.maps import PADDING_MODES, pad_map, resize_map
from dfsc.model.trained import TrainedModel, load_model
from dfsc.settings.leaves import DeviceName
from dfsc.training.device import choose_device

Picture = Path | str | Image.Image | NDArray[np.uint8]  # a file, or RGB: an array is uint8 [height, width, 3]
FALSE_ALARM_RATE = 0.05


class Prepared(NamedTuple):
    """An image as the network takes it, and the size that its map gets."""

    pixels: NDArray[np.uint8]  # [s, s, 3]
    height: int  # of the image itself, in pixels
    width: int


class Verdict(NamedTuple):
    """What a detector says of an image."""

    score: float  # the image score: the maximum of `anomaly_map`
    percentile: float  # share of the validation images that score lower, in 0..100; equal ones count half
    accepted: bool  # false: rejected, as the score is above the threshold
    x: int  # where the maximum is, in pixels of the image, from its left
    y: int  # from its top
    anomaly_map: NDArray[np.float32]  # [height, width], at the image's size


def _as_it_is_seen(image: Image.Image) -> Image.Image:
    """The picture as RGB. Raises UserError if a file of it would be read otherwise than its values stand."""
    instead = "give the path of its file, or turn it into RGB yourself"
    if (orientation := image.getexif().get(ExifTags.Base.Orientation, 1)) != 1:
        raise UserError(f"image: EXIF orientation {orientation} is to turn it; {instead} (PIL.ImageOps.exif_transpose)")
    if image.mode.startswith(("I", "F")):
        raise UserError(f"image: has mode {image.mode}, of more than 8 bits; {instead}")
    if image.has_transparency_data:
        raise UserError(f"image: may be transparent (mode {image.mode}); {instead}")
    if (frames := getattr(image, "n_frames", 1)) > 1 and getattr(image, "format", None) != "MPO":
        raise UserError(f"image: has {frames} pages or frames; {instead}")
    return image.convert("RGB")


class Detector:
    """A model, and the threshold that its validation scores give for a false-alarm rate."""

    def __init__(
        self,
        model: TrainedModel,
        false_alarm_rate: float = FALSE_ALARM_RATE,
        padding: str = "zero",
        device: torch.device | None = None,
    ) -> None:
        """`padding` of the maps' borders, of PADDING_MODES. Computes in float32, on the CPU unless a device is given.

        Raises UserError for a rate that the validation images cannot promise, and for an unknown padding.
        """
        if padding not in PADDING_MODES:
            raise UserError(f"padding {padding!r} is none of {', '.join(PADDING_MODES)}")
        self.model, self.padding, self.device = model, padding, device or torch.device("cpu")
        self.false_alarm_rate = false_alarm_rate
        self.validation_scores: NDArray[np.float64] = model.validation_scores[padding].double().numpy()
        self.threshold = threshold_of(self.validation_scores, false_alarm_rate)

    @classmethod
    def load(
        cls,
        path: Path | str,
        false_alarm_rate: float = FALSE_ALARM_RATE,
        padding: str = "zero",
        device: DeviceName = "auto",
    ) -> "Detector":
        """The detector of a model file. Raises UserError naming a file that is no model, and as above."""
        chosen = choose_device(device, torch.get_num_threads())
        return cls(load_model(Path(path)), false_alarm_rate, padding, chosen)

    @property
    def promise(self) -> str:
        """What the threshold promises, in one line for a person."""
        return (
            f"threshold {self.threshold:.5g} from {len(self.validation_scores)} validation images: it rejects at most "
            f"{100 * self.false_alarm_rate:g} % of good images, if these are taken as the validation images were"
        )

    @property
    def full_scale(self) -> float:
        """The end of the one scale that maps are drawn at, from 0: twice the highest validation score.

        At 0 lies the 0.9 quantile of the validation maps. What is above the middle was never seen on a good image.
        """
        return 2 * max(float(self.validation_scores.max()), SMALLEST_SCORE)

    def __call__(self, image: Picture) -> Verdict:
        """Judge one image. Raises UserError for one that cannot be read."""
        return self.judge([self.prepared(image)])[0]

    def prepared(self, image: Picture) -> Prepared:
        """An image as the network takes it. Raises UserError naming a file that cannot be read."""
        if isinstance(image, np.ndarray):
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
                raise UserError(f"image: an array is uint8 [height, width, 3], not {image.dtype} {list(image.shape)}")
            image = Image.fromarray(image)
        elif isinstance(image, Image.Image):
            image = _as_it_is_seen(image)
        else:
            image = decode_image(Path(image))
        side = self.model.network.image_size
        pixels = np.asarray(image.resize((side, side), Image.Resampling.BILINEAR))
        return Prepared(pixels, image.height, image.width)

    def maps(self, images: Sequence[Prepared]) -> NDArray[np.float32]:
        """Their small anomaly maps, float32 [n, s/4 - 8, s/4 - 8]. Raises UserError if one is not finite."""
        if not images:
            return np.empty((0, 0, 0), np.float32)
        pixels = np.stack([image.pixels for image in images])
        found = anomaly_maps(self.model.network, pixels, self.device, "float32")
        if not np.isfinite(found).all():
            raise UserError("model: an anomaly map holds NaN or infinite values; train the model again")
        return found

    def verdict(self, small: NDArray[np.float32], height: int, width: int) -> Verdict:
        """The verdict on an image of this size, from its small anomaly map."""
        full = resize_map(pad_map(small, self.padding), height, width)
        y, x = divmod(int(full.argmax()), width)
        score = float(full[y, x])
        return Verdict(
            score, percentile_of(score, self.validation_scores), score <= self.threshold, x, y, full
        )  # fmt: skip

    def judge(self, images: Sequence[Prepared]) -> list[Verdict]:
        """Judge a batch of images."""
        return [
            self.verdict(small, image.height, image.width)
            for small, image in zip(self.maps(images), images, strict=True)
        ]
