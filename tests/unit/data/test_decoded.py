"""Decoded images, kept for all models of a category: used where they are whole, and nothing depends on them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dfsc.data.decoded import CategoryImages, write_decoded
from dfsc.data.images import load_images
from dfsc.data.layout import images_of, read_manifest
from dfsc.files import sha256_of
from support.command_line import dfsc
from support.prepared import Prepared

SCORING = '{"padding": "zero", "precision": "float32"}'


@pytest.fixture(scope="module")
def kept(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All images of the prepared category, decoded."""
    output = tmp_path_factory.mktemp("decoded") / "images.npy"
    place = ("--dataset", prepared.dataset, "--category", prepared.category, "--manifest", prepared.manifest())
    outcome = dfsc("decode", *place, "--image-size", "64", "--output", output)
    assert outcome.code == 0, outcome.errors
    return output


def test_images_are_those_that_are_decoded(prepared: Prepared, kept: Path) -> None:
    folder, records = prepared.dataset / prepared.category, read_manifest(prepared.manifest())
    images = CategoryImages(folder.with_name("gone"), 64)
    images.take_from(kept, prepared.manifest())
    scattered = images_of(records, "test/good")[::-2]
    for wanted in (images_of(records, "train/good"), images_of(records, "validation/good"), scattered):
        expected = load_images([folder / record.path for record in wanted], 64)
        assert np.array_equal(images.of(wanted), expected)
        assert np.array_equal(CategoryImages(folder, 64, workers=2).of(wanted), expected)
    assert isinstance(images.of(images_of(records, "train/good")), np.memmap)


def flip(path: Path) -> None:
    """One bit of one pixel."""
    content = bytearray(path.read_bytes())
    content[-1000] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    """As a full disk leaves it."""
    path.write_bytes(path.read_bytes()[:-1000])


def of_others(path: Path) -> None:
    """Whole, but of other images."""
    np.save(path, 255 - np.load(path))
    record = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps({**record, "manifest": "0" * 64, "digest": sha256_of(path)}))


def of_another_size(path: Path) -> None:
    """Whole, but smaller."""
    np.save(path, np.load(path)[:, ::2, ::2])
    record = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps({**record, "image_size": 32, "digest": sha256_of(path)}))


def a_folder(path: Path) -> None:
    """In its place."""
    path.unlink()
    path.mkdir()


def record_of_nothing(path: Path) -> None:
    """JSON, but no record."""
    path.with_suffix(".json").write_text("[]")


DAMAGES: dict[str, Callable[[Path], None]] = {
    "flipped": flip,
    "cut": cut,
    "others'": of_others,
    "of another size": of_another_size,
    "gone": Path.unlink,
    "a folder": a_folder,
    "no record": lambda path: path.with_suffix(".json").unlink(),
    "record cut": lambda path: cut(path.with_suffix(".json")),
    "record of nothing": record_of_nothing,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_cannot_be_used_is_named_and_decoded_instead(
    prepared: Prepared, kept: Path, damage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Path(shutil.copytree(kept.parent, tmp_path / "copy")) / kept.name
    DAMAGES[damage](copy)
    folder, wanted = prepared.dataset / prepared.category, images_of(read_manifest(prepared.manifest()), "test/good")
    images = CategoryImages(folder, 64)
    images.take_from(copy, prepared.manifest())
    assert np.array_equal(images.of(wanted), load_images([folder / record.path for record in wanted], 64))
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and str(copy.with_suffix("")) in said and "decoded instead" in said


@pytest.fixture(scope="module")
def results(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[str]]:
    """A function that trains and scores, and returns the digests of what it wrote."""

    def made(*decoded: object, dataset: Path = prepared.dataset) -> list[str]:
        out = tmp_path_factory.mktemp("run")
        images = ("--dataset", dataset, *(part for path in decoded for part in ("--decoded", path)))
        train = dfsc(*prepared.train_arguments(out, steps=3), *images)
        assert train.code == 0, train.errors
        place = (*("--model", out / "model.pt", "--settings", SCORING), *("--category", prepared.category))
        written = ("--manifest", prepared.manifest(), "--scores", out / "scores.csv", "--maps", out / "maps.npz")
        score = dfsc("score", *place, *written, *images, "--device", "cpu")
        assert score.code == 0, score.errors
        return [sha256_of(out / name) for name in ("model.pt", "training_curve.csv", "scores.csv", "maps.npz")]

    return made


def test_results_are_the_same_bits_with_decoded_images_without_and_with_damaged_ones(
    prepared: Prepared, kept: Path, results: Callable[..., list[str]], tmp_path: Path
) -> None:
    cold = results()
    copy = Path(shutil.copytree(kept.parent, tmp_path / "copy")) / kept.name
    flip(copy)
    assert results(copy) == cold
    # Read from the kept file alone: no image is there.
    empty = tmp_path / "data"
    (empty / prepared.category).mkdir(parents=True)
    assert results(kept, dataset=empty) == cold


def test_a_folder_that_cannot_be_written_is_read(prepared: Prepared, kept: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in kept.parent.iterdir()}
    images = CategoryImages(prepared.dataset / "gone", 64)
    images.take_from(kept, prepared.manifest())
    read = images.of(images_of(read_manifest(prepared.manifest()), "train/good"))
    read[:] = 0  # a copy of its own
    assert {path: path.stat().st_mtime_ns for path in kept.parent.iterdir()} == before
    again = CategoryImages(prepared.dataset / "gone", 64)
    again.take_from(kept, prepared.manifest())
    assert again.of(images_of(read_manifest(prepared.manifest()), "train/good")).any()


def test_an_image_that_cannot_be_decoded_is_named(prepared: Prepared, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(prepared.dataset / prepared.category, tmp_path / prepared.category))
    (folder / "train/good/001.png").write_bytes(b"no image")
    place = ("--dataset", tmp_path, "--category", prepared.category, "--manifest", prepared.manifest())
    outcome = dfsc("decode", *place, "--image-size", "64", "--output", tmp_path / "images.npy")
    assert outcome.code == 2 and "train/good/001.png" in outcome.errors
    assert not list(tmp_path.glob("*images*"))


def test_the_record_comes_last(prepared: Prepared, tmp_path: Path) -> None:
    """Killed between the two files, what lies there is not used."""
    write_decoded(prepared.dataset / prepared.category, prepared.manifest(), 64, 1, tmp_path / "images.npy")
    image, record = (tmp_path / f"images.{ending}" for ending in ("npy", "json"))
    assert image.stat().st_mtime_ns <= record.stat().st_mtime_ns
