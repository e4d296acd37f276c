"""Compiled code, kept from one training for the next: to compile takes as long as thousands of steps.

torch's compiler keeps what it makes in a folder of thousands of small files. A training has such a folder to itself,
and after its first step packs it into one file for those after it, on any node that sees the same disk. A file that is
damaged, or of other code, another torch or another device, is not used. Nothing of it shapes a result.
"""

import os
import platform
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from dfsc.files import attempting, digest_of, written_whole
from dfsc.training.device import computed_on

WHAT = "compiled code"
PLACE = "TORCHINDUCTOR_CACHE_DIR"  # torch's own variable; who sets it keeps the compiled code otherwise


class CompiledCode:
    """What torch has compiled in this process, and the file that it is kept in."""

    def __init__(self, file: Path, place: Path) -> None:
        """`place`: where torch's compiler reads and writes, filled from `file` if that can be used."""
        self.file, self.place = file, place
        self.is_kept = False
        with attempting(file, WHAT, "it is compiled again"):
            if file.exists():
                self._unpack()

    def _unpack(self) -> None:
        with zipfile.ZipFile(self.file) as packed:
            if packed.comment.decode() != self.file.stem:
                raise ValueError("it is of other code, or for another device")
            if damaged := packed.testzip():
                raise ValueError(f"{damaged} in it is damaged")
            packed.extractall(self.place)
        self.is_kept = True

    def keep(self) -> None:
        """After the first step, by which all is compiled: write the file, unless it was found, or tried before."""
        if self.is_kept:
            return
        self.is_kept = True
        with (
            attempting(self.file, WHAT, "each training compiles anew"),
            written_whole(self.file) as temporary,
            zipfile.ZipFile(temporary, "w") as packed,
        ):
            packed.comment = self.file.stem.encode()
            for path in sorted(path for path in self.place.rglob("*") if path.is_file()):
                packed.write(path, path.relative_to(self.place))


@contextmanager
def compiled_code(
    folder: Path | None, made_from: dict[str, Any], device: torch.device
) -> Iterator[CompiledCode | None]:
    """Let torch compile into a temporary folder, filled with what a training from `made_from` kept in `folder`.

    `made_from`: all that shapes the compiled code, JSON. Nothing is kept without a `folder`, nor where the environment
    says where torch keeps it.
    """
    if folder is None or PLACE in os.environ:
        yield None
        return
    key = digest_of([made_from, platform.python_version(), computed_on(device)])
    with tempfile.TemporaryDirectory(prefix="dfsc-compiled-", ignore_cleanup_errors=True) as place:
        os.environ[PLACE] = place
        try:
            yield CompiledCode(folder / f"code-{key}.zip", Path(place))
        finally:
            del os.environ[PLACE]
