"""A category of one's own, of any format and names, from manifest to figures; what cannot work is said first."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dfsc.data.decoded import CategoryImages
from dfsc.data.layout import read_manifest
from dfsc.errors import UserError
from dfsc.inference.evaluate import evaluate_small_maps
from dfsc.inference.image_scores import read_scores, write_scores
from dfsc.inference.maps import SmallMaps, read_maps, write_maps
from dfsc.inference.score import score_images
from dfsc.model.networks import EfficientAD
from dfsc.report.figures.heatmaps import worst_examples
from dfsc.settings.scoring import ScoringSettings
from support.command_line import Outcome, dfsc
from support.figures import check_figure
from support.models import save_network
from support.prepared import TRAINING, Prepared, model_files
from support.small_sets import Pixels, loco_category, save_as_it_is

NAMES = ('part 7, left.png', 'say "ho".JPG', "ä; b.tif", "c'd.bmp", "e=f {g}.webp")  # fmt: skip
SETTINGS = json.dumps({"padding": "zero", "precision": "float32"})


def on_its_side(path: Path, pixels: Pixels) -> None:
    """Write an image 64 x 50 pixels, TIFFs of 16 bits among them; those that can are stored on their side."""
    exif = Image.Exif()
    exif[0x0112] = 6
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".bmp":
        save_as_it_is(path, pixels[:50])
    elif path.suffix == ".tif":
        Image.fromarray(np.rot90(pixels[:50, :, 0]).astype(np.uint16) * 257).save(path, exif=exif)
    else:
        Image.fromarray(np.ascontiguousarray(np.rot90(pixels[:50]))).save(path, exif=exif)


LABELS = ("--label", "EfficientAD-tiny", "--label", "DFSC-tiny")


def train(prepared: Prepared, folder: Path, output: Path, **changes: object) -> Outcome:
    """Manifest and model of a category's folder, below `output`."""
    place = ("--dataset", folder.parent, "--category", folder.name)
    outcome = dfsc("manifest", *place, "--output", output / "manifest.csv")
    if outcome.code:
        return outcome
    return dfsc(
        *("train", "--settings", json.dumps({**TRAINING, "steps": 2, **changes}), *place, "--device", "cpu"),
        *("--manifest", output / "manifest.csv", "--teacher", prepared.root / "teacher.pt"),
        *(*prepared.pretraining, *model_files(output)),
        *("--checkpoints", output / "checkpoints"),
    )


def test_any_name_and_format_from_manifest_to_figures(prepared: Prepared, tmp_path: Path) -> None:
    folder = loco_category(
        tmp_path / "data/part", lambda number: NAMES[number], on_its_side, train=5, validation=5, good=5, anomalous=5
    )
    for mask in folder.glob("ground_truth/*/*/*.png"):
        save_as_it_is(mask, np.asarray(Image.open(mask))[:50])
    outcome = train(prepared, folder, tmp_path)
    assert outcome.code == 0, outcome.errors
    sizes = {(record.width, record.height) for record in read_manifest(tmp_path / "manifest.csv") if record.width}
    assert sizes == {(64, 50)}

    place = ("--dataset", folder.parent, "--category", "part")
    outcome = dfsc(
        *("score", "--model", tmp_path / "model.pt", "--manifest", tmp_path / "manifest.csv", *place),
        *("--settings", SETTINGS, "--scores", tmp_path / "scores.csv", "--maps", tmp_path / "maps.npz"),
        *("--full-size-maps", tmp_path / "official", "--device", "cpu"),
    )
    assert outcome.code == 0, outcome.errors
    tests = {f"test/{kind}/{name}" for kind in ("good", "logical_anomalies", "structural_anomalies") for name in NAMES}
    assert set(read_scores(tmp_path / "scores.csv")) == set(read_maps(tmp_path / "maps.npz").maps) == tests
    for route in ("official", "maps.npz"):
        outcome = dfsc("evaluate", *place, "--maps", tmp_path / route, "--output", tmp_path / f"{route}.json")
        assert outcome.code == 0, outcome.errors
    assert (tmp_path / "official.json").read_text() == (tmp_path / "maps.npz.json").read_text()

    maps = tmp_path / "maps.npz"
    for name, options in {"first": (), "worst": ("--worst", tmp_path / "scores.csv")}.items():
        outcome = dfsc("heatmaps", maps, "--label", "EfficientAD-tiny", *place, "--output", tmp_path / name, *options)
        assert outcome.code == 0, outcome.errors
        check_figure(tmp_path / name)
    models = [tmp_path / "model.pt"] * 2
    outcome = dfsc("novelty", *models, *LABELS, *place, "--quantiles", "0.9", "--output", tmp_path / "novelty")
    assert outcome.code == 0, outcome.errors


def test_one_anomaly_type_alone_can_be_drawn(prepared: Prepared, tmp_path: Path) -> None:
    folder = loco_category(tmp_path / "data/part")
    shutil.rmtree(folder / "ground_truth/logical_anomalies")
    for image in (folder / "test/logical_anomalies").iterdir():
        image.unlink()  # an empty folder stays
    outcome = train(prepared, folder, tmp_path)
    assert outcome.code == 0, outcome.errors
    place = ("--dataset", folder.parent, "--category", "part")
    outcome = dfsc(
        *("novelty", tmp_path / "model.pt", tmp_path / "model.pt", *LABELS, *place),
        *("--quantiles", "0.9", "--output", tmp_path / "novelty"),
    )
    assert outcome.code == 0, outcome.errors


