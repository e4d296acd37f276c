"""A detector as an ONNX file, and whether that file says of real images what the detector says."""

import importlib.util
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import dfsc
from dfsc.data.images import decode_image
from dfsc.errors import RunFailed, UserError, listed
from dfsc.files import sha256_of, written_whole
from dfsc.inference.detector import Detector
from dfsc.inference.threshold import SMALLEST_SCORE
from dfsc.model.export import export_graph

Judged = tuple[NDArray[np.float32], float]  # map [height, width], image score
Runtime = Callable[[NDArray[np.uint8]], Judged]  # of an image, [height, width, 3]
DETECTOR, ONNXRUNTIME = "dfsc (torch)", "onnxruntime"


class Compared(NamedTuple):
    """A runtime against the detector itself, over the images of a check."""

    runtime: str
    map_difference: float  # the greatest of any pixel
    score_difference: float  # the greatest, relative to the score, or to 0.1 where the score is below that
    changed: list[str]  # the images whose verdict differs
    milliseconds: float  # for an image in memory, one at a time: the median


def metadata(detector: Detector, model: Path) -> dict[str, str]:
    """What a detector's ONNX file says of itself; numbers and lists as JSON."""
    return {
        "dfsc_version": dfsc.__version__,
        "model_digest": sha256_of(model),
        "padding": detector.padding,
        "threshold": json.dumps(detector.threshold),
        "false_alarm_rate": json.dumps(detector.false_alarm_rate),
        "validation_scores": json.dumps(detector.validation_scores.tolist()),
        **detector.model.origin,
    }


def run_export(
    detector: Detector,
    model: Path,
    output: Path,
    images: Sequence[str],
    threads: int,
    progress: Callable[[int, int], None],
) -> list[Compared]:
    """Write the detector of the file `model` as ONNX; with `images`, check it on them first.

    Returns the comparisons, of the detector itself and each runtime that is installed. Raises UserError if a package is
    not installed or an image cannot be read, and RunFailed, writing nothing, if onnxruntime changes a verdict.
    """
    with written_whole(output) as temporary:
        export_graph(detector.model.network, detector.padding, metadata(detector, model), temporary)
        compared = compare_runtimes(detector, temporary, images, threads, progress) if images else []
        for runtime in compared:
            if runtime.runtime == ONNXRUNTIME and runtime.changed:
                raise RunFailed(
                    f"{output}: is not written, as {ONNXRUNTIME} changes the verdict on {len(runtime.changed)} of "
                    f"{len(images)} images: {listed(runtime.changed)}"
                )
    return compared


def compare_runtimes(
    detector: Detector, exported: Path, images: Sequence[str], threads: int, progress: Callable[[int, int], None]
) -> list[Compared]:
    """Judge each image by the detector and by each runtime, on `threads` threads."""
    runtimes = {DETECTOR: _of_detector(detector), **dict(_installed(exported, threads))}
    seen: dict[str, list[tuple[float, float, float, float]]] = {name: [] for name in runtimes}
    for done, path in enumerate(images, start=1):
        pixels = np.array(decode_image(Path(path)))
        for name, judge in runtimes.items():
            if done == 1:
                judge(pixels)  # what is prepared once is no part of the time
            began = time.perf_counter()
            full, score = judge(pixels)
            spent = time.perf_counter() - began
            if name == DETECTOR:
                own_map, own = full, score
            relative = abs(score - own) / max(abs(own), SMALLEST_SCORE)
            seen[name].append((float(np.abs(full - own_map).max()), relative, score, spent))
        progress(done, len(images))
    accepted = {name: [one[2] <= detector.threshold for one in found] for name, found in seen.items()}
    return [
        Compared(
            name,
            max(one[0] for one in found),
            max(one[1] for one in found),
            [path for path, old, new in zip(images, accepted[DETECTOR], accepted[name], strict=True) if old != new],
            1000 * median(one[3] for one in found),
        )
        for name, found in seen.items()
    ]


def _of_detector(detector: Detector) -> Runtime:
    def judge(pixels: NDArray[np.uint8]) -> Judged:
        verdict = detector(pixels)
        return verdict.anomaly_map, verdict.score

    return judge


def _installed(exported: Path, threads: int) -> Iterator[tuple[str, Runtime]]:
    """Name and runtime of all that are installed; onnxruntime must be."""
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError("onnxruntime: is not installed; pip install 'dfsc[export]'") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(exported), options, providers=["CPUExecutionProvider"])

    def judge(pixels: NDArray[np.uint8]) -> Judged:
        full, score = session.run(None, {"image": pixels})
        return full, float(score)

    yield ONNXRUNTIME, judge
    if importlib.util.find_spec("openvino"):
        limits = {"INFERENCE_NUM_THREADS": threads}
        yield "OpenVINO, float32", _openvino(exported, {**limits, "INFERENCE_PRECISION_HINT": "f32"})
        yield "OpenVINO, as it chooses", _openvino(exported, limits)


def _openvino(exported: Path, options: Mapping[str, Any]) -> Runtime:
    import openvino

    compiled = openvino.Core().compile_model(str(exported), "CPU", dict(options))

    def judge(pixels: NDArray[np.uint8]) -> Judged:
        full, score = compiled({"image": pixels}).values()
        return np.array(full), float(score)

    return judge
