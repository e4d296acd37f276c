"""What comes from outside: the list of sources, and `fetch`, which brings one of them to its place."""

import fcntl
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from dfsc.archive import extract, require_intact
from dfsc.download import download, local_path, verified
from dfsc.errors import UserError
from dfsc.files import reading


@dataclass(frozen=True)
class Source:
    """One entry of config/sources.yaml, which says what the fields mean."""

    address: str
    sha256: str
    output: Path
    unpack: bool
    licence: str


def fetch_source(name: str, sources: Path) -> None:
    """Fetch the source that the file `sources` calls `name`; see `fetch`. Raises UserError for a wrong entry too."""
    fetch(read_source(name, sources))


def read_source(name: str, sources: Path) -> Source:
    """Read one entry of a list of sources. Raises UserError naming the file and the key at fault."""
    with reading(sources, "YAML with a mapping `sources`"):
        entries = yaml.safe_load(Path(sources).read_text(encoding="utf-8"))["sources"]
        known = ", ".join(entries)
    if name not in entries:
        raise UserError(f"{sources}: lists no source {name!r}; it has {known}")
    entry: dict[str, Any] = entries[name]
    wanted = {field.name: field.type for field in fields(Source)}
    if entry.keys() != wanted.keys():
        raise UserError(f"{sources}: sources.{name} must have the keys {', '.join(wanted)} and no other")
    if not re.fullmatch("[0-9A-Fa-f]{8,64}", str(entry["sha256"])):
        raise UserError(f"{sources}: sources.{name}.sha256 must be 64 hex digits, or the first 8 or more, in quotes")
    return Source(**{**entry, "sha256": str(entry["sha256"]).lower(), "output": Path(entry["output"])})


def fetch(source: Source) -> None:
    """Bring a source to its output, downloaded or read from a path, verified and, if an archive, unpacked.

    Safe to call again after any interruption, and from several processes at once: the first does the work, the others
    wait for it. An output that is there already is never replaced: either it is the right one, or UserError says how
    it differs. Raises what `download` and `extract` raise.
    """
    with _alone(source.output.with_name(f".{source.output.name}.lock")):
        if source.unpack:
            _fetch_folder(source)
        else:
            download(source.address, source.output, source.sha256)


def _fetch_folder(source: Source) -> None:
    output = source.output
    # The digest in the name keeps the start of one archive from being completed with the end of another.
    downloaded = output.with_name(f"{output.name}-{source.sha256[:8]}.archive")
    if output.exists():
        require_intact(output, source.sha256, f"it is not replaced: move {output} away to fetch it anew")
    elif archive := local_path(source.address):
        extract(archive, output, verified(archive, source.sha256, "give the path of an intact copy"))
    else:
        extract(downloaded, output, download(source.address, downloaded, source.sha256))
    downloaded.unlink(missing_ok=True)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the lock file `path`, which the system releases even if the process is killed."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = path.open("w")
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from error
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{path}: another fetch is at work here; waiting for it", file=sys.stderr)
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield
