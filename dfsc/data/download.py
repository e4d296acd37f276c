"""Download of one large file: resumed where it was interrupted, verified before it gets its name."""

import os
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from dfsc.errors import RunFailed, UserError
from dfsc.files import sha256_of

if TYPE_CHECKING:
    from requests import Response, Session
    from tqdm import tqdm

BLOCK = 64 * 1024  # bytes; at most this much of what has arrived is lost when a connection drops
LONGEST_PAUSE = 60.0  # seconds between two tries
BUSY = {408, 425, 429}  # HTTP statuses that ask to come again later, besides 5xx


class _Interrupted(Exception):
    """A try that failed in a way another one may not."""


def download(
    address: str, output: Path, sha256: str, *, timeout: float = 30.0, tries: int = 6, pause: float = 1.0
) -> str:
    """Bring the file at `address` to `output` and return its SHA-256 (64 hex digits).

    What has arrived is kept in `<output>.partial`, also when the process is killed, and the next call goes on from
    there. A file that is there already is verified and left as it is, never replaced.

    address: http://, https://, file:// or a path.
    sha256: what the file must have; 64 hex digits, or at least 8 leading ones where no more are published.
    timeout: seconds to wait for an answer, and for its next bytes.
    tries: how many in a row may fail without bringing a byte more; at least 1.
    pause: seconds before the second such try, doubled before each further one up to 60.

    Raises UserError for a wrong address, a wrong digest (the partial file is removed) or a full disk, RunFailed if
    the server cannot be reached or keeps dropping the connection.
    """
    output = Path(output)
    partial = output.with_name(f"{output.name}.partial")
    try:
        if output.exists():
            return verified(output, sha256, "it is not replaced: move it away, or correct the digest")
        output.parent.mkdir(parents=True, exist_ok=True)
        if local := local_path(address):
            require_space(output, local.stat().st_size)
            shutil.copyfile(local, partial)
        elif _receive(address, partial, timeout, tries, pause) and not sha256_of(partial).startswith(sha256.lower()):
            # Pieced together from several answers, between which the file at the address may have changed.
            partial.unlink()
            _receive(address, partial, timeout, tries, pause)
        digest = sha256_of(partial)
        if not digest.startswith(sha256.lower()):
            partial.unlink()
            raise UserError(f"{output}: not kept, {address} has SHA-256 {digest} instead of {sha256}; check both")
        with partial.open("rb+") as stream:
            os.fsync(stream.fileno())
        partial.replace(output)
        return digest
    except OSError as error:
        raise UserError(f"{output}: cannot be written ({error.strerror or error})") from error


def verified(path: Path, sha256: str, advice: str) -> str:
    """SHA-256 of a file, which must begin with `sha256`; else raises UserError with both digests and `advice`."""
    digest = sha256_of(path)
    if not digest.startswith(sha256.lower()):
        raise UserError(f"{path}: has SHA-256 {digest}, not {sha256}; {advice}")
    return digest


def size_of(address: str, timeout: float = 30.0) -> int | None:
    """Bytes of the file at an address, none of which is brought here; None if the server does not say.

    Raises UserError for a wrong address, and if the server does not answer within `timeout` seconds.
    """
    import requests

    if local := local_path(address):
        return local.stat().st_size
    try:
        with requests.get(address, headers={"Accept-Encoding": "identity"}, stream=True, timeout=timeout) as answer:
            if not answer.ok:
                raise UserError(f"{address}: the server answered {answer.status_code} {answer.reason}; check it")
            length = answer.headers.get("Content-Length")
    except requests.RequestException as error:
        reason = type(error).__name__
        raise UserError(f"{address}: cannot be reached from here ({reason}); check the network") from error
    return None if length is None else int(length)


