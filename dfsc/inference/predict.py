"""Images in, verdicts out: a row and a heatmap for each, in batches, whatever their number."""

import os
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dfsc.data.images import decode_image, is_image_name, require_plain, visible
from dfsc.data.pretraining_images import prefetched
from dfsc.errors import Interrupted, UserError, listed
from dfsc.files import sha256_of, written_whole
from dfsc.inference.detector import Detector, Prepared
from dfsc.inference.overlay import overlay
from dfsc.inference.predictions import ACCEPTED, REJECTED, UNREADABLE, Judged, Prediction, PredictionFile, Summary
from dfsc.training.checkpoint import StopRequest

BATCH = 16
STANDARD_INPUT = "-"


class Opened(NamedTuple):
    """An image that was read."""

    path: str
    sha256: str
    image: Image.Image
    prepared: Prepared


def listed_images(arguments: Iterable[str]) -> list[str]:
    """The images that arguments name, each once: files, folders with all below them, '-' for a list on standard input.

    A line of that list is a path. Raises UserError for an argument that does not exist, a folder without images, and
    a name that no line of text can carry. Of a folder, files that are no images by their ending are left out, and
    named on standard error.
    """
    paths: dict[str, None] = {}
    for argument in arguments:
        if argument == STANDARD_INPUT:
            paths |= dict.fromkeys(_standard_input())
        elif argument and Path(argument).is_dir():
            paths |= dict.fromkeys(_below(Path(argument)))
        elif argument and Path(argument).exists():
            require_plain(argument, Path())
            paths[str(Path(argument))] = None
        else:
            raise UserError(f"{argument!r}: there is no such file or folder")
    return list(paths)


def _standard_input() -> list[str]:
    try:
        lines = sys.stdin.buffer.read().decode().splitlines()
    except UnicodeDecodeError as error:
        raise UserError("standard input: is not UTF-8; write one path on each line") from error
    return [str(Path(line)) for line in lines if line.strip()]


def _below(folder: Path) -> list[str]:
    files, waiting = list[Path](), [folder]
    while waiting:
        for entry in visible(waiting.pop()):
            (waiting if entry.is_dir() else files).append(entry)
    others = sorted(str(file) for file in files if not is_image_name(file.name))
    if others:
        print(f"dfsc: left out, as the ending is no image's ({len(others)}): {listed(others)}", file=sys.stderr)
    images = sorted(str(file) for file in files if is_image_name(file.name))
    if not images:
        raise UserError(f"{folder}: holds no image")
    return images


def run_prediction(
    model: Path,
    detector: Detector,
    images: list[str],
    output: Path,
    heatmaps: bool,
    workers: int,
    progress: Callable[[int, int], None],
) -> Summary:
    """Judge the images; write predictions.csv, predictions.json and, if asked for, heatmaps/<image>.jpg into `output`.

    `detector` is that of the file `model`. Images that `output` has rows of are not judged again, unless the file at
    their path is another one now. Returns what the rows of `images` say. Raises UserError as `PredictionFile` does, and
    Interrupted when asked to stop (SIGTERM, Ctrl-C).
    """
    made_with = {
        "model": sha256_of(model),
        "category": detector.model.origin["category"],
        "false_alarm_rate": detector.false_alarm_rate,
        "threshold": detector.threshold,
        "validation_images": len(detector.validation_scores),
        "padding": detector.padding,
        "full_scale": detector.full_scale,
    }
    rows = PredictionFile(output, made_with)
    try:
        with StopRequest() as stop, ThreadPoolExecutor(workers) as pool:
            asked = _judged_before(rows, images, pool)
            found = {path for path, _ in asked}
            waiting = [path for path in images if path not in found]
            done = len(found)

            def opened(start: int) -> list[Opened | Prediction]:
                return list(pool.map(partial(_opened, detector), waiting[start : start + BATCH]))

            # One thread opens ahead, so that no more than a few batches of images are held at a time.
            for batch in prefetched(opened, range(0, len(waiting), BATCH), 1):
                readable = [one for one in batch if isinstance(one, Opened)]
                maps = detector.maps([one.prepared for one in readable])
                judged = pool.map(partial(_judged, detector, output if heatmaps else None), readable, maps)
                added = [*judged, *(one for one in batch if isinstance(one, Prediction))]
                rows.add(added)
                asked |= {(row.path, row.sha256) for row in added}
                done += len(batch)
                progress(done, len(images))
                if stop.requested and done < len(images):
                    raise Interrupted(f"stopped after {done} of {len(images)} images as asked; run again to go on")
        return rows.summary(asked)
    finally:
        rows.close()


def _judged_before(rows: PredictionFile, images: list[str], pool: ThreadPoolExecutor) -> set[Judged]:
    """Those of `images` that have a row; of which another one lies at its path now, is said."""
    known = {path for path, _ in rows.judged}
    again = [path for path in images if path in known]
    digests = set(zip(again, pool.map(_digest, again), strict=True))
    if changed := sorted(path for path, _ in digests - rows.judged):
        print(f"dfsc: judged again, as another file lies there now: {listed(changed)}", file=sys.stderr)
    return digests & rows.judged


def _digest(path: str) -> str:
    """SHA-256 of a file; nothing of one that cannot be read."""
    try:
        return sha256_of(Path(path))
    except OSError:
        return ""


def _opened(detector: Detector, path: str) -> Opened | Prediction:
    digest = _digest(path)
    try:
        image = decode_image(Path(path))
        return Opened(path, digest, image, detector.prepared(image))
    except UserError as error:
        reason = " ".join(str(error).removeprefix(f"{path}: ").split())
        return Prediction(path, UNREADABLE, reason=reason, sha256=digest)


def _judged(detector: Detector, output: Path | None, opened: Opened, small: NDArray[np.float32]) -> Prediction:
    """The image's row. Its heatmap is written first, so that an image with a row has one."""
    verdict = detector.verdict(small, opened.prepared.height, opened.prepared.width)
    if output is not None:
        drawn = overlay(opened.image, verdict.anomaly_map, detector.full_scale)
        with written_whole(heatmap_of(output, opened.path)) as temporary:
            drawn.save(temporary, "JPEG", quality=90)
    said, percentile = ACCEPTED if verdict.accepted else REJECTED, round(verdict.percentile, 1)
    return Prediction(
        opened.path, said, verdict.score, percentile, verdict.x, verdict.y, sha256=opened.sha256
    )  # fmt: skip


def heatmap_of(output: Path, path: str) -> Path:
    """Where the heatmap of an image is written: below `output`, at the image's own path."""
    place = Path(path)
    if place.is_absolute() or ".." in place.parts:
        place = Path(os.path.normpath(place.absolute())).relative_to("/")
    return output / "heatmaps" / f"{place}.jpg"
