"""The exported graph says what the detector says, to rounding, of images of any size; and says it without `dfsc`."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

from dfsc import __version__ as dfsc_version
from dfsc.files import sha256_of
from dfsc.inference import Detector
from dfsc.inference.exported import DETECTOR, ONNXRUNTIME, compare_runtimes, run_export
from dfsc.model.export import Graph, resize_as_pillow
from dfsc.model.maps import PADDING_MODES
from dfsc.model.trained import load_model
from support.command_line import dfsc
from support.models import save_calibrated

# Width and height: LOCO's, tall and broad, which Pillow resizes rows or columns first, and smaller than the network's.
WHOLE_RANGE = [(64, 96), (96, 64), (64, 64), (65, 64), (200, 130), (130, 301), (500, 70), (70, 500), (1700, 1000)]
ALONE = """
import json, sys
import numpy as np
import onnxruntime

assert not any(name.split(".")[0] in ("dfsc", "torch", "PIL") for name in sys.modules)
session = onnxruntime.InferenceSession(sys.argv[1])
found = session.get_modelmeta().custom_metadata_map
images = np.load(sys.argv[2])
said = [session.run(None, {"image": images[name]}) for name in images.files]
print(json.dumps({"metadata": found, "scores": [float(score) for _, score in said],
                  "shapes": [full.shape for full, _ in said], "names": images.files}))
"""


def photograph(width: int, height: int, seed: int = 0) -> Image.Image:
    """Smooth shapes with noise on them."""
    random = np.random.default_rng([width, height, seed])
    small = Image.fromarray(random.integers(0, 255, (7, 5, 3)).astype(np.uint8)).resize((width, height))
    noisy = np.asarray(small) + random.integers(-20, 20, (height, width, 3))
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of random weights, its export, and images of many sizes."""
    folder = tmp_path_factory.mktemp("exported")
    save_calibrated(folder / "model.pt", "tiny", 64)
    (folder / "images").mkdir()
    for number, (width, height) in enumerate(WHOLE_RANGE):
        photograph(width, height).save(folder / f"images/{number}.png")
    outcome = dfsc(
        *("export", folder / "model.pt", "--output", folder / "model.onnx", "--check", folder / "images"),
        *("--threads", 1, "--false-alarm-rate", "0.2"),
    )
    assert outcome.code == 0, outcome.errors
    return folder


@pytest.mark.parametrize("size", [64, 256])
def test_resizing_is_pillows_bit_for_bit(size: int) -> None:
    random = np.random.default_rng(size)
    sizes = [*WHOLE_RANGE, (1600, 1280), (800, 1600), (1, 1), (3, 2000), (size, size), (size, 500), (500, size)]
    sizes += [(2 * size, 3 * size), (2 * size, 3 * size + 1)]  # on both sides of where Pillow takes the rows first
    for width, height in [*sizes, *random.integers(1, 600, (40, 2)).tolist()]:
        pixels = random.integers(0, 256, (height, width, 3)).astype(np.uint8)
        wanted = np.asarray(Image.fromarray(pixels).resize((size, size), Image.Resampling.BILINEAR))
        found = resize_as_pillow(torch.from_numpy(pixels), size).permute(1, 2, 0).numpy()
        np.testing.assert_array_equal(found, wanted, err_msg=f"{width} x {height}")


@pytest.mark.parametrize("padding", PADDING_MODES)
def test_the_graph_pads_as_the_detector_does(folder: Path, padding: str) -> None:
    detector = Detector(load_model(folder / "model.pt"), 0.2, padding)
    graph = Graph(detector.model.network, padding).eval()
    for width, height in WHOLE_RANGE:
        image = photograph(width, height)
        verdict = detector(image)
        full, score = (value.numpy() for value in graph(torch.from_numpy(np.array(image))))
        assert float(score) == pytest.approx(verdict.score, rel=1e-5)
        np.testing.assert_allclose(full, verdict.anomaly_map, rtol=1e-4, atol=1e-5)


def test_it_runs_where_nothing_of_dfsc_is(folder: Path, tmp_path: Path) -> None:
    pictures = {str(number): np.asarray(photograph(*size)) for number, size in enumerate(WHOLE_RANGE)}
    np.savez(tmp_path / "images.npz", **pictures)  # type: ignore[arg-type]
    command = [sys.executable, "-I", "-c", ALONE, str(folder / "model.onnx"), str(tmp_path / "images.npz")]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    said = json.loads(run.stdout)
    detector = Detector.load(folder / "model.pt", 0.2, device="cpu")
    for name, score, shape in zip(said["names"], said["scores"], said["shapes"], strict=True):
        verdict = detector(pictures[name])
        assert score == pytest.approx(verdict.score, rel=1e-5) and shape == list(verdict.anomaly_map.shape)
        assert (score <= json.loads(said["metadata"]["threshold"])) == verdict.accepted
    metadata = said["metadata"]
    assert json.loads(metadata["threshold"]) == detector.threshold and metadata["padding"] == "zero"
    assert json.loads(metadata["validation_scores"]) == detector.validation_scores.tolist()
    assert {"category", "settings", "fingerprint", "data_digest", "teacher_digest", "model_digest"} <= metadata.keys()


