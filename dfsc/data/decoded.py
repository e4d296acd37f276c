"""A category's images at the networks' size: decoded once for all models, or by each that has no such file.

A large image takes longer to decode than a network to judge it, and a category has dozens of models. The file holds the
pixels that `load_images` gives, so that nothing of a result depends on whether it is there.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dfsc.data.images import load_images
from dfsc.data.layout import IMAGE_FOLDERS, FileRecord, read_manifest
from dfsc.errors import UserError
from dfsc.files import MADE_ANEW, read_record, sha256_of, write_json, written_whole
from dfsc.provenance import code_digest

RECORD = "the record of decoded images"


def write_decoded(folder: Path, manifest: Path, image_size: int, workers: int, output: Path) -> None:
    """Decode and resize the images that `manifest` lists below a category's `folder`.

    `output`, .npy: uint8 [n, image_size, image_size, 3], in the manifest's order; beside it, under the same name ending
    in .json, what it was made from, and its digest. Raises UserError naming the first image that cannot be decoded.
    """
    images = load_images([folder / record.path for record in _images(manifest)], image_size, workers)
    with written_whole(output) as temporary, temporary.open("wb") as stream:
        np.save(stream, images, allow_pickle=False)
    write_json(output.with_suffix(".json"), {**_made_from(manifest, image_size), "digest": sha256_of(output)})


class CategoryImages:
    """The images below a category's `folder`, resized to `image_size`, as they are asked for."""

    def __init__(self, folder: Path, image_size: int, workers: int = 1) -> None:
        """`workers`: threads that decode."""
        self.folder, self.image_size, self.workers = folder, image_size, workers
        self._decoded: NDArray[np.uint8] | None = None
        self._rows: dict[str, int] = {}

    def take_from(self, decoded: Path, manifest: Path) -> None:
        """Map what `write_decoded` wrote of `manifest` into memory; if it is damaged, or of others, say so instead."""
        try:
            self._decoded = self._mapped(decoded, _made_from(manifest, self.image_size))
        except (UserError, OSError, ValueError) as error:
            print(f"dfsc: {error}; the images are decoded instead", file=sys.stderr, flush=True)
        self._rows = {record.path: row for row, record in enumerate(_images(manifest))}

    def of(self, records: Sequence[FileRecord]) -> NDArray[np.uint8]:
        """Their images, uint8 [n, size, size, 3]. Raises UserError naming the first one that cannot be decoded."""
        if self._decoded is None:
            return load_images([self.folder / record.path for record in records], self.image_size, self.workers)
        rows = [self._rows[record.path] for record in records]
        if rows == list(range(rows[0], rows[0] + len(rows))):
            return self._decoded[rows[0] : rows[0] + len(rows)]
        return self._decoded[rows]

    def _mapped(self, decoded: Path, made_from: dict[str, object]) -> NDArray[np.uint8]:
        record = read_record(decoded.with_suffix(".json"), RECORD, ("digest", *made_from))
        if {name: record[name] for name in made_from} != made_from:
            raise UserError(f"{decoded}: was decoded from other images, to another size or by other code; {MADE_ANEW}")
        if sha256_of(decoded) != record["digest"]:
            raise UserError(f"{decoded}: is damaged; {MADE_ANEW}")
        # Copied where it is written to, and never is: torch warns of arrays that cannot be written.
        images: NDArray[np.uint8] = np.load(decoded, mmap_mode="c", allow_pickle=False)
        return images


def _images(manifest: Path) -> list[FileRecord]:
    return [record for record in read_manifest(manifest) if record.folder in IMAGE_FOLDERS]


def _made_from(manifest: Path, image_size: int) -> dict[str, object]:
    return {"manifest": sha256_of(manifest), "image_size": image_size, "code": code_digest("decode")}
