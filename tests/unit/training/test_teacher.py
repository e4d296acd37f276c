"""What is said of a pretrained teacher, and under which name an unfinished one is kept."""

import json
from pathlib import Path

from dfsc.data.pretraining_images import PretrainingImages
from dfsc.files import digest_of, read_json, sha256_of
from dfsc.provenance import code_digest
from support.command_line import dfsc
from support.prepared import TEACHER, Prepared, teacher_files


def test_a_record_says_what_a_teacher_was_made_from(prepared: Prepared) -> None:
    made = read_json(prepared.root / "teacher.json")
    images = PretrainingImages(prepared.root / "index", prepared.dataset / "pretraining")
    inputs = {
        "settings": TEACHER,
        "pretraining_images": {"source": "generated", "digest": images.digest, "count": 12},
        "backbone_weights": "random weights, seed 0",
        "code": code_digest("teacher pretrain"),
    }
    assert {name: made[name] for name in inputs} == inputs
    assert made["fingerprint"] == digest_of(inputs)
    assert made["digest"] == sha256_of(prepared.root / "teacher.pt")
    assert made["teacher"] == "pretrained 3 steps on generated, resnet18 with random weights, seed 0"
    assert (prepared.root / "teacher.csv").read_text().startswith("step,distillation\n1,")


def test_a_backbone_of_random_weights_takes_none_of_a_package(prepared: Prepared, tmp_path: Path) -> None:
    settings = {**TEACHER, "backbone": "tf_efficientnet_lite0", "steps": 1}
    outcome = dfsc(
        *("teacher", "pretrain", "--settings", json.dumps(settings), *prepared.pretraining, "--device", "cpu"),
        *(*teacher_files(tmp_path), "--checkpoints", tmp_path),
    )
    assert outcome.code == 0, outcome.errors
    assert read_json(tmp_path / "teacher.json")["backbone_weights"] == "random weights, seed 0"


def test_teachers_of_other_settings_keep_other_checkpoints(prepared: Prepared, tmp_path: Path) -> None:
    for rate in (1e30, 2e30):  # so that it stops at once, and keeps its checkpoint
        outcome = dfsc(
            *("teacher", "pretrain", "--settings", json.dumps({**TEACHER, "learning_rate": rate, "steps": 30})),
            *(*prepared.pretraining, *teacher_files(tmp_path), "--checkpoints", tmp_path / "checkpoints"),
            *("--device", "cpu", "--checkpoint-seconds", "0"),
        )
        assert outcome.code == 1 and "became infinite or no number" in outcome.errors, outcome.errors
    assert len(list((tmp_path / "checkpoints").glob("*.pt"))) == 2