@pytest.mark.parametrize("padding", PADDING_MODES)
def test_an_export_says_with_what_it_was_made_and_pads_so(folder: Path, tmp_path: Path, padding: str) -> None:
    model, file = folder / "model.pt", tmp_path / "model.onnx"
    arguments = ("--padding", padding, "--false-alarm-rate", 0.3, "--threads", 1)
    assert dfsc("export", model, "--output", file, *arguments).code == 0
    session = onnxruntime.InferenceSession(file)
    said, detector = session.get_modelmeta().custom_metadata_map, Detector(load_model(model), 0.3, padding)
    told = {name: json.loads(said[name]) for name in ("threshold", "false_alarm_rate", "validation_scores")}
    assert told["threshold"] == detector.threshold and told["false_alarm_rate"] == 0.3
    assert told["validation_scores"] == load_model(model).validation_scores[padding].double().tolist()
    assert said["padding"] == padding and said["model_digest"] == sha256_of(model)
    assert said["dfsc_version"] == dfsc_version and load_model(model).origin.items() <= said.items()
    full, _ = session.run(None, {"image": np.array(photograph(200, 130))})
    np.testing.assert_allclose(full, detector(photograph(200, 130)).anomaly_map, rtol=1e-4, atol=1e-5)


def test_a_comparison_says_what_differs(folder: Path) -> None:
    """Of the same images: another model's export is far away, and its own is near. Of low scores, 0.1 is the unit."""
    images = sorted(str(path) for path in (folder / "images").iterdir())[:4]
    save_calibrated(folder / "other.pt", "tiny", 64, seed=1)
    low = load_model(folder / "model.pt")
    low.network.map_quantiles[:, 1] += 1000
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    for model, near in (
        (load_model(folder / "model.pt"), True),
        (load_model(folder / "other.pt"), False),
        (low, False),
    ):
        detector, maps, scores, changed, spent = Detector(model, 0.2), [], [], [], []
        for path in images:
            pixels = np.array(Image.open(path))
            began = time.perf_counter()
            verdict = detector(pixels)
            spent.append(1000 * (time.perf_counter() - began))
            full, score = session.run(None, {"image": pixels})
            maps.append(np.abs(full - verdict.anomaly_map).max())
            scores.append(abs(score - verdict.score) / max(abs(verdict.score), 0.1))
            changed += [path] if (score <= detector.threshold) != verdict.accepted else []
        compared = compare_runtimes(detector, folder / "model.onnx", images, 1, lambda done, total: None)
        own, found = (next(one for one in compared if one.runtime == name) for name in (DETECTOR, ONNXRUNTIME))
        assert (found.score_difference < 1e-5) == near and (found.map_difference < 1e-4) == near
        assert (found.map_difference, found.score_difference) == pytest.approx((max(maps), max(scores)), abs=1e-4)
        assert found.changed == changed
        assert (own.map_difference, own.score_difference, own.changed) == (0, 0, [])
        # What is told apart is ms from s: the machine may be busy.
        assert 0.03 < own.milliseconds / sorted(spent)[1] < 30 and found.milliseconds > 0
    assert max(abs(detector(Image.open(path)).score) for path in images) < 0.1 and changed


def test_an_export_that_changes_a_verdict_is_not_written(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it would if Pillow resized in another way than the graph: here the graph takes the nearest pixel."""

    def nearest(image: torch.Tensor, size: int) -> torch.Tensor:
        pixels = image.permute(2, 0, 1)[None].float()
        return torch.nn.functional.interpolate(pixels, (size, size), mode="nearest")[0]

    monkeypatch.setattr("dfsc.model.export.resize_as_pillow", nearest)
    image = folder / "images/4.png"
    detector = Detector.load(folder / "model.pt", 0.2, device="cpu")
    wrong = Graph(detector.model.network, "zero")(torch.from_numpy(np.array(Image.open(image))))[1]
    between = (float(wrong) + detector(image).score) / 2
    save_calibrated(tmp_path / "model.pt", "tiny", 64, scores=[between] * 19)
    arguments = ("export", tmp_path / "model.pt", "--output", tmp_path / "model.onnx", "--threads", 1)
    outcome = dfsc(*arguments, "--check", image)
    assert outcome.code == 1 and "changes the verdict on 1 of 1 images" in outcome.errors
    assert outcome.errors.count("\n") == 1 and not list(tmp_path.glob("*.onnx*"))


@pytest.mark.parametrize("size", ["S", "M"])
def test_published_sizes(size: str, tmp_path: Path) -> None:
    save_calibrated(tmp_path / "model.pt", size, 256)
    images = []
    for number, (width, height) in enumerate([(96, 64), (1700, 1000)] if size == "M" else [(64, 96), (800, 1600)]):
        images.append(str(tmp_path / f"{number}.png"))
        photograph(width, height).save(images[-1])
    detector = Detector.load(tmp_path / "model.pt", 0.2, device="cpu")
    found = run_export(detector, tmp_path / "model.pt", tmp_path / "model.onnx", images, 1, lambda done, total: None)
    (compared,) = (one for one in found if one.runtime == ONNXRUNTIME)
    assert compared.score_difference < 1e-5 and compared.changed == []
