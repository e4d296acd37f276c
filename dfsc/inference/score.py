"""A trained model and images in, anomaly maps and image scores out. Inference is EfficientAD's own, for DFSC too."""

from collections.abc import Callable, Mapping
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dfsc.data.decoded import CategoryImages
from dfsc.data.layout import FileRecord, images_of, read_manifest
from dfsc.errors import UserError
from dfsc.files import written_whole
from dfsc.inference.image_scores import write_scores
from dfsc.inference.maps import SmallMaps, write_maps
from dfsc.inference.protocols import Judged, best_on_test, recalibrate
from dfsc.model.maps import image_score, pad_map, resize_map
from dfsc.model.networks import EfficientAD, normalise_images
from dfsc.model.trained import TrainedModel, load_model
from dfsc.settings.leaves import Precision
from dfsc.settings.scoring import ScoringSettings
from dfsc.training.device import computing
from dfsc.training.replay import Replay

BATCH = 16
REPLAYS: WeakKeyDictionary[EfficientAD, Replay] = WeakKeyDictionary()  # as long as the model lives


def anomaly_maps(
    model: EfficientAD, images: NDArray[np.uint8], device: torch.device, precision: Precision
) -> NDArray[np.float32]:
    """Anomaly maps M = (M_local + M_global) / 2 before padding, float32 [n, s/4 - 8, s/4 - 8].

    `images`: uint8 [n, s, s, 3]. Source: Batzner et al. 2024, section 3.4.
    """
    if next(model.parameters()).device != device:  # else it would take half a millisecond to find out
        model.to(device)

    def computed(normalised: Tensor) -> Tensor:
        with computing(device, precision):
            return model(normalised).mean(dim=1).float()  # type: ignore[no-any-return]

    replay = REPLAYS.setdefault(model, Replay())
    weights = tuple(tensor.data_ptr() for tensor in (*model.parameters(), *model.buffers()))
    maps = [
        replay(computed, (precision, model.training, weights), normalise_images(batch.to(device))).cpu()
        for batch in torch.from_numpy(images).split(BATCH)
    ]
    return torch.cat(maps).numpy()


def score_images(
    model: EfficientAD,
    images: CategoryImages,
    records: list[FileRecord],
    settings: ScoringSettings,
    device: torch.device,
    progress: Callable[[int, int], None],
) -> tuple[dict[str, NDArray[np.float32]], dict[str, float]]:
    """Small anomaly maps and image scores of `records`, which are among `images`, keyed by path.

    The image score is the maximum of the padded map at the image's own size. Raises UserError naming an image whose map
    holds NaN or infinite values.
    """
    maps: dict[str, NDArray[np.float32]] = {}
    scores: dict[str, float] = {}
    for start in range(0, len(records), BATCH):
        batch = records[start : start + BATCH]
        found = anomaly_maps(model, images.of(batch), device, settings.precision)
        for record, small in zip(batch, found, strict=True):
            if not np.isfinite(small).all():
                raise UserError(
                    f"{record.path}: its anomaly map holds NaN or infinite values; check the images that the model was "
                    "trained and calibrated on, and train it again"
                )
            maps[record.path] = small
            scores[record.path] = image_score(small, settings.padding, record.height, record.width)
        progress(len(maps), len(records))
    return maps, scores


def write_full_size_maps(
    folder: Path, category: str, records: list[FileRecord], maps: Mapping[str, NDArray[np.float32]], padding: str
) -> None:
    """Write the maps at image size as the official layout wants them: <folder>/<category>/test/<type>/<id>.tiff."""
    import tifffile

    for record in records:
        full = resize_map(pad_map(maps[record.path], padding), record.height, record.width)
        with written_whole((folder / category / record.path).with_suffix(".tiff")) as temporary:
            tifffile.imwrite(temporary, full)


def run_scoring(
    model_path: Path,
    settings: ScoringSettings,
    folder: Path,
    manifest: Path,
    scores: Path,
    maps: Path,
    full_size_maps: Path | None,
    device: torch.device,
    workers: int,
    progress: Callable[[int, int], None],
    validation: Path | None = None,
    kept: Path | None = None,
) -> None:
    """Score the test images; write image scores (CSV), small maps (npz) and, if asked for, full-size TIFFs.

    The validation images' scores, which the model file has, are written too. `validation`: the manifest of these
    images, for `settings.calibration_images`, which scores them anew. `kept`: a folder of decoded images that all
    scorings share, which saves time alone. Raises UserError naming a file, and for a `validation` that the settings do
    not ask for.
    """
    if validation is not None and settings.calibration_images is None:
        raise UserError(f"--validation {validation}: is read for calibration_images alone; leave it out")
    records = [record for record in read_manifest(manifest) if record.path.startswith("test/")]
    if not records:
        raise UserError(f"{manifest}: lists no test image")
    model, good = load_model(model_path), dict[str, float]()
    images = CategoryImages(folder, model.network.image_size, workers)
    if kept is not None:
        images.keep_in(kept, manifest)

    def judge(one: TrainedModel) -> Judged:
        return Judged(one, *score_images(one.network, images, records, settings, device, progress))

    if settings.calibration_images is not None:
        listed = images_of(read_manifest(validation or manifest), "validation/good")
        recalibrate(model.network, folder, listed, settings.calibration_images, device)
        others = CategoryImages(folder, images.image_size, workers)
        _, good = score_images(model.network, others, listed, settings, device, progress)
    judged = best_on_test(model, judge) if settings.best_on_test else judge(model)
    if full_size_maps is not None:
        write_full_size_maps(full_size_maps, folder.name, records, judged.maps, settings.padding)
    known = judged.model.validation_scores[settings.padding].tolist()
    good = good or dict(zip(model.validation_images, known, strict=True))
    write_scores(scores, {**good, **judged.scores})
    write_maps(maps, SmallMaps(judged.maps, settings.padding))
