"""A learner of the prepared category, to be stepped by hand."""

import torch

from dfsc.data.images import load_images
from dfsc.data.layout import images_of, read_manifest
from dfsc.model.saved import load_teacher
from dfsc.settings.building import build
from dfsc.settings.training import TrainingSettings
from dfsc.training.student import ModelLearner
from support.prepared import TRAINING, Prepared


def learner_of(prepared: Prepared, **changes: object) -> ModelLearner:
    """A learner of the prepared category."""
    settings = build(TrainingSettings, {**TRAINING, **changes})
    records = images_of(read_manifest(prepared.manifest()), "train/good")
    images = load_images([prepared.dataset / prepared.category / record.path for record in records], 64)
    teacher = load_teacher(prepared.root / "teacher.pt", "tiny")
    return ModelLearner(settings, images, prepared.pretraining_images(), teacher, torch.device("cpu"))
