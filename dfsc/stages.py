"""Teachers and models from files to files, each written whole; what is computed is elsewhere."""

import resource
import shutil
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from dfsc.backbone import load_backbone
from dfsc.checkpoint import Checkpoint, save_tensors
from dfsc.data import images_of, read_manifest
from dfsc.device import describe_device
from dfsc.difference_log import DifferenceLog
from dfsc.errors import UserError
from dfsc.files import digest_of, read_record, sha256_of, write_json, write_text
from dfsc.images import load_images
from dfsc.loop import TrainingLog
from dfsc.pretraining_images import PretrainingImages
from dfsc.provenance import code_digest, provenance
from dfsc.published_teachers import import_teacher
from dfsc.settings.teacher import TeacherSettings
from dfsc.settings.training import TrainingSettings
from dfsc.teacher import load_teacher, pretrain_teacher
from dfsc.train import Trainer, model_state, train


def run_pretraining(
    settings: TeacherSettings,
    index: Path,
    pretraining_folder: Path,
    backbone_weights: Path | None,
    output: Path,
    checkpoints: Path,
    device: torch.device,
    **loop: Any,
) -> None:
    """Pretrain a teacher; write `output`, its curve and its provenance (`output` ending in .csv and .json).

    Raises UserError if there are weights for a backbone that the settings call random, or none for another.
    """
    if (settings.backbone_weights == "random") != (backbone_weights is None):
        needed = "no file" if settings.backbone_weights == "random" else "their file"
        raise UserError(f"--backbone-weights: `backbone_weights` is {settings.backbone_weights}; pass {needed}")
    images = PretrainingImages(index, pretraining_folder)
    backbone, weights = load_backbone(settings.backbone, backbone_weights, settings.seed)
    inputs = {
        "settings": asdict(settings),
        "pretraining_images": {"source": images.source, "digest": images.digest, "count": len(images)},
        "backbone_weights": weights,
        "code": code_digest("teacher pretrain"),
    }
    checkpoint = Checkpoint(checkpoints, digest_of(inputs))
    state, log = pretrain_teacher(settings, images, backbone, device, checkpoint, **loop)
    save_tensors(output, state)
    _write_log(output.with_suffix(".csv"), log)
    teacher = f"pretrained {settings.steps} steps on {images.source}, {settings.backbone} {weights}"
    made = {"teacher": teacher, "digest": sha256_of(output), "fingerprint": digest_of(inputs)}
    cost_and_origin = {**_cost(log, device), **provenance(describe_device(device))}
    write_json(output.with_suffix(".json"), {**made, **inputs, **cost_and_origin})
    checkpoint.remove()


def run_import(file: Path, size: str, sha256: str | None, output: Path) -> None:
    """Take over a published teacher; write `output` and its provenance (`output` ending in .json)."""
    state, origin = import_teacher(file, size, sha256)
    save_tensors(output, state)
    write_json(output.with_suffix(".json"), {"teacher": f"published: {origin}", "digest": sha256_of(output)})


def run_training(
    settings: TrainingSettings,
    folder: Path,
    manifest: Path,
    teacher: Path,
    index: Path,
    pretraining_folder: Path,
    output: Path,
    checkpoints: Path,
    device: torch.device,
    workers: int,
    **loop: Any,
) -> None:
    """Train one model; write `output` (model.pt), training_curve.csv, differences.npz and training.json beside it."""
    records = read_manifest(manifest)
    listed = {split: images_of(records, split) for split in ("train/good", "validation/good")}
    if empty := [split for split in listed if not listed[split]]:
        raise UserError(f"{manifest}: lists no image of {empty[0]}; write it with `dfsc manifest`")
    images, validation = (
        load_images([folder / record.path for record in found], settings.image_size, max(1, workers))
        for found in listed.values()
    )
    penalty = PretrainingImages(index, pretraining_folder)
    made = read_record(teacher.with_suffix(".json"), "the record of a teacher", ("teacher",))
    inputs = {
        "settings": asdict(settings),
        "data_digest": sha256_of(manifest),
        "teacher_digest": sha256_of(teacher),
        "penalty_digest": penalty.digest,
        "code": code_digest("train"),
    }
    fingerprint = digest_of(inputs)
    checkpoint = Checkpoint(checkpoints, fingerprint)
    trainer = Trainer(settings, images, penalty, load_teacher(teacher, settings.size), device)
    differences = checkpoint.path.with_suffix(".differences.npz")
    loop["progress"] = DifferenceLog(trainer.modules, images[0], differences, loop["progress"])
    log = train(trainer, validation, checkpoint, workers=workers, **loop)
    save_tensors(output, model_state(trainer.modules))
    shutil.move(differences, output.parent / "differences.npz")
    _write_log(output.parent / "training_curve.csv", log)
    write_json(
        output.parent / "training.json",
        {
            "fingerprint": fingerprint,
            **inputs,
            "model_digest": sha256_of(output),
            "pretraining_images": f"{penalty.source} ({len(penalty)} images)",
            "teacher": made["teacher"],
            **_cost(log, device),
            **provenance(describe_device(device)),
        },
    )
    checkpoint.remove()


def _write_log(path: Path, log: TrainingLog) -> None:
    write_text(path, pd.DataFrame(log.curve).to_csv(index=False))


def _cost(log: TrainingLog, device: torch.device) -> dict[str, Any]:
    peak = (
        torch.cuda.max_memory_allocated(device)
        if device.type == "cuda"
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    )
    return {
        "seconds": round(log.seconds, 1),
        "gpu_seconds": round(log.seconds, 1) if device.type == "cuda" else 0.0,
        "peak_memory_bytes": peak,
        "started": _utc(log.started),  # of the first attempt
        "finished": _utc(time.time()),
    }


def _utc(seconds: float) -> str:
    return time.strftime("%FT%TZ", time.gmtime(seconds))