def local_path(address: str) -> Path | None:
    """The file that a path or a file:// address names; None for http(s).

    Raises UserError if there is no such file, or for any other kind of address.
    """
    parts = urlsplit(address)
    if parts.scheme in ("http", "https"):
        return None
    if parts.scheme not in ("", "file"):
        raise UserError(f"{address}: give an http(s) address, or the path of a file you have")
    path = Path(unquote(parts.path) if parts.scheme else address).expanduser()
    if not path.is_file():
        raise UserError(f"{address}: no such file; give the path of a file you have, or an http(s) address")
    return path


def require_space(output: Path, needed: int) -> None:
    """Raise UserError if the disk that is to hold `output` has fewer than `needed` bytes free."""
    free = shutil.disk_usage(nearest_folder(output)).free
    if free < needed:
        raise UserError(f"{output}: needs {needed / 1e6:,.1f} MB, but {free / 1e6:,.1f} MB are free; make room")


def nearest_folder(place: Path) -> Path:
    """The folder that a place is, or the first above it that exists, on whose disk it will be. Links are followed."""
    real = Path(os.path.realpath(place))
    return next(folder for folder in (real, *real.parents) if folder.is_dir())


def progress_bar(name: str, total: int | None, done: int = 0) -> "tqdm[Any]":
    """A bar of bytes with speed and time left on stderr; redrawn only now and then where that is a log file."""
    from tqdm import tqdm

    interval = 0.1 if sys.stderr.isatty() else 30.0
    return tqdm(desc=name, total=total, initial=done, unit="B", unit_scale=True, mininterval=interval)


def _receive(address: str, partial: Path, timeout: float, tries: int, pause: float) -> bool:
    """Complete `partial`, over as many connections as it takes; tell whether it is pieced together."""
    import requests
    import urllib3

    failures, furthest = 0, _size(partial)
    with requests.Session() as session:
        while True:
            try:
                return _receive_rest(session, address, partial, timeout)
            except (_Interrupted, requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError) as error:
                reason = error
            except requests.RequestException as error:
                raise UserError(f"{address}: cannot be fetched ({error}); check the address") from error
            failures = 0 if _size(partial) > furthest else failures + 1
            furthest = max(furthest, _size(partial))
            if failures >= tries:
                raise RunFailed(
                    f"{address}: given up after {failures} tries in a row ({reason}); run it again to go on "
                    f"from the {_size(partial) / 1e6:.1f} MB kept in {partial}"
                ) from reason
            time.sleep(min(pause * 2 ** max(failures - 1, 0), LONGEST_PAUSE))


def _receive_rest(session: "Session", address: str, partial: Path, timeout: float) -> bool:
    """Ask once for what `partial` lacks; tell whether the answer was added to earlier bytes."""
    done = _size(partial)
    # Bytes compressed on the way would fit neither the offset nor the digest.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={done}-"} if done else {})
    with session.get(address, headers=headers, stream=True, timeout=timeout) as answer:
        if answer.status_code == 416:  # nothing lies beyond `done`: complete, or of another file, says the digest
            return True
        if answer.status_code in BUSY or answer.status_code >= 500:
            raise _Interrupted(f"the server answered {answer.status_code} {answer.reason}")
        if not answer.ok:
            raise UserError(f"{address}: the server answered {answer.status_code} {answer.reason}; check the address")
        if answer.status_code != 206:
            done = 0
        elif not answer.headers.get("Content-Range", "").startswith(f"bytes {done}-"):
            partial.unlink()
            raise _Interrupted("the server answered with another range than asked for")
        _write(answer, partial, done)
        return done > 0


def _write(answer: "Response", partial: Path, done: int) -> None:
    """Write the body of `answer` to `partial`, after its first `done` bytes."""
    length = answer.headers.get("Content-Length")
    require_space(partial, int(length or 0))
    total = done + int(length) if length else None
    name = partial.name.removesuffix(".partial")
    with partial.open("ab" if done else "wb") as stream, progress_bar(name, total, done) as bar:
        for block in answer.raw.stream(BLOCK, decode_content=False):
            stream.write(block)
            bar.update(len(block))


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
