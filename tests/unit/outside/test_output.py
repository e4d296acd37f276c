"""What a method has written is taken whole or refused by name."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from dfsc.errors import UserError
from dfsc.files import write_text
from dfsc.outside.output import read_output

NAMES = ["test_0000.png", "test_0001.png", "test_0002.png"]
MAPS = np.arange(18, dtype=np.float64).reshape(3, 2, 3)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """A good output: one map as TIFF, two as arrays, and scores."""
    tifffile.imwrite(tmp_path / "test_0000.tiff", MAPS[0].astype(np.float32))
    np.save(tmp_path / "test_0001.npy", MAPS[1])
    np.save(tmp_path / "test_0002.npy", MAPS[2].astype(np.int64))
    (tmp_path / "scores.csv").write_text("name,image_score\ntest_0002.png,3\ntest_0000.png,-1.5\ntest_0001.png,2e3\n")
    return tmp_path


def test_maps_and_scores_are_what_was_written(output: Path) -> None:
    found = read_output(output, NAMES)
    assert list(found.maps) == NAMES
    for name, expected in zip(NAMES, MAPS, strict=True):
        assert found.maps[name].dtype == np.float32 and (found.maps[name] == expected).all()
    assert found.scores == {NAMES[0]: -1.5, NAMES[1]: 2000.0, NAMES[2]: 3.0}


def test_without_scores_there_are_none(output: Path) -> None:
    (output / "scores.csv").unlink()
    assert read_output(output, NAMES).scores is None


def test_hidden_files_are_skipped(output: Path) -> None:
    (output / ".DS_Store").touch()
    assert len(read_output(output, NAMES).maps) == 3


def saved(name: str, value: object) -> Callable[[Path], None]:
    """A fault: this array in place of a map."""
    return lambda folder: np.save(folder / name, value, allow_pickle=True)  # type: ignore[arg-type]


def scores(text: str) -> Callable[[Path], None]:
    """A fault: these scores."""
    return lambda folder: write_text(folder / "scores.csv", text)


def with_nan() -> np.ndarray:
    """A map with a hole."""
    return np.array([[0.0, np.nan]])


VALIDATION = ["validation_0000.png", "validation_0001.png"]


def test_maps_of_validation_images_are_optional(output: Path) -> None:
    assert read_output(output, NAMES, VALIDATION).maps.keys() == {*NAMES}
    (output / "scores.csv").unlink()
    for number, name in enumerate(VALIDATION):
        np.save(output / f"{Path(name).stem}.npy", MAPS[number])
    found = read_output(output, NAMES, VALIDATION)
    assert list(found.maps) == [*NAMES, *VALIDATION] and found.scores is None
    assert (found.maps[VALIDATION[1]] == MAPS[1]).all()


def test_half_of_the_validation_images_is_refused(output: Path) -> None:
    np.save(output / "validation_0001.npy", MAPS[0])
    with pytest.raises(UserError, match=r"validation_0000.tiff: is missing; 1 of 2 validation images have no map"):
        read_output(output, NAMES, VALIDATION)
    with pytest.raises(UserError, match=r"validation_0001.npy: is surplus"):
        read_output(output, NAMES)


def test_scores_are_of_all_images_that_have_maps(output: Path) -> None:
    lines, more = (output / "scores.csv").read_text(), "validation_0000.png,5\nvalidation_0001.png,6\n"
    (output / "scores.csv").write_text(lines + more)
    found = read_output(output, NAMES, VALIDATION)
    assert found.scores and list(found.maps) == NAMES
    assert {name: found.scores[name] for name in VALIDATION} == {VALIDATION[0]: 5, VALIDATION[1]: 6}
    (output / "scores.csv").write_text(lines + more[: len(more) // 2])
    with pytest.raises(UserError, match=r"scores.csv: has no score of validation_0001.png \(1 of 5 are missing\)"):
        read_output(output, NAMES, VALIDATION)
    (output / "scores.csv").write_text(lines)
    for name in VALIDATION:
        np.save(output / f"{Path(name).stem}.npy", MAPS[0])
    with pytest.raises(UserError, match=r"scores.csv: has no score of validation_0000.png \(2 of 5 are missing\)"):
        read_output(output, NAMES, VALIDATION)


def test_maps_that_tell_validation_images_alone_apart_are_refused(output: Path) -> None:
    (output / "scores.csv").unlink()
    (output / "test_0000.tiff").unlink()
    for name in NAMES:
        np.save(output / f"{Path(name).stem}.npy", np.full((1, 1), 2.0))
    for number, name in enumerate(VALIDATION):
        np.save(output / f"{Path(name).stem}.npy", MAPS[number])
    with pytest.raises(UserError, match=r"every map holds 2 everywhere"):
        read_output(output, NAMES, VALIDATION)


HEAD, ROWS = "name,image_score\n", "test_0000.png,1\ntest_0001.png,2\n"
FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda f: (f / "test_0001.npy").unlink(), r"test_0001.tiff: is missing; 1 of 3 test images"),
    "another name": (lambda f: (f / "test_0001.npy").rename(f / "test_1.npy"), r"test_1.npy: is surplus"),
    "surplus": (saved("test_0003.npy", MAPS[0]), r"test_0003.npy: is surplus"),
    "another ending": (lambda f: (f / "test_0003.png").touch(), r"test_0003.png: is surplus"),
    "a folder": (lambda f: (f / "maps").mkdir(), r"maps: is surplus"),
    "twice": (saved("test_0000.npy", MAPS[0]), r"test_0000.(npy|tiff): is a second map beside test_0000"),
    "NaN": (saved("test_0001.npy", with_nan()), r"test_0001.npy: holds NaN or infinite"),
    "infinite": (saved("test_0001.npy", np.array([[np.inf]])), r"test_0001.npy: holds NaN or infinite"),
    "beyond float32": (saved("test_0001.npy", np.array([[1e300]])), r"test_0001.npy: holds NaN or infinite"),
    "bool": (saved("test_0001.npy", np.array([[True]])), r"test_0001.npy: holds bool of shape \(1, 1\)"),
    "complex": (saved("test_0001.npy", np.array([[1j]])), r"test_0001.npy: holds complex128"),
    "three axes": (saved("test_0001.npy", np.zeros((2, 2, 3))), r"test_0001.npy: holds float64 of shape \(2, 2, 3\)"),
    "a number": (saved("test_0001.npy", np.float64(3)), r"test_0001.npy: holds float64 of shape \(\)"),
    "empty": (saved("test_0001.npy", np.zeros((0, 4))), r"test_0001.npy: holds float64 of shape \(0, 4\)"),
    "objects": (saved("test_0001.npy", np.array([[None]])), r"test_0001.npy: cannot be read as an array"),
    "no array": (lambda f: (f / "test_0001.npy").write_text("1 2 3"), r"test_0001.npy: cannot be read as an array"),
    "no TIFF": (lambda f: (f / "test_0000.tiff").write_text("1 2 3"), r"test_0000.tiff: cannot be read as TIFF"),
    "score missing": (scores(HEAD + ROWS), r"scores.csv: has no score of test_0002.png \(1 of 3"),
    "score surplus": (scores(HEAD + ROWS + "test_0002.png,3\nx.png,1\n"), r"x.png is no test or validation image"),
    "score twice": (scores(HEAD + ROWS + "test_0002.png,3\ntest_0000.png,1\n"), r"scores.csv: lists an image twice"),
    "score NaN": (scores(HEAD + ROWS + "test_0002.png,nan\n"), r"scores.csv: the score of test_0002.png is nan"),
    "score no number": (scores(HEAD + ROWS + "test_0002.png,high\n"), r"scores.csv: cannot be read as image scores"),
    "other columns": (scores("image,score\n" + ROWS), r"scores.csv: cannot be read.*columns are name,image_score"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_refused_by_name(output: Path, fault: str) -> None:
    damage, message = FAULTS[fault]
    damage(output)
    with pytest.raises(UserError, match=message) as refused:
        read_output(output, NAMES)
    assert "\n" not in str(refused.value)


def test_maps_that_tell_nothing_are_refused(tmp_path: Path) -> None:
    for name in NAMES:
        np.save(tmp_path / f"{Path(name).stem}.npy", np.full((3, 4), 0.25))
    with pytest.raises(UserError, match=r"every map holds 0.25 everywhere"):
        read_output(tmp_path, NAMES)
