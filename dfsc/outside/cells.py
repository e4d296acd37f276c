"""The files of a cell from outside: anomaly maps and image scores as `dfsc score` writes them, and what made them."""

import resource
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfsc.data.layout import FileRecord, read_manifest
from dfsc.errors import UserError
from dfsc.files import digest_of, sha256_of, write_json
from dfsc.inference.evaluate import read_official_map
from dfsc.inference.image_scores import of_split, write_scores
from dfsc.inference.maps import SmallMaps, write_maps
from dfsc.model.maps import NOT_PADDED, image_score
from dfsc.provenance import code_digest, provenance


@dataclass(frozen=True)
class OutsideFiles:
    """What is written of a cell."""

    scores: Path
    maps: Path
    record: Path


def import_maps(folder: Path, manifest: Path, seed: str, files: OutsideFiles) -> None:
    """Take over maps made elsewhere, `folder`/test/<type>/<id>.tiff, and keep them as ours are kept.

    Raises UserError naming the file: missing, surplus, or as `read_official_map` does.
    """
    records = listed_test_images(manifest)
    places = {record.path: (folder / record.path).with_suffix(".tiff") for record in records}
    if missing := [place for place in places.values() if not place.exists()]:
        raise UserError(f"{missing[0]}: is missing; {len(missing)} of {len(places)} test images have no map")
    if surplus := sorted({*(folder / "test").rglob("*.tiff")} - {*places.values()}):
        raise UserError(f"{surplus[0]}: there is no test image of that name ({len(surplus)} surplus maps)")
    maps = {path: np.asarray(read_official_map(place), np.float32) for path, place in places.items()}
    content = digest_of({path: sha256_of(place) for path, place in places.items()})
    made = {"origin": "maps", "content": content, "code": code_digest("method import"), "hardware": "elsewhere"}
    with measured() as cost:
        pass
    write_cell(files, records, maps, None, seed, made | cost)


def listed_test_images(manifest: Path) -> list[FileRecord]:
    """The test images that a manifest lists. Raises UserError naming it if there is none."""
    if not (records := [record for record in read_manifest(manifest) if record.path.startswith("test/")]):
        raise UserError(f"{manifest}: lists no test image")
    return records


def write_cell(
    files: OutsideFiles,
    records: Sequence[FileRecord],
    maps: Mapping[str, NDArray[np.float32]],
    scores: Mapping[str, float] | None,
    seed: str,
    made: dict[str, Any],
) -> None:
    """Write scores, maps and the record. Without `scores`, those are the maxima of the maps at the images' sizes.

    `maps` of validation images give scores, and are not kept. `records`: of all images with a map, and maybe others.
    """
    if scores is None:
        scores = {
            record.path: image_score(maps[record.path], NOT_PADDED, record.height, record.width)
            for record in records
            if record.path in maps
        }
    settings = {key: made.pop(key) for key in ("origin", "command", "control") if key in made} | {"seed": seed}
    fingerprint = digest_of([settings, made["code"], made.get("content")])
    made_by = provenance(str(made["hardware"]))
    record = {"fingerprint": fingerprint, "settings": settings, **made}
    write_scores(files.scores, scores)
    write_maps(files.maps, SmallMaps(of_split(maps, "test"), NOT_PADDED))
    write_json(files.record, {**record, "commit": made_by["commit"], "hardware": made_by["hardware"]})


@contextmanager
def measured() -> Iterator[dict[str, Any]]:
    """What the block costs: filled in at its end."""
    cost: dict[str, Any] = {"started": _utc(), "gpu_seconds": 0.0}
    start = time.monotonic()
    yield cost
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    cost |= {"seconds": round(time.monotonic() - start, 1), "peak_memory_bytes": peak, "finished": _utc()}


def _utc() -> str:
    return time.strftime("%FT%TZ", time.gmtime())