@pytest.mark.parametrize("split", ["train/good", "validation/good"])
@pytest.mark.parametrize("colours", ["one", "each its own"])
def test_images_of_one_colour_are_refused_by_the_manifest(
    prepared: Prepared, tmp_path: Path, split: str, colours: str
) -> None:
    folder = loco_category(tmp_path / "data/part")
    for number, image in enumerate(sorted((folder / split).iterdir())):
        save_as_it_is(image, np.full((64, 64, 3), 90 + 20 * number * (colours != "one"), np.uint8))
    outcome = train(prepared, folder, tmp_path)
    assert outcome.code == 2 and f"{split}: every image is of one colour" in outcome.errors
    assert outcome.errors.count("\n") == 1 and not (tmp_path / "manifest.csv").exists()


@pytest.mark.parametrize(("split", "named"), [("train/good", "training"), ("validation/good", "validation")])
def test_images_that_are_one_colour_once_resized_are_refused_by_the_training(
    prepared: Prepared, tmp_path: Path, split: str, named: str
) -> None:
    folder = loco_category(tmp_path / "data/part")
    for image in (folder / split).iterdir():
        pixels = np.full((640, 640, 3), 100, np.uint8)
        pixels[0, 0] = 101
        save_as_it_is(image, pixels)
    outcome = train(prepared, folder, tmp_path)
    assert outcome.code == 2 and f"{named} images: " in outcome.errors and "one colour" in outcome.errors
    assert outcome.errors.count("\n") == 1 and not (tmp_path / "model.pt").exists()


def test_scores_that_are_no_numbers_are_refused(prepared: Prepared, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = EfficientAD("tiny", 64)
    model.map_quantiles.fill_(0.5)
    save_network(tmp_path / "model.pt", model)
    outcome = dfsc(
        *("score", "--model", tmp_path / "model.pt", "--manifest", prepared.manifest(), "--settings", SETTINGS),
        *("--dataset", prepared.dataset, "--category", prepared.category, "--device", "cpu"),
        *("--scores", tmp_path / "scores.csv", "--maps", tmp_path / "maps.npz"),
    )
    assert outcome.code == 2 and "test/good/000.png: its anomaly map holds NaN or infinite" in outcome.errors
    assert not (tmp_path / "scores.csv").exists() and not (tmp_path / "maps.npz").exists()


def test_one_image_score_is_computed_once_and_ranks_everywhere(tmp_path: Path) -> None:
    """Over sizes and paddings: what scoring writes is what the evaluation ranks by, and what picks the worst."""
    random, paths = np.random.default_rng(0), []
    folder = loco_category(tmp_path / "data/part", train=1, validation=1, good=40, anomalous=40)
    for image in sorted(folder.rglob("test/*/*.png")):
        height, width = random.integers(16, 90, 2)
        save_as_it_is(image, random.integers(0, 255, (height, width, 3)).astype(np.uint8))
        paths.append(image.relative_to(folder).as_posix())
        for mask in (folder / "ground_truth" / image.parent.name / image.stem).glob("*"):
            region = np.zeros((height, width), np.uint8)
            region[3:9, 3:9] = 255
            save_as_it_is(mask, region)
    from dfsc.data.manifest import scan_category

    records = [record for record in scan_category(folder) if record.path.startswith("test/")]
    torch.manual_seed(0)
    model = EfficientAD("tiny", 64).eval()
    model.map_quantiles.copy_(torch.tensor([[0.001, 0.0011], [0.001, 0.0012]]))
    images = CategoryImages(folder, 64)
    for padding in ("zero", "minimum", "replicate"):
        settings = ScoringSettings(padding, "float32")
        maps, scores = score_images(model, images, records, settings, torch.device("cpu"), lambda done, total: None)
        write_scores(tmp_path / "scores.csv", scores)
        write_maps(tmp_path / "maps.npz", SmallMaps(maps, padding))
        read = read_scores(tmp_path / "scores.csv")
        small = read_maps(tmp_path / "maps.npz")
        assert read == evaluate_small_maps(folder.parent, "part", small).image_scores
        assert set(read) == set(paths) and len(read) == 120
        worst = worst_examples(read, 3)
        for kind, chosen in (("logical", worst[:3]), ("structural", worst[3:])):
            of_kind = {path: score for path, score in read.items() if f"/{kind}_" in path}
            assert [read[path] for path in chosen] == sorted(of_kind.values())[:3]


@pytest.mark.parametrize("damage", ["empty", "within a line", "after a line", "no validation", "other"])
def test_a_manifest_cut_short_is_refused(prepared: Prepared, tmp_path: Path, damage: str) -> None:
    text = prepared.manifest().read_text()
    lines = text.splitlines(keepends=True)
    cut = {
        "empty": "",
        "within a line": text[:-8],
        "after a line": "".join(lines[: len(lines) // 2]),
        "no validation": "".join(line for line in lines if not line.startswith("validation/")),
        "other": "name,size\na,1\n",
    }
    (tmp_path / "manifest.csv").write_text(cut[damage])
    with pytest.raises(UserError, match=r"manifest\.csv: .*delete it and write it with `dfsc manifest`") as error:
        read_manifest(tmp_path / "manifest.csv")
    assert "\n" not in str(error.value)
