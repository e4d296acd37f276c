"""A trained model as one graph in ONNX: an image of any size in, its anomaly map and image score out.

The graph computes what `dfsc` computes of a decoded image: Pillow's resizing, ImageNet's normalisation, the networks,
the map quantiles, the padding, and the map at the image's size. It needs nothing of `dfsc` to run.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dfsc.errors import UserError
from dfsc.model.maps import PADDING
from dfsc.model.networks import EfficientAD, standardise

# Pillow's weights of 8-bit images are whole numbers of 22 bits. As two halves of 11 bits, float32 sums their products
# with pixels exactly, in whatever order, where no more than 64 pixels make one: of images up to 32 times as large.
HALF = 2**11
TRACED_SIZE = (90, 70)  # of the image that the graph is traced with; any size will do
SIZES = {"min": 1, "max": 2**15}  # of an image's side, in pixels


def resampling_weights(source: int, target: int) -> tuple[Tensor, Tensor]:
    """The weights of `source` pixels for each of `target`: bilinear with antialiasing, as Pillow resizes.

    Returns two float32 [target, source] of whole numbers: a weight is (first * 2^11 + second) / 2^22.
    Source: Pillow 13, src/libImaging/Resample.c (its definition; read, not copied).
    """
    place, pixel = torch.arange(target)[:, None], torch.arange(source)[None]
    # In units of 1 / (2 * target) pixels, so that all is whole: a pixel's distance from a target's centre, the reach.
    distance = (2 * pixel + 1) * target - (2 * place + 1) * source
    reach = 2 * torch.sym_max(source, target)
    raw = (reach - distance.abs()).clamp_min(0).double()
    weights = (raw / raw.sum(dim=1, keepdim=True) * HALF**2 + 0.5).floor()
    upper = ((weights + HALF // 2) / HALF).floor()
    return upper.float(), (weights - upper * HALF).float()


def _rounded(upper: Tensor, lower: Tensor) -> Tensor:
    """The pixels, whole numbers in 0..255, of the sums of both halves: (upper * 2^11 + lower) / 2^22 rounded."""
    return ((upper + (lower / HALF).floor() + HALF // 2) / HALF).floor()


def _across(image: Tensor, upper: Tensor, lower: Tensor) -> Tensor:
    return _rounded(torch.matmul(image, upper), torch.matmul(image, lower))


def _down(image: Tensor, upper: Tensor, lower: Tensor) -> Tensor:
    return _rounded(torch.matmul(upper, image), torch.matmul(lower, image))


def resize_as_pillow(image: Tensor, size: int) -> Tensor:
    """What `PIL.Image.resize((size, size), BILINEAR)` makes of an image, bit for bit.

    `image`: uint8 [h, w, 3]. Returns whole numbers in 0..255, float32 [3, size, size].
    """
    height, width, _ = image.shape
    horizontal = (half.T.contiguous() for half in resampling_weights(width, size))
    vertical = resampling_weights(height, size)

    def across_first(pixels: Tensor, *weights: Tensor) -> Tensor:
        return _down(_across(pixels, *weights[:2]), *weights[2:])

    def down_first(pixels: Tensor, *weights: Tensor) -> Tensor:
        return _across(_down(pixels, *weights[2:]), *weights[:2])

    # Each pass rounds. Pillow 13 begins with the rows where the height shrinks by more than twice what the width does.
    tall = height - size > torch.sym_max(2 * (width - size), 0)
    operands = (image.permute(2, 0, 1).float(), *horizontal, *vertical)
    resized: Tensor = torch.cond(tall, down_first, across_first, operands)
    return resized


class Graph(nn.Module):
    """What is exported."""

    def __init__(self, network: EfficientAD, padding: str) -> None:
        super().__init__()
        self.network, self.padding = network, padding

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Anomaly map, float32 [h, w], and image score, float32 [], of an image, uint8 [h, w, 3]."""
        resized = resize_as_pillow(image, self.network.image_size)
        small = self.network(standardise(resized[None] / 255)).mean(dim=1, keepdim=True)
        full = F.interpolate(self._padded(small), image.shape[:2], mode="bilinear", align_corners=False)[0, 0]
        return full, full.max()

    def _padded(self, small: Tensor) -> Tensor:
        border = (PADDING,) * 4
        if self.padding == "replicate":
            return F.pad(small, border, mode="replicate")
        if self.padding == "zero":
            return F.pad(small, border)
        inside = F.pad(torch.ones_like(small), border) > 0
        return torch.where(inside, F.pad(small, border), small.min())


def export_graph(network: EfficientAD, padding: str, metadata: Mapping[str, str], path: Path) -> None:
    """Write the graph as an ONNX file: input `image`, outputs `anomaly_map` and `image_score`.

    Raises UserError if the packages that write ONNX are not installed.
    """
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UserError(f"{error.name}: is not installed; pip install 'dfsc[export]'") from error
    graph = Graph(network.cpu(), padding).eval()
    height, width = (torch.export.Dim(name, **SIZES) for name in ("height", "width"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's own, about itself
        program = torch.onnx.export(
            graph,
            (torch.zeros(*TRACED_SIZE, 3, dtype=torch.uint8),),
            input_names=["image"],
            output_names=["anomaly_map", "image_score"],
            dynamic_shapes=({0: height, 1: width},),
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    program.model.metadata_props.update(metadata)
    program.save(path)
