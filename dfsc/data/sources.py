"""What comes from outside: the list of sources, and `fetch`, which brings one of them to its place."""

import fcntl
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from typing import Any

import yaml

from dfsc.data.archive import RECEIPT, extract, require_intact
from dfsc.data.download import download, local_path, verified
from dfsc.errors import RunFailed, UserError
from dfsc.files import expanded, reading


@dataclass(frozen=True)
class Source:
    """One entry of config/sources.yaml, which says what the fields mean."""

    address: str
    sha256: str
    output: Path
    unpack: bool
    licence: str
    published: Path | None = None


def fetch_source(name: str, sources: Path, output: Path | None = None, through_dvc: bool = False) -> None:
    """Fetch the source that the file `sources` calls `name`; see `fetch`. Raises UserError for a wrong entry too.

    `output`: another place than the listed one.
    With `through_dvc`, DVC keeps a copy of what is fetched, by the stage of dvc.yaml that calls this function again
    without. It does not where files of the user's own are used where they lie: DVC would copy them.
    """
    listed = read_source(name, sources)
    source = replace(listed, output=output or listed.output)
    if not through_dvc or source.output != listed.output or _lies_elsewhere(source):
        fetch(source)
        return
    # DVC's own lock does not cover a stage that is at work; flock does. --pull restores from DVC's copy first.
    stage = ["dvc", "--wait-for-lock", "repro", "--single-item", "--pull", "--no-run-cache", f"fetch@{name}"]
    if subprocess.run(["flock", "dvc.yaml", *stage]).returncode != 0:
        raise RunFailed(f"{source.output}: was not fetched; the reason stands above")


def _lies_elsewhere(source: Source) -> bool:
    """Whether the source is a folder unpacked by hand, or lies behind a link that leads out of the project."""
    inside = Path.cwd().resolve() / source.output
    return (
        inside.resolve() != inside
        or Path(source.address).is_dir()
        or (inside.is_dir() and not (inside / RECEIPT).is_file())
    )


def read_source(name: str, sources: Path) -> Source:
    """Read one entry of a list of sources. Raises UserError naming the file and the key at fault."""
    with reading(sources, "YAML with a mapping `sources`"):
        entries = yaml.safe_load(Path(sources).read_text(encoding="utf-8"))["sources"]
        known = ", ".join(entries)
    if name not in entries:
        raise UserError(f"{sources}: lists no source {name!r}; it has {known}")
    entry: dict[str, Any] = entries[name]
    optional = {field.name for field in fields(Source) if field.default is not MISSING}
    wanted = [field.name for field in fields(Source) if field.name not in optional]
    if not isinstance(entry, dict) or entry.keys() - optional != set(wanted):
        raise UserError(f"{sources}: sources.{name} must have the keys {', '.join(wanted)} and no other")
    if not re.fullmatch("[0-9a-fA-F]{8,64}", str(entry["sha256"])):
        raise UserError(f"{sources}: sources.{name}.sha256 must be 64 hex digits, or the first 8 or more, in quotes")
    if not isinstance(entry["unpack"], bool):
        raise UserError(f"{sources}: sources.{name}.unpack must be true or false")
    where, address = f"{sources}: sources.{name}", str(entry["address"])
    return Source(
        address=address if "://" in address else expanded(address, f"{where}.address"),
        sha256=str(entry["sha256"]).lower(),
        output=Path(expanded(str(entry["output"]), f"{where}.output")),
        unpack=entry["unpack"],
        licence=str(entry["licence"]),
        published=Path(entry["published"]) if entry.get("published") else None,
    )


def place_of(name: str, key: str, sources: Path) -> Path:
    """Where a source lies once it is fetched. Raises UserError as `read_source` does, and names the key that asks."""
    try:
        return read_source(name, sources).output
    except UserError as error:
        raise UserError(f"config: {key}: {name} is to be fetched, but {error}") from error


def fetch(source: Source) -> None:
    """Bring a source to its output: downloaded, or read from a path; verified; an archive is unpacked.

    Safe to call again after any interruption, and from several processes at once: the first does the work, the others
    wait for it. An output that is there already is never replaced: either it is the right one, as fetched or, unpacked
    by hand, as the published table says (`dfsc.data.adoption`), or UserError says how it differs. Where the address is
    such a folder, the output becomes a link to it. A link to what does not exist yet is kept, and what it leads to is
    made.
    Raises what `download`, `extract` and `adopt` raise.
    """
    # What a link leads to is made, not put in the link's place.
    output = source.output if source.output.exists() else Path(os.path.realpath(source.output))
    with _alone(source.output.with_name(f".{source.output.name}.lock")):
        if source.unpack:
            _fetch_folder(source, output)
        else:
            download(source.address, output, source.sha256)


def _fetch_folder(source: Source, output: Path) -> None:
    from dfsc.data.adoption import adopt  # imports much; the workflow reads the list of sources at every start

    # The digest in the name keeps the start of one archive from being completed with the end of another.
    downloaded = output.with_name(f"{output.name}-{source.sha256[:8]}.archive")
    if not output.exists() and Path(source.address).is_dir():
        _link(source.output, Path(source.address))
        adopt(source.output, source.published)
    elif output.exists() and (source.published is None or (output / RECEIPT).is_file()):
        require_intact(output, source.sha256, f"it is not replaced: move {output} away to fetch it anew")
    elif output.exists():
        adopt(output, source.published)
    elif archive := local_path(source.address):
        extract(archive, output, verified(archive, source.sha256, "give the path of an intact copy"))
    else:
        extract(downloaded, output, download(source.address, downloaded, source.sha256))
    downloaded.unlink(missing_ok=True)


def _link(output: Path, folder: Path) -> None:
    try:
        output.unlink(missing_ok=True)  # a link to nothing
        output.symlink_to(folder.resolve())
    except OSError as error:
        raise UserError(f"{output}: cannot be made a link to {folder} ({error.strerror})") from error


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the lock file `path`, which the system releases even if the process is killed."""
    try:
        Path(os.path.realpath(path.parent)).mkdir(parents=True, exist_ok=True)
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
