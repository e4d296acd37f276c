"""Files are written whole or not at all: under a temporary name beside the target, then renamed."""

import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dfsc.errors import UserError

if TYPE_CHECKING:
    from numpy.lib.npyio import NpzFile

MARKER = ".made_by_dfsc"  # in folders that may be replaced
MADE_ANEW = "delete it and run the workflow again"  # how a damaged file of ours is mended


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` if the block succeeds, remove it if it does not.

    Raises UserError naming `path` where the disk is full or the folder cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        if error.filename is not None and Path(error.filename) not in (temporary, path, *path.parents):
            raise
        raise UserError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        with suppress(OSError):  # below a file, say, where it could not be made either
            temporary.unlink()


@contextmanager
def folder_written_whole(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; rename it to `path` if the block succeeds, remove it if it does not.

    A folder that was written so before is replaced. Raises UserError naming `path` if it exists, is not empty and was
    not written so, or if it cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        if path.exists() and not (path / MARKER).exists() and (not path.is_dir() or any(path.iterdir())):
            raise UserError(f"{path}: exists and was not made by dfsc; move it away or choose another folder")
        temporary.mkdir(parents=True)
        yield temporary
        (temporary / MARKER).touch()
        shutil.rmtree(path, ignore_errors=True)
        temporary.replace(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path`, whole or not at all."""
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` to `path` as indented JSON, keys in the order given, whole or not at all."""
    write_text(path, json.dumps(value, indent=2) + "\n")


@contextmanager
def reading(path: Path, what: str, remedy: str = "") -> Iterator[None]:
    """Around the reading of a file: whatever its reader stumbles over becomes one line that names the file.

    `what` says what the file should be ("an archive of anomaly maps"), `remedy` what to do ("delete it and run again").
    Raises UserError for a file that is missing, cannot be opened, is cut short, damaged or something else.
    """
    advice = f"; {remedy}" if remedy else ""
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError as error:
        advice = advice.replace("delete it and ", "")
        raise UserError(f"{path}: no such file; it should be {what}{advice}") from error
    except Exception as error:  # damaged bytes surface as whatever the reader stumbles over
        reason = " ".join(str(getattr(error, "strerror", None) or error or type(error).__name__).split())
        raise UserError(f"{path}: cannot be read as {what} ({reason}){advice}") from error


@contextmanager
def open_archive(path: Path) -> "Iterator[NpzFile]":
    """The arrays of an .npz archive. Not by np.load: it takes a damaged one for a pickle, and says how to load it."""
    from numpy.lib.npyio import NpzFile

    with path.open("rb") as stream, NpzFile(stream, allow_pickle=False) as archive:
        yield archive


@contextmanager
def attempting(path: Path, what: str, otherwise: str) -> Iterator[None]:
    """Around the reading or writing of a file that saves time alone: a line says what goes wrong, and nothing stops.

    `what` as for `reading`; `otherwise`: what is done without the file.
    """
    try:
        with reading(path, what):
            yield
    except UserError as error:
        print(f"dfsc: {error}; {otherwise}", file=sys.stderr, flush=True)


def read_json(path: Path, what: str = "JSON", remedy: str = "") -> Any:
    """Read JSON; raises UserError as `reading` does."""
    with reading(path, what, remedy):
        return json.loads(Path(path).read_text(encoding="utf-8"))


def read_record(path: Path, what: str, required: Collection[str]) -> dict[str, Any]:
    """Read a JSON mapping of ours that has the keys `required`; raises UserError naming the file and how to mend it."""
    record = read_json(path, what, MADE_ANEW)
    with reading(path, what, MADE_ANEW):
        if not isinstance(record, dict):
            raise ValueError("it is no mapping")
        if missing := [key for key in required if key not in record]:
            raise ValueError(f"it has no `{missing[0]}`")
        return record


def read_lines(path: Path) -> str:
    """The text of a file of lines, for example CSV. Raises ValueError if the last line is cut short."""
    text = Path(path).read_text(encoding="utf-8")
    if not text.endswith("\n"):
        raise ValueError("its last line is cut short")
    return text


def expanded(path: str, where: str) -> str:
    """A path of the user's with `~`, `$NAME` and `${NAME}` replaced by what they stand for.

    Raises UserError naming `where` it stands, and the variable that is not set, or the user there is none of.
    """
    unset = [found[0] for found in re.finditer(r"\$\{?(\w+)\}?", path) if found[1] not in os.environ]
    if unset:
        raise UserError(f"{where}: the variable {unset[0]} is not set; set it, or write the path itself")
    try:
        return str(Path(os.path.expandvars(path)).expanduser())
    except RuntimeError as error:
        raise UserError(f"{where}: {path}: no such home folder is known; write the path itself") from error


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, as 64 hex digits."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest_of(value: Any) -> str:
    """SHA-256 of a JSON value, as 64 hex digits; the order of a mapping's keys does not matter."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
