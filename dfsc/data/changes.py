"""What has changed of images of the user's own since the last run: noticed at every start for little, told by content.

The rules that list images have these digests among their params: they run again when the content changes, and not when
files are touched, copied, or moved to another folder or disk. Files are read only where size or times differ from those
seen last.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from dfsc.data.images import is_hidden
from dfsc.errors import UserError
from dfsc.files import digest_of, read_json, sha256_of, write_json

# What is read of a category in LOCO's layout: files and folders below the category's.
PARTS = {
    "training": ("train", "validation"),
    "test": ("test",),
    "ground_truth": ("ground_truth", "defects_config.json"),
}
LARGE = 20_000  # files; a larger set of pretraining images is looked at file by file only if a folder of it changed
READERS = 4  # threads


def is_of(part: str | None, path: str) -> bool:
    """Whether the path below a category's folder belongs to one of PARTS; all do if it is None."""
    return part is None or path.split("/")[0] in PARTS[part]


def category_content(folder: Path, seen: Path, keep: bool) -> dict[str, str]:
    """Digest of each of PARTS of a category's `folder`: of paths and bytes, whatever the folder is called.

    `seen`: what was found last time; renewed if `keep`. A folder that is gone counts as it was seen last.
    Raises UserError naming a file that cannot be read.
    """
    before: dict[str, list[Any]] = _seen(seen)
    places = {name: folder / name for names in PARTS.values() for name in names}
    files = before if not folder.is_dir() else _looked_at(places, before)
    if keep and files != before:
        write_json(seen, files)
    return {part: digest_of({path: state[-1] for path, state in files.items() if is_of(part, path)}) for part in PARTS}


def arranged_content(
    parts: Mapping[str, Mapping[str, Path]],
    seen: Path,
    keep: bool,
    belongs: Callable[[str, str, str], bool] = lambda part, place, digest: True,
) -> dict[str, str]:
    """Digest of each part: of the names of the places that it is made from, and of the names and bytes of their files.

    `parts`: part -> name of a place -> folder or file, wherever it is. `belongs(part, place, digest)`: whether a file
    of a place is of the part, where several parts are made from one. `seen` and `keep` as for `category_content`; a
    place that is gone counts as it was seen last.
    """
    places = {name: place for of_part in parts.values() for name, place in of_part.items()}
    before: dict[str, list[Any]] = _seen(seen)
    gone = [name for name, place in places.items() if not place.exists()]
    files = _looked_at(places, before) | {
        path: state for path, state in before.items() if any(f"{path}/".startswith(f"{name}/") for name in gone)
    }
    if keep and files != before:
        write_json(seen, files)

    def below(part: str, names: Iterable[str]) -> dict[str, Any]:
        return {
            path: state[-1]
            for path, state in files.items()
            for name in names
            if f"{path}/".startswith(f"{name}/") and belongs(part, name, state[-1])
        }

    return {part: digest_of([list(names), below(part, names)]) for part, names in parts.items()}


def pretraining_content(folder: Path, seen: Path, keep: bool) -> str:
    """Digest of the paths and sizes of all files below `folder`, as `dfsc index` digests them; else as above."""
    before: dict[str, Any] = _seen(seen)
    if not folder.is_dir():
        return str(before.get("digest", "missing"))
    if before.get("files", 0) > LARGE and _folder_times(folder, before["folders"]) == before["folders"]:
        return str(before["digest"])
    files = {path: state.st_size for path, _, state in _files(folder)}
    holding = {path.rpartition("/")[0] for path in files}
    folders = {"."} | holding | {str(above) for path in holding for above in Path(path).parents}
    found = {"digest": digest_of(files), "files": len(files), "folders": _folder_times(folder, folders)}
    if keep and found != before:
        write_json(seen, found)
    return str(found["digest"])


def _looked_at(places: Mapping[str, Path], before: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """The files below `places`, as `<name of the place>/<path>` -> [size, two times, digest]."""
    found = {path: (file, state) for name in sorted(places) for path, file, state in _files(places[name], name)}
    states = {path: [state.st_size, state.st_mtime_ns, state.st_ctime_ns] for path, (_, state) in found.items()}
    changed = [path for path, state in states.items() if before.get(path, [None])[:-1] != state]
    with ThreadPoolExecutor(READERS) as pool:
        digests = dict(zip(changed, pool.map(lambda path: _digest(found[path][0]), changed), strict=True))
    return {path: [*state, digests.get(path) or before[path][-1]] for path, state in states.items()}


def _digest(file: Path) -> str:
    try:
        return sha256_of(file)
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror})") from error


def _files(top: Path, name: str = "") -> Iterator[tuple[str, Path, os.stat_result]]:
    """The files at or below `top`, sorted, as (path that begins with `name`, file, state); none if it does not exist.

    Hidden ones are left out, as well as what a file manager or a notebook leaves behind.
    """
    try:
        if top.is_file():
            yield name, top, top.stat()
        for folder, folders, files in os.walk(top, followlinks=True, onerror=_refuse):
            folders[:] = sorted(sub for sub in folders if not is_hidden(sub) and not leads_up(Path(folder, sub)))
            for file in sorted(files):
                path = Path(folder, file)
                if not is_hidden(file) and path.exists():
                    yield Path(name, path.relative_to(top)).as_posix(), path, path.stat()
    except OSError as error:
        _refuse(error)


def leads_up(folder: Path) -> bool:
    """Whether it is a link to a folder that it lies in, or that the way to it leads through: followed for ever."""
    target = folder.resolve()
    return folder.is_symlink() and any(above.resolve().is_relative_to(target) for above in folder.parents)


def _refuse(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise UserError(f"{error.filename}: cannot be read ({error.strerror})") from error


def _folder_times(top: Path, folders: Iterable[str]) -> dict[str, int]:
    """When the folders, named relative to `top`, were last changed, in ns; 0 for one that is gone."""
    return {name: (top / name).stat().st_mtime_ns if (top / name).is_dir() else 0 for name in sorted(folders)}


def _seen(path: Path) -> dict[str, Any]:
    found = None
    with suppress(UserError):  # missing or damaged: nothing was seen, and all is read again
        found = read_json(path)
    return found if isinstance(found, dict) else {}
