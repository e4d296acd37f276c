"""From a trained model to metrics by the command line: the small maps and the official TIFFs say the same."""

import csv
import json
import re
from pathlib import Path

import pytest
import torch

from dfsc.data.decoded import CategoryImages
from dfsc.data.layout import read_manifest
from dfsc.inference.score import BATCH, score_images
from dfsc.model.networks import EfficientAD
from dfsc.settings.scoring import ScoringSettings
from support.command_line import dfsc
from support.prepared import Prepared


@pytest.mark.parametrize("padding", ["zero", "minimum", "replicate"])
def test_both_routes_agree(prepared: Prepared, tmp_path: Path, padding: str) -> None:
    assert dfsc(*prepared.train_arguments(tmp_path, steps=2)).code == 0
    place = ("--dataset", prepared.dataset, "--category", prepared.category)
    outcome = dfsc(
        *("score", "--model", tmp_path / "model.pt", "--manifest", prepared.manifest(), *place),
        *("--settings", json.dumps({"padding": padding, "precision": "float32"}), "--device", "cpu"),
        *("--scores", tmp_path / "scores.csv", "--maps", tmp_path / "maps.npz"),
        *("--full-size-maps", tmp_path / "official"),
    )
    assert outcome.code == 0, outcome.errors
    for route in ("official", "maps.npz"):
        outcome = dfsc(
            *("evaluate", *place, "--maps", tmp_path / route),
            *("--output", tmp_path / f"{route}.json", "--curves", tmp_path / f"{route}-curves"),
        )
        assert outcome.code == 0, outcome.errors
    assert (tmp_path / "official.json").read_text() == (tmp_path / "maps.npz.json").read_text()
    auroc = json.loads((tmp_path / "official.json").read_text())["classification"]["auc_roc"]
    assert set(auroc) == {"logical_anomalies", "structural_anomalies", "mean"}

    head, *lines, end = (tmp_path / "scores.csv").read_bytes().split(b"\n")
    assert (
        head == b"path,image_score" and end == b"" and all(re.fullmatch(rb"[^\r]+\.png,[^\r]+", line) for line in lines)
    )
    with (tmp_path / "scores.csv").open(newline="") as stream:
        scores = {row["path"]: float(row["image_score"]) for row in csv.DictReader(stream)}
    assert [path for path in scores if not path.startswith("test/")] == [f"validation/good/00{n}.png" for n in range(3)]
    good, logical = (
        [score for path, score in scores.items() if path.startswith(f"test/{kind}/")]
        for kind in ("good", "logical_anomalies")
    )
    wins = [(one > other) + 0.5 * (one == other) for one in logical for other in good]
    assert auroc["logical_anomalies"] == pytest.approx(sum(wins) / len(wins), abs=1e-12)


def test_a_file_that_is_no_model_is_refused(prepared: Prepared, tmp_path: Path) -> None:
    outcome = dfsc(
        *("score", "--model", prepared.root / "teacher.pt", "--manifest", prepared.manifest()),
        *("--dataset", prepared.dataset, "--category", prepared.category),
        *("--settings", json.dumps({"padding": "zero", "precision": "float32"})),
        *("--scores", tmp_path / "scores.csv", "--maps", tmp_path / "maps.npz"),
    )
    assert outcome.code == 2 and "teacher.pt" in outcome.errors and outcome.errors.count("\n") == 1
    assert not (tmp_path / "scores.csv").exists()


def test_progress_is_told_of_all_images_after_each_batch(prepared: Prepared) -> None:
    tested = [record for record in read_manifest(prepared.manifest()) if record.path.startswith("test/")]
    told, records = list[tuple[int, int]](), tested * (BATCH // len(tested) + 1)
    assert BATCH < len(records) < 2 * BATCH
    images = CategoryImages(prepared.dataset / prepared.category, 64, 1)
    settings = ScoringSettings("zero", "float32")
    network = EfficientAD("tiny", 64).eval()
    score_images(network, images, records, settings, torch.device("cpu"), lambda *progress: told.append(progress))
    assert told == 2 * [(len(tested), len(records))], "each image is in the first batch"
