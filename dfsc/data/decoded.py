"""A category's images at the networks' size: decoded by the first model that reads them, and kept for the others.

A large image takes longer to decode than a network to judge it, and a category has dozens of models. What is kept are
the pixels that `load_images` gives, so that nothing of a result depends on whether it is there.

It is no output of a rule: were it deleted, Snakemake would make it again for a new model, and all others after it.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import PIL
from numpy.typing import NDArray

from dfsc.data import images
from dfsc.data.layout import IMAGE_FOLDERS, FileRecord, read_manifest
from dfsc.errors import UserError
from dfsc.files import attempting, digest_of, read_record, sha256_of, write_json, written_whole

WHAT = "decoded images"


class CategoryImages:
    """The images below a category's `folder`, resized to `image_size`, as they are asked for."""

    def __init__(self, folder: Path, image_size: int, workers: int = 1) -> None:
        """`workers`: threads that decode."""
        self.folder, self.image_size, self.workers = folder, image_size, workers
        self._decoded: NDArray[np.uint8] | None = None
        self._rows: dict[str, int] = {}

    def keep_in(self, kept: Path, manifest: Path) -> None:
        """From now on take the images that `manifest` lists from a file in the folder `kept`, mapped into memory.

        If there is none, they are decoded into it: .npy, uint8 [n, size, size, 3], in the manifest's order, and its
        digest beside it. A damaged one is named and replaced; what cannot be written is said. Raises UserError naming
        an image that cannot be decoded.
        """
        records = [record for record in read_manifest(manifest) if record.folder in IMAGE_FOLDERS]
        code = [sha256_of(Path(images.__file__)), PIL.__version__]
        made_from = [sha256_of(manifest), self.image_size, code]
        file = kept / f"images-{digest_of(made_from)}.npy"
        with attempting(file, WHAT, "the images are decoded again"):
            self._decoded = _mapped(file) if file.exists() else None
        if self._decoded is None:
            self._decoded = self.of(records)
            _keep(self._decoded, file)
        self._rows = {record.path: row for row, record in enumerate(records)}

    def of(self, records: Sequence[FileRecord]) -> NDArray[np.uint8]:
        """Their images, uint8 [n, size, size, 3]. Raises UserError naming the first one that cannot be decoded."""
        if self._decoded is None:
            return images.load_images([self.folder / record.path for record in records], self.image_size, self.workers)
        rows = [self._rows[record.path] for record in records]
        if rows == list(range(rows[0], rows[0] + len(rows))):
            return self._decoded[rows[0] : rows[0] + len(rows)]
        return self._decoded[rows]


def _keep(decoded: NDArray[np.uint8], file: Path) -> None:
    with attempting(file, WHAT, "each model decodes the images anew"):
        with written_whole(file) as temporary, temporary.open("wb") as stream:
            np.save(stream, decoded, allow_pickle=False)
        write_json(file.with_suffix(".json"), {"digest": sha256_of(file)})


def _mapped(file: Path) -> NDArray[np.uint8]:
    digest = read_record(file.with_suffix(".json"), "the digest of decoded images", ["digest"])["digest"]
    if sha256_of(file) != digest:
        raise UserError(f"{file}: is damaged")
    # Copied where it is written to, and never is: torch warns of arrays that cannot be written.
    decoded: NDArray[np.uint8] = np.lib.format.open_memmap(file, mode="c")
    return decoded
