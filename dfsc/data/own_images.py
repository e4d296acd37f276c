"""Images of one's own, listed from the folders that the configuration names (`dataset.images`)."""

from collections.abc import Sequence
from pathlib import Path

from dfsc.data.arranging import DefectImages, Listing, masks_of, split_of
from dfsc.data.changes import is_of
from dfsc.data.images import image_files
from dfsc.errors import UserError
from dfsc.settings.own_images import OwnImages, SplitSettings


def list_own_images(described: OwnImages) -> Listing:
    """The images of a category. Raises UserError naming a folder without images, or a file that would be left out."""
    defects = []
    for name, bad in described.bad.items():
        images = _images(Path(bad.images))
        masks = dict.fromkeys(images) if bad.masks is None else masks_of(images, Path(bad.masks))
        defects.append(DefectImages(name, f"{bad.type}_anomalies", dict(masks)))
    good, test_good = (_named(folders) for folders in (described.good, described.test_good))
    return Listing(good=good, test_good=test_good, defects=defects, refuse_copies=True)


def made_from(described: OwnImages) -> dict[str, dict[str, Path]]:
    """Each of `dfsc.data.changes.PARTS` -> name -> folders that it is made from; the names say what each is."""
    said: dict[str, str] = {f"bad.{name}": bad.type for name, bad in described.bad.items()}
    said["good"] = "trains and validates" if described.test_good else "tests too"
    folders: dict[str, dict[str, Path]] = {"good": {}, "test_good": {}, "images": {}, "masks": {}}
    for name, folder in described.folders.items():
        start, _, end = name.rpartition(".")
        kind = start if start in folders else end
        folders[kind][f"{name} {said.get(start, '')}/{Path(folder).name}"] = Path(folder)
    return {
        "training": folders["good"],
        "test": (folders["test_good"] or folders["good"]) | folders["images"],
        "ground_truth": folders["masks"],
    }


def belongs(described: OwnImages, split: SplitSettings, part: str, place: str, digest: str) -> bool:
    """Whether a file of a place, one of `made_from`, belongs to a part: of the good images, a share tests."""
    if described.test_good or not place.startswith("good."):
        return True
    shares = {"validation/good": split.validation, "test/good": split.test}
    return is_of(part, split_of(digest, shares, split.seed))


def _images(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; check `dataset.images`")
    images = image_files(folder)
    if not images:
        raise UserError(f"{folder}: holds no image; check `dataset.images`")
    return images


def _named(folders: Sequence[str]) -> dict[str, Path]:
    """Name in the arrangement -> image: the file's own, after its folder's where there are several."""
    found: dict[str, Path] = {}
    for folder in map(Path, folders):
        for image in _images(folder):
            name = f"{folder.name}_{image.name}" if len(folders) > 1 else image.name
            other = found.setdefault(name, image)
            if other is not image and other == image:
                raise UserError(f"{folder}: is listed twice; remove it once from `dataset.images`")
            if other is not image:
                raise UserError(f"{image}: gets the same name as {other}, {name}; rename one of the two folders")
    return found
