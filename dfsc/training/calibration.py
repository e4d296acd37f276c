"""What a trained model needs before it judges an image: the quantiles that scale its maps, and good images' scores.

Both come from the validation images, and are computed in float32 whatever the training's precision: an image is scored
in float32 too, unless `inference.precision` says otherwise, and its score is compared with theirs.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dfsc.data.layout import FileRecord
from dfsc.errors import UserError
from dfsc.model.maps import PADDING_MODES, image_score
from dfsc.model.networks import EfficientAD, normalise_images
from dfsc.training.device import computing

MAP_QUANTILES = (0.9, 0.995)  # of the validation maps, scaled to 0 and 0.1 (Batzner et al. 2024)
SMALLEST_SPREAD = 1e-6  # of maps, relative to their size: below, float32 holds nothing but rounding
BATCH = 16


def calibrate(model: EfficientAD, validation: NDArray[np.uint8], device: torch.device) -> NDArray[np.float32]:
    """Set the map quantiles of a model on `device` from `validation`, uint8 [n, size, size, 3].

    Returns the images' anomaly maps before padding, float32 [n, s/4 - 8, s/4 - 8]. The model is then in evaluation
    mode. Raises UserError if the maps are the same everywhere.
    """
    model.eval()
    with computing(device, "float32"):
        batches = torch.from_numpy(validation).split(BATCH)
        raw = torch.cat([model.raw_maps(normalise_images(batch.to(device))).float().cpu() for batch in batches])
    quantiles = np.quantile(raw.transpose(0, 1).flatten(1).double().numpy(), MAP_QUANTILES, axis=1).T
    lower, upper = quantiles.T
    if not (upper - lower > SMALLEST_SPREAD * np.abs(upper)).all():
        raise UserError(
            "validation images: the anomaly maps of them are the same everywhere, so that scores cannot be scaled by "
            f"their quantiles {MAP_QUANTILES}; are they all of one colour? replace them and train again"
        )
    model.map_quantiles.copy_(torch.from_numpy(quantiles))
    maps: NDArray[np.float32] = model.scaled(raw).mean(dim=1).numpy()
    return maps


def validation_scores(maps: NDArray[np.float32], records: Sequence[FileRecord]) -> Mapping[str, Tensor]:
    """Padding -> image scores, float32 [n], of the maps [n, h, w] of the images `records`, in their order.

    All paddings, since the padding is chosen when a model is used.
    """
    sized = [(small, record.height, record.width) for small, record in zip(maps, records, strict=True)]
    return {
        padding: torch.tensor([image_score(small, padding, height, width) for small, height, width in sized])
        for padding in PADDING_MODES
    }
