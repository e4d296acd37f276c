"""Whether TF32 and bfloat16 give the image AUROC of float32, on generated images, within the noise of seeds."""

import statistics
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.gpu.report import Figure, at_most
from benchmarks.gpu.scale import Scale
from benchmarks.training_step import learner_of
from dfsc.data.decoded import CategoryImages
from dfsc.data.images import load_images
from dfsc.data.layout import LOCO_TYPES, FileRecord, images_of
from dfsc.data.manifest import scan_category
from dfsc.data.synthetic import synthesize
from dfsc.inference.score import score_images
from dfsc.metrics.auroc import auroc
from dfsc.settings.leaves import TrainingPrecision
from dfsc.settings.scoring import ScoringSettings
from dfsc.settings.synthetic import PRETRAINING, SyntheticSettings
from dfsc.training.calibration import calibrate
from dfsc.training.checkpoint import Checkpoint
from dfsc.training.loop import LoopOptions, run_steps

CATEGORY = "coin_tray"
LEARNING_RATE = 1e-3  # the demo's, for trainings of few steps


def generate(folder: Path, images: SyntheticSettings) -> None:
    """Make the generated images if they are not there. Their photographs come with scikit-image and scikit-learn."""
    for part in (CATEGORY, PRETRAINING):
        if not (folder / part).exists():
            synthesize(folder, images, (part,))


def precisions(scale: Scale) -> Iterator[Figure]:
    """For each precision the mean AUROC over seeds; and its difference from float32's, of the same seeds."""
    generate(scale.generated, scale.images)
    records = scan_category(scale.generated / CATEGORY, workers=scale.workers)
    found: dict[str, list[float]] = {}
    for precision in dict.fromkeys(("float32", *scale.precisions)):
        found[precision] = [100 * _auroc(scale, records, precision, seed) for seed in scale.seeds]
        spread = statistics.stdev(found[precision])
        mean = f"{statistics.mean(found[precision]):.2f} ± {spread:.2f} over {len(scale.seeds)} seeds"
        what = f"mean AUROC (%) of {scale.size} after {scale.study_steps} steps in {precision}"
        yield Figure(what, mean)
        if precision != "float32":
            pairs = zip(found[precision], found["float32"], strict=True)
            apart = abs(statistics.mean(own - other for own, other in pairs))
            noise = statistics.stdev(found["float32"])
            yield at_most(
                f"difference of {precision} and float32, against the deviation over seeds", apart, noise, " points"
            )


def _auroc(scale: Scale, records: list[FileRecord], precision: TrainingPrecision, seed: int) -> float:
    """Mean over both anomaly types, of one model."""
    folder, penalty = scale.generated / CATEGORY, sorted((scale.generated / PRETRAINING).glob("*.png"))
    training = [folder / record.path for record in images_of(records, "train/good")]
    learner = learner_of(
        scale.size, training, penalty, scale.image_size, precision, False, scale.device, seed=seed,
        steps=scale.study_steps, learning_rate=LEARNING_RATE,
    )  # fmt: skip
    with TemporaryDirectory(dir=scale.folder) as checkpoints:
        run_steps(learner, scale.study_steps, Checkpoint(Path(checkpoints), "study"), LoopOptions(scale.workers))
    validation = [folder / record.path for record in images_of(records, "validation/good")]
    calibrate(learner.model, load_images(validation, scale.image_size, scale.workers), scale.device)
    tested = [record for record in records if record.path.startswith("test/")]
    images = CategoryImages(folder, scale.image_size, scale.workers)
    _, scores = score_images(
        learner.model, images, tested, ScoringSettings("zero", "float32"), scale.device, lambda done, total: None
    )
    good, *anomalous = (
        [scores[record.path] for record in images_of(records, f"test/{kind}")] for kind in ("good", *LOCO_TYPES)
    )
    return statistics.mean(auroc(good, scores_of_type) for scores_of_type in anomalous)
