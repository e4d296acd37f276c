"""Where and how exactly torch computes."""

import fcntl
import os
import tempfile
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Literal

import torch

from dfsc.errors import UserError

Precision = Literal["float32", "tf32", "bfloat16"]


def choose_device(name: str, threads: int) -> torch.device:
    """'auto' takes CUDA where there is one; `threads` bounds torch's on the CPU, where their number shapes the bits.

    Raises UserError if CUDA is asked for and absent.
    """
    torch.set_num_threads(threads)
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: torch sees no CUDA device; use --device auto or cpu")
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", claimed_gpu(torch.cuda.device_count()))


def claimed_gpu(count: int, folder: str = tempfile.gettempdir()) -> int:
    """Claim one of `count` GPUs that no other process of this user's holds, until this process ends; returns its index.

    Where Slurm hands out the GPUs, a job sees its own alone. If all are held, the first is shared.
    """
    for index in range(count):
        # Never closed: the lock lasts as long as this process.
        claim = os.open(Path(folder, f"dfsc-{os.getuid()}-gpu{index}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(claim)
            continue
        return index
    return 0


def computing(device: torch.device, precision: Precision) -> AbstractContextManager[Any]:
    """Set the precision of matrix products and convolutions on CUDA; the CPU always computes in float32."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision != "float32"
    if precision == "bfloat16" and device.type == "cuda":
        return torch.autocast("cuda", dtype=torch.bfloat16)
    return nullcontext()


def describe_device(device: torch.device) -> str:
    """The hardware's name, as results record it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.get_num_threads()} thread{'s' if torch.get_num_threads() > 1 else ''}"
