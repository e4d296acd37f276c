"""How fast images are judged: the time that one alone takes, and how many a second are judged in batches.

Measured as Batzner et al. 2024 (section 4) do: from an image of the network's size in memory to its image score.
"""

import platform
import statistics
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from dfsc.errors import UserError
from dfsc.files import write_json
from dfsc.inference.score import anomaly_maps
from dfsc.model.maps import image_score
from dfsc.model.networks import EfficientAD
from dfsc.provenance import commit
from dfsc.settings.leaves import Size
from dfsc.settings.scoring import ScoringSettings
from dfsc.training.device import describe_device

ALONE, TOGETHER = 1, 16  # images in a batch
LEAST_TIMES, LEAST_SECONDS = 3, 2.0  # that a batch is judged; the median counts


class Speed(NamedTuple):
    """What was measured, and where."""

    latency_ms: float  # of one image alone
    images_per_second: float  # in batches of 16
    measured_on: str  # hardware, precision, side of the images in pixels


def measure_speed(size: Size, image_size: int, settings: ScoringSettings, device: torch.device) -> Speed:
    """The speed of networks of a size on images of `image_size` pixels, on a device.

    Their weights are random: no speed depends on them, nor on the method that trained them.
    Raises UserError for an image size that the networks do not take.
    """
    try:
        network = EfficientAD(size, image_size).eval().requires_grad_(False)
    except ValueError as error:
        raise UserError(str(error)) from error

    def seconds(batch: int) -> float:
        images = np.random.default_rng(0).integers(0, 256, (batch, image_size, image_size, 3), np.uint8)
        spent: list[float] = []
        while len(spent) <= LEAST_TIMES or sum(spent[1:]) < LEAST_SECONDS:
            began = time.perf_counter()
            for small in anomaly_maps(network, images, device, settings.precision):
                image_score(small, settings.padding, image_size, image_size)
            spent.append(time.perf_counter() - began)
        return statistics.median(spent[1:])  # the first time prepares what the others use

    alone, together = seconds(ALONE), seconds(TOGETHER)
    precision = settings.precision if device.type == "cuda" else "float32"
    measured_on = f"{_hardware(device)}, {precision}, {image_size} px"
    return Speed(1000 * alone, TOGETHER / together, measured_on)


def write_speed(path: Path, speed: Speed) -> None:
    """Write a speed as JSON, for the table of costs, and the commit that has it."""
    write_json(path, {**speed._asdict(), "commit": commit()})


def _hardware(device: torch.device) -> str:
    described = describe_device(device)
    return described if device.type == "cuda" else described.replace("CPU", processor(), 1)


def processor() -> str:
    """The name of this machine's processor."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
