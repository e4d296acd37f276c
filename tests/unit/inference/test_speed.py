"""Speed: what is measured is scoring itself, and it is told of the hardware that it was measured on."""

import json
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from dfsc.inference.score import anomaly_maps
from dfsc.model.networks import EfficientAD
from dfsc.provenance import commit
from support.command_line import dfsc

SETTINGS = '{"padding": "minimum", "precision": "float16"}'


def test_a_speed_is_that_of_scoring_on_this_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--size", "tiny", "--image-size", 96, "--settings", SETTINGS, "--device", "cpu")
    assert dfsc("speed", *arguments, "--output", tmp_path / "speed.json").code == 0
    found = json.loads((tmp_path / "speed.json").read_text())
    assert f"tiny: {found['latency_ms']:.1f} ms for one image" in capsys.readouterr().out
    # A CPU computes in float32 whatever is asked for.
    assert found["measured_on"].endswith(", 1 thread, float32, 96 px") and "CPU" not in found["measured_on"][:3]

    assert found["commit"] == commit()

    network = EfficientAD("tiny", 96).eval()
    seconds = {1: list[float](), 16: list[float]()}
    for batch, spent in seconds.items():
        images = np.zeros((batch, 96, 96, 3), np.uint8)
        for _ in range(5):
            began = time.perf_counter()
            anomaly_maps(network, images, torch.device("cpu"), "float32")
            spent.append(time.perf_counter() - began)
    # The machine may be busy with one of the two: what is told apart is a batch from an image, and s from ms.
    assert 0.1 < found["latency_ms"] / (1000 * min(seconds[1])) < 10
    assert 0.1 < found["images_per_second"] / (16 / min(seconds[16])) < 10


def test_an_image_size_that_no_network_takes_is_refused(tmp_path: Path) -> None:
    arguments = ("--size", "tiny", "--image-size", 70, "--settings", SETTINGS, "--output", tmp_path / "speed.json")
    outcome = dfsc("speed", *arguments)
    assert outcome.code == 2 and "multiple of 32" in outcome.errors and not list(tmp_path.iterdir())
