"""What is recorded beside trained weights: the training curve, and what the training cost."""

import resource
import time
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from dfsc.files import write_text
from dfsc.training.loop import TrainingLog


def write_curve(path: Path, log: TrainingLog) -> None:
    """Write the curve as CSV: `step`, and a column per loss."""
    write_text(path, pd.DataFrame(log.curve).to_csv(index=False))


def cost(log: TrainingLog, device: torch.device) -> dict[str, Any]:
    """Seconds, those on a GPU, bytes of memory held at most (on CUDA, of the device), and when it began and ended."""
    peak = (
        torch.cuda.max_memory_allocated(device)
        if device.type == "cuda"
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    )
    return {
        "seconds": round(log.seconds, 1),
        "gpu_seconds": round(log.seconds, 1) if device.type == "cuda" else 0.0,
        "peak_memory_bytes": peak,
        "started": _utc(log.started),  # of the first attempt
        "finished": _utc(time.time()),
    }


def _utc(seconds: float) -> str:
    return time.strftime("%FT%TZ", time.gmtime(seconds))
