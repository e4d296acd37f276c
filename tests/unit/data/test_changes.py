"""What changed of images of one's own: told by content, and seen for little."""

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from dfsc.data import changes
from dfsc.data.changes import arranged_content, category_content, pretraining_content
from dfsc.errors import UserError
from dfsc.files import sha256_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (
        "train/good/0.png",
        "test/good/0.png",
        "ground_truth/logical_anomalies/0/0.png",
        "defects_config.json",
    ):
        file = tmp_path / "category" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    return tmp_path / "category"


def test_a_file_is_read_again_only_where_size_or_times_differ(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def noted(file: Path) -> str:
        read.append(file.name)
        return sha256_of(file)

    monkeypatch.setattr(changes, "sha256_of", noted)
    first = category_content(folder, tmp_path / "seen.json", keep=True)
    assert len(read) == 4
    (folder / "defects_config.json").touch()
    assert category_content(folder, tmp_path / "seen.json", keep=False) == first
    assert read[4:] == ["defects_config.json"]
    category_content(folder, tmp_path / "seen.json", keep=True)
    assert category_content(folder, tmp_path / "seen.json", keep=True) == first
    assert read[5:] == ["defects_config.json"]


@pytest.mark.parametrize("kept_time", [False, True])
def test_a_replaced_file_changes_its_part_alone(folder: Path, tmp_path: Path, kept_time: bool) -> None:
    seen = tmp_path / "seen.json"
    before, file = category_content(folder, seen, keep=True), folder / "test/good/0.png"
    times = file.stat()
    file.write_text("test/good/1.png")  # of equal length
    if kept_time:
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    after = category_content(folder, seen, keep=True)
    assert [part for part in before if before[part] != after[part]] == ["test"]
    file.rename(folder / "test/good/2.png")
    assert category_content(folder, seen, keep=True)["test"] not in (before["test"], after["test"])


def test_a_folder_that_is_gone_counts_as_it_was_seen(folder: Path, tmp_path: Path) -> None:
    before = category_content(folder, tmp_path / "seen.json", keep=True)
    photographs = pretraining_content(folder, tmp_path / "photographs.json", keep=True)
    folder.rename(tmp_path / "away")
    assert category_content(folder, tmp_path / "seen.json", keep=True) == before
    assert pretraining_content(folder, tmp_path / "photographs.json", keep=True) == photographs


@pytest.mark.parametrize("damage", ["", "[]", '{"defects_conf'])
def test_what_was_seen_may_be_lost(folder: Path, tmp_path: Path, damage: str) -> None:
    seen = tmp_path / "seen.json"
    before = category_content(folder, seen, keep=True)
    seen.write_text(damage)
    assert category_content(folder, seen, keep=False) == before
    assert seen.read_text() == damage


def test_links_that_lead_up_or_nowhere_end_nothing(folder: Path, tmp_path: Path) -> None:
    before = category_content(folder, tmp_path / "seen.json", keep=True)
    (folder / "train/good/again").symlink_to(folder)
    beside = folder.parent / "beside"  # by two links that lead to each other, there would be 2^40 ways
    beside.mkdir()
    for name in ("one", "two"):
        (folder / "train" / name).symlink_to(beside)
        (beside / name).symlink_to(folder / "train")
    (folder / "train/good/none.png").symlink_to(folder / "none")
    assert category_content(folder, tmp_path / "seen.json", keep=True) == before


def test_a_file_that_cannot_be_read_is_named(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    (folder / "train/good/0.png").chmod(0)
    with pytest.raises(UserError, match=r"0\.png: cannot be read"):
        category_content(folder, tmp_path / "seen.json", keep=True)


def test_a_folder_behind_a_link_is_looked_at(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/0.png").write_text("lies on another disk")
    (folder / "train/linked").symlink_to(tmp_path / "elsewhere")
    category, photographs = tmp_path / "seen.json", tmp_path / "photographs.json"
    before = category_content(folder, category, keep=True), pretraining_content(folder, photographs, keep=True)
    (tmp_path / "elsewhere/0.png").write_text("another")
    assert category_content(folder, category, keep=True)["training"] != before[0]["training"]
    assert pretraining_content(folder, photographs, keep=True) != before[1]


@pytest.mark.parametrize("large", [False, True])
def test_pretraining_images_are_told_by_paths_and_sizes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    monkeypatch.setattr(changes, "LARGE", 0 if large else 10)
    seen = tmp_path / "seen.json"
    before = pretraining_content(folder, seen, keep=True)
    assert pretraining_content(folder, seen, keep=True) == before
    for file in folder.rglob("*"):
        file.touch()
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    assert pretraining_content(folder, seen, keep=True) == pretraining_content(copy, seen, keep=True) == before
    (folder / "train/good/0.png").write_text("of another size, in a folder that lists the same files as before")
    assert (pretraining_content(folder, seen, keep=False) == before) == large
    (folder / "train/new").mkdir()
    (folder / "train/new/1.png").write_text("a folder that was not there")
    added = pretraining_content(folder, seen, keep=True)
    assert added != before
    (folder / "train/good/0.png").unlink()
    assert pretraining_content(folder, seen, keep=True) not in (before, added)


def test_a_part_of_what_is_arranged_changes_with_its_places_alone(tmp_path: Path) -> None:
    for name in ("good/a", "bad/a", "masks/a"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(name)
    parts = {
        "training": {"good": tmp_path / "good"},
        "test": {"good": tmp_path / "good", "bad": tmp_path / "bad"},
        "ground_truth": {"masks": tmp_path / "masks/a"},
    }

    def found() -> dict[str, str]:
        return arranged_content(parts, tmp_path / "seen.json", keep=True)

    before = found()
    (tmp_path / "masks/a").write_text("another")
    after = found()
    assert [part for part in parts if before[part] != after[part]] == ["ground_truth"]
    (tmp_path / "good/b").write_text("new")
    assert [part for part in parts if found()[part] != after[part]] == ["training", "test"]
    now = found()
    (tmp_path / "good").rename(tmp_path / "gone")
    assert found() == now, "what is gone counts as it was seen last"
    parts["training"]["good"] = parts["test"]["good"] = tmp_path / "gone"
    assert found() == now, "only the name of a place counts"
    parts["ground_truth"] = {"masks of another type": tmp_path / "masks/a"}
    assert [part for part in parts if found()[part] != now[part]] == ["ground_truth"]


def test_a_file_counts_for_the_part_that_it_belongs_to(tmp_path: Path) -> None:
    (tmp_path / "good").mkdir()
    parts = {part: {"good": tmp_path / "good"} for part in ("training", "test")}

    def found() -> dict[str, str]:
        def belongs(part: str, place: str, digest: str) -> bool:
            return place == "good" and (part == "test") == (digest < "8")

        return arranged_content(parts, tmp_path / "seen.json", keep=True, belongs=belongs)

    before, changed = found(), set[str]()
    for number in range(9):
        file = tmp_path / f"good/{number}"
        file.write_text(str(number))
        after = found()
        (part,) = [part for part in parts if before[part] != after[part]]
        assert part == ("test" if hashlib.sha256(file.read_bytes()).hexdigest() < "8" else "training")
        before, changed = after, changed | {part}
    assert changed == parts.keys()
