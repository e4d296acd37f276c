"""Unpacking of archives from outside: plain files and folders only, whole or not at all."""

import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from dfsc.data.download import progress_bar, require_space
from dfsc.errors import UserError
from dfsc.files import read_json, sha256_of, write_json

RECEIPT = "fetched.json"  # in the unpacked folder: which archive it is from, and the digest of each file
GROWTH = 1.5  # unpacked size over that of a compressed tar, whose true size only unpacking tells; images hardly grow


class _CheckedMember(tarfile.TarInfo):
    """A tar member whose header must be good: tarfile itself takes a broken or missing one for the archive's end."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> "_CheckedMember":
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]  # the zeros that end a whole archive
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"unexpected end of data, {error}") from error


def extract(archive: Path, output: Path, sha256: str) -> None:
    """Unpack a tar (plain, gz, bz2, xz) or zip into the new folder `output`.

    The folder appears only when it is complete, with a receipt in it for `require_intact`, which holds `sha256`, the
    archive's digest (64 hex digits). What a killed call left is removed by the next one. Two calls with one `output`
    must not run at the same time.

    Raises UserError naming the archive, and the member, if one is a link, a device or leads out of the folder, if
    the archive is damaged or truncated, if `output` exists or the disk is full. Nothing is left behind then.
    """
    if output.exists():
        raise UserError(f"{output}: exists already; move it away to unpack {archive}")
    temporary = output.with_name(f".{output.name}.unpacking")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        unpack = _unpack_zip if zipfile.is_zipfile(archive) else _unpack_tar
        unpack(archive, temporary)
        write_json(temporary / RECEIPT, {"archive_sha256": sha256, "files": digests_of(temporary)})
        temporary.replace(output)
    except (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error) as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise UserError(f"{archive}: cannot be unpacked to {output} ({reason}); nothing was kept") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def require_intact(folder: Path, sha256: str, advice: str) -> None:
    """Check that `folder` holds what `extract` made of the archive whose digest begins with `sha256`, file by file.

    Raises UserError, which ends with `advice`, if it is from elsewhere or if a file was changed, removed or added.
    """
    if not (folder / RECEIPT).is_file():
        raise UserError(f"{folder}: is there but was not fetched; {advice}")
    receipt = read_json(folder / RECEIPT)
    actual = receipt["archive_sha256"]
    if not actual.startswith(sha256.lower()):
        raise UserError(f"{folder}: is from an archive with SHA-256 {actual}, not {sha256}; {advice}")
    differing = sorted({name for name, _ in digests_of(folder).items() ^ receipt["files"].items()})
    if differing:
        count = f", the first of {len(differing)}" if len(differing) > 1 else ""
        raise UserError(f"{folder / differing[0]}: changed, removed or added since it was fetched{count}; {advice}")


def digests_of(folder: Path) -> dict[str, str]:
    """SHA-256 of every file but the receipt, by its path below `folder`."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / RECEIPT)
    digests = {}
    with progress_bar("checking files", sum(file.stat().st_size for file in files)) as bar:
        for file in files:
            digests[file.relative_to(folder).as_posix()] = sha256_of(file)
            bar.update(file.stat().st_size)
    return digests


def _unpack_tar(archive: Path, folder: Path) -> None:
    size = archive.stat().st_size
    require_space(folder, int(size * GROWTH))
    with (
        archive.open("rb") as stream,
        tarfile.open(fileobj=stream, mode="r:*", tarinfo=_CheckedMember) as members,
        progress_bar(f"unpacking {archive.name}", size) as bar,
    ):
        for member in members:
            _refuse_unsafe(archive, member.name, member.isfile() or member.isdir())
            members.extract(member, folder, filter="data")
            bar.update(stream.tell() - bar.n)


def _unpack_zip(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as members:
        total = sum(member.file_size for member in members.infolist())
        require_space(folder, total)
        with progress_bar(f"unpacking {archive.name}", total) as bar:
            for member in members.infolist():
                kind = stat.S_IFMT(member.external_attr >> 16)  # 0 where the archive was not made on Unix
                _refuse_unsafe(archive, member.filename, kind in (0, stat.S_IFREG, stat.S_IFDIR))
                members.extract(member, folder)
                bar.update(member.file_size)


def _refuse_unsafe(archive: Path, name: str, plain: bool) -> None:
    """Raise UserError unless the member is plain, a file or folder, and stays inside the folder unpacked to."""
    path = PurePosixPath(name)
    if not plain:
        raise UserError(f"{archive}: member {name!r} is a link or device; nothing was unpacked")
    if path.is_absolute() or ".." in path.parts:
        raise UserError(f"{archive}: member {name!r} leads out of the folder; nothing was unpacked")
