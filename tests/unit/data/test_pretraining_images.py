"""The index of pretraining images: every image once, whatever lies around; what cannot be listed is named."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dfsc.data.pretraining_images import PretrainingImages, central_half, prefetched, write_index
from dfsc.errors import UserError
from support.command_line import dfsc
from support.small_sets import save_as_it_is

PICTURE = np.random.default_rng(0).integers(0, 255, (8, 8, 3)).astype(np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images of several formats, in sub-folders, among other files and hidden ones."""
    root = tmp_path / "photographs"
    for name in ("n01/a.JPEG", "n01/b.png", "n02/deep/c, d.Tiff", "e.WEBP", "f.bmp", "n02/g.jp2"):
        save_as_it_is(root / name, PICTURE)
    for name in ("n01/a.xml", "README", "n02/list.txt"):
        (root / name).write_text("no image")
    for name in (".ipynb_checkpoints/a.png", "__MACOSX/n01/._b.png", "n01/._b.png", "n02/Thumbs.db"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("hidden")
    return root


def test_every_image_is_listed_and_others_are_counted(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dfsc("index", "--folder", folder, "--source", "other", "--output", tmp_path / "index").code == 0
    assert capsys.readouterr().out == f"6 images of other listed in {tmp_path / 'index'}; 3 other files were left out\n"
    images = PretrainingImages(tmp_path / "index", folder)
    assert images.paths == ["e.WEBP", "f.bmp", "n01/a.JPEG", "n01/b.png", "n02/deep/c, d.Tiff", "n02/g.jp2"]
    assert images.source == "other" and {images.image(number).size for number in range(6)} == {(8, 8)}


def test_the_first_are_so_many_images_whatever_lies_between(folder: Path, tmp_path: Path) -> None:
    write_index(folder, "other", tmp_path / "all")
    paths = PretrainingImages(tmp_path / "all", folder).paths
    for first in range(1, 8):
        assert write_index(folder, "other", tmp_path / "index", first).images == min(first, 6)
        found = PretrainingImages(tmp_path / "index", folder)
        assert (found.paths, len(found)) == (paths[:first], min(first, 6))
        assert (found.digest == PretrainingImages(tmp_path / "all", folder).digest) == (first >= 6)


def test_a_crop_is_kept_by_its_image_and_size_in_colour(tmp_path: Path) -> None:
    for number in range(2):
        pixels = np.random.default_rng(number).integers(0, 255, (90, 120, 3)).astype(np.uint8)
        save_as_it_is(tmp_path / f"photographs/{number}.png", pixels)
    write_index(tmp_path / "photographs", "other", tmp_path / "index")
    images = PretrainingImages(tmp_path / "index", tmp_path / "photographs")
    places = [(number, size) for number in (0, 1) for size in (16, 32)]
    wanted = {place: np.asarray(central_half(images.image(place[0]), place[1])) for place in places}
    for there in (True, False):
        for (number, size), crop in wanted.items():
            grey = images.penalty_crop(number, size, grey=True)
            assert grey.shape == crop.shape and (grey == grey[..., :1]).all() and (grey != crop).any()
            np.testing.assert_array_equal(images.penalty_crop(number, size, grey=False), crop)
        if there:
            shutil.rmtree(tmp_path / "photographs")  # each was decoded once, and kept


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_a_few_items_are_prepared_ahead_and_come_in_order(workers: int) -> None:
    begun: list[int] = []

    def load(step: int) -> int:
        begun.append(step)
        return 10 * step

    items = prefetched(load, range(5, 105), workers)
    for step in range(5, 105):
        assert next(items) == 10 * step
        assert len(begun) <= step - 4 + 2 * workers
    assert next(items, None) is None and sorted(begun) == list(range(5, 105))


def test_a_set_that_was_moved_has_the_same_index(folder: Path, tmp_path: Path) -> None:
    write_index(folder, "other", tmp_path / "before")
    write_index(folder.rename(tmp_path / "moved"), "other", tmp_path / "after")
    assert (tmp_path / "before").read_bytes() == (tmp_path / "after").read_bytes()


def loop(folder: Path) -> None:
    (folder / "n02/deep/round").symlink_to(folder)


UNLISTABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a broken link": (lambda folder: (folder / "n01/gone.png").symlink_to("nowhere.png"), "gone.png"),
    "a link to itself": (lambda folder: (folder / "n01/self.png").symlink_to("self.png"), "self.png"),
    "a loop of folders": (loop, "n02/deep/round: leads back"),
    "a line break": (lambda folder: (folder / "n01/b.png").rename(folder / "n01/b\nc.png"), "line break"),
    "a line separator": (lambda folder: (folder / "n01/b.png").rename(folder / "n01/b\x85c.png"), "line break"),
    "not UTF-8": (lambda folder: (folder / "n01/b.png").rename(folder / os.fsdecode(b"n01/\xff.png")), "not UTF-8"),
    "a folder not UTF-8": (lambda folder: (folder / "n01").rename(folder / os.fsdecode(b"n\xff")), "not UTF-8"),
}  # fmt: skip


@pytest.mark.parametrize("kind", UNLISTABLE)
def test_what_cannot_be_listed_is_named_in_one_line(folder: Path, tmp_path: Path, kind: str) -> None:
    spoil, named = UNLISTABLE[kind]
    spoil(folder)
    outcome = dfsc("index", "--folder", folder, "--source", "other", "--output", tmp_path / "index")
    assert outcome.code == 2 and outcome.errors.count("\n") == 1 and named in outcome.errors, outcome.errors
    assert not (tmp_path / "index").exists()


def test_two_links_to_one_folder_are_no_loop(folder: Path, tmp_path: Path) -> None:
    (folder / "again").symlink_to("n01")
    assert write_index(folder, "other", tmp_path / "index").images == 8


SIZES = [(500, 375), (375, 500), (333, 500), (600, 900), (700, 100), (100, 700), (1700, 1000), (50, 40), (40, 50)]
# On both sides of where Pillow begins with the rows, for 64: 128 pixels wide, or wider, and as tall.
SIZES += [(100, 128), (100, 129), (128, 128), (128, 129), (130, 132), (130, 133), (191, 254), (191, 255)]


@pytest.mark.parametrize("size", [64, 96, 256])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_central_half_is_that_of_the_whole_bit_for_bit(width: int, height: int, size: int) -> None:
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3), np.uint8)
    whole = Image.fromarray(pixels).resize((2 * size, 2 * size), Image.Resampling.BILINEAR)
    edge = size // 2
    wanted = np.asarray(whole.crop((edge, edge, edge + size, edge + size)))
    assert np.array_equal(np.asarray(central_half(Image.fromarray(pixels), size)), wanted)


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "cut within a path": lambda content: content[:10],
    "cut at a line": lambda content: b"".join(content.splitlines(keepends=True)[:3]),
    "cut in its last line": lambda content: content[:-10],
    "a line lost": lambda content: content.replace(b"f.bmp\n", b""),
    "a line changed": lambda content: content.replace(b"f.bmp", b"g.bmp"),
    "something else": lambda content: b"path,bytes\n\xff\n",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_index_is_refused(folder: Path, tmp_path: Path, damage: str) -> None:
    index = tmp_path / "index"
    write_index(folder, "other", index)
    index.write_bytes(DAMAGES[damage](index.read_bytes()))
    with pytest.raises(UserError, match=r"index: .*delete it and run again; `dfsc index` writes it") as error:
        PretrainingImages(index, folder)
    assert "\n" not in str(error.value)
