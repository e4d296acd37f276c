"""Decoded images, kept for all models of a category: used where they are whole, and nothing depends on them."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dfsc.data import images
from dfsc.data.decoded import CategoryImages
from dfsc.data.images import load_images
from dfsc.data.layout import FileRecord, images_of, read_manifest, write_manifest
from dfsc.files import sha256_of
from support.command_line import dfsc
from support.prepared import Prepared

SCORING = '{"padding": "zero", "precision": "float32"}'


def records_of(prepared: Prepared, folder: str) -> list[FileRecord]:
    """The prepared images of a folder."""
    return images_of(read_manifest(prepared.manifest()), folder)


@pytest.fixture
def kept(prepared: Prepared, tmp_path: Path) -> Path:
    """The file that all images of the prepared category are kept in, decoded."""
    CategoryImages(prepared.dataset / prepared.category, 64).keep_in(tmp_path / "kept", prepared.manifest())
    (file,) = (tmp_path / "kept").glob("*.npy")
    return file


def test_images_are_those_that_are_decoded(prepared: Prepared, kept: Path) -> None:
    folder = prepared.dataset / prepared.category
    from_file = CategoryImages(folder.with_name("gone"), 64)
    from_file.keep_in(kept.parent, prepared.manifest())
    scattered = records_of(prepared, "test/good")[::-2]
    for wanted in (records_of(prepared, "train/good"), records_of(prepared, "validation/good"), scattered):
        expected = load_images([folder / record.path for record in wanted], 64)
        assert np.array_equal(from_file.of(wanted), expected)
        assert np.array_equal(CategoryImages(folder, 64, workers=2).of(wanted), expected)
    assert isinstance(from_file.of(records_of(prepared, "train/good")), np.memmap)


def flip(path: Path) -> None:
    """One bit of one pixel."""
    content = bytearray(path.read_bytes())
    content[-1000] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    """As a full disk leaves it."""
    path.write_bytes(path.read_bytes()[:-10])


def empty(path: Path) -> None:
    """Nothing in it."""
    path.write_bytes(b"")


def other_record(path: Path) -> None:
    """JSON, but no record."""
    path.with_suffix(".json").write_text("[]")


DAMAGES: dict[str, Callable[[Path], None]] = {
    "flipped": flip,
    "cut": cut,
    "empty": empty,
    "without record": lambda path: path.with_suffix(".json").unlink(),
    "record cut": lambda path: cut(path.with_suffix(".json")),
    "another record": other_record,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_named_and_replaced(
    prepared: Prepared, kept: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, wanted, whole = prepared.dataset / prepared.category, records_of(prepared, "test/good"), kept.read_bytes()
    DAMAGES[damage](kept)
    found = CategoryImages(folder, 64)
    found.keep_in(kept.parent, prepared.manifest())
    assert np.array_equal(found.of(wanted), load_images([folder / record.path for record in wanted], 64))
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and str(kept.with_suffix("")) in said and "decoded again" in said
    assert kept.read_bytes() == whole
    CategoryImages(folder, 64).keep_in(kept.parent, prepared.manifest())
    assert capsys.readouterr().err == ""


def test_other_images_sizes_and_code_have_a_file_of_their_own(
    prepared: Prepared, kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = prepared.dataset / prepared.category
    CategoryImages(folder, 32).keep_in(kept.parent, prepared.manifest())
    write_manifest(tmp_path / "fewer.csv", records_of(prepared, "test/good"))
    CategoryImages(folder, 64).keep_in(kept.parent, tmp_path / "fewer.csv")
    edited = shutil.copy(images.__file__, tmp_path / "edited.py")
    Path(edited).write_text(Path(edited).read_text() + "EDITED = True\n")
    monkeypatch.setattr(images, "__file__", edited)
    CategoryImages(folder, 64).keep_in(kept.parent, prepared.manifest())
    assert len(list(kept.parent.glob("*.npy"))) == 4
    monkeypatch.setattr("PIL.__version__", "99")
    CategoryImages(folder, 64).keep_in(kept.parent, prepared.manifest())
    assert len(list(kept.parent.glob("*.npy"))) == 5


def test_results_are_the_same_bits_without_kept_images_with_kept_ones_and_with_damaged_ones(
    prepared: Prepared, tmp_path: Path
) -> None:
    def results(name: str, *kept: object, dataset: Path = prepared.dataset) -> list[str]:
        """Train and score; return the digests of what was written."""
        out, images = tmp_path / name, ("--dataset", dataset, *kept)
        train = dfsc(*prepared.train_arguments(out, steps=3), *images)
        assert train.code == 0, train.errors
        place = ("--model", out / "model.pt", "--settings", SCORING, "--category", prepared.category)
        written = ("--manifest", prepared.manifest(), "--scores", out / "scores.csv", "--maps", out / "maps.npz")
        score = dfsc("score", *place, *written, *images, "--device", "cpu")
        assert score.code == 0, score.errors
        return [sha256_of(out / name) for name in ("model.pt", "training_curve.csv", "scores.csv", "maps.npz")]

    kept = ("--kept", tmp_path / "kept")
    without, cold = results("without"), results("cold", *kept)
    (file,) = (tmp_path / "kept").glob("*.npy")
    # Read from the kept file alone: no image is there.
    (tmp_path / "data" / prepared.category).mkdir(parents=True)
    warm = results("warm", *kept, dataset=tmp_path / "data")
    flip(file)
    damaged = results("damaged", *kept)
    (tmp_path / "in the way").write_text("")
    unwritable = results("unwritable", "--kept", tmp_path / "in the way/below")
    assert cold == warm == damaged == unwritable == without


def test_a_file_is_read_and_never_written(prepared: Prepared, kept: Path) -> None:
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in kept.parent.iterdir()}
    found = CategoryImages(prepared.dataset / "gone", 64)
    found.keep_in(kept.parent, prepared.manifest())
    found.of(records_of(prepared, "train/good"))[:] = 0
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in kept.parent.iterdir()} == before


def test_a_folder_that_cannot_be_written_is_named(
    prepared: Prepared, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in the way").write_text("")
    found = CategoryImages(prepared.dataset / prepared.category, 64)
    found.keep_in(tmp_path / "in the way/below", prepared.manifest())
    assert len(found.of(records_of(prepared, "train/good"))) == len(records_of(prepared, "train/good"))
    assert "decodes the images anew" in capsys.readouterr().err


def test_an_image_that_cannot_be_decoded_is_named(prepared: Prepared, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(prepared.dataset / prepared.category, tmp_path / "data" / prepared.category))
    (folder / "train/good/001.png").write_bytes(b"no image")
    arguments = prepared.train_arguments(tmp_path / "out", steps=1)
    outcome = dfsc(*arguments, "--dataset", tmp_path / "data", "--kept", tmp_path / "kept")
    assert outcome.code == 2 and "train/good/001.png" in outcome.errors
    assert not (tmp_path / "kept").exists() or not list((tmp_path / "kept").iterdir())
