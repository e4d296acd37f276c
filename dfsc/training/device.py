"""Where and how exactly torch computes."""

import ctypes
import fcntl
import os
import platform
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, cast, get_args

import torch
from torch import nn

from dfsc.errors import UserError
from dfsc.settings.leaves import DeviceName, Precision

MALLOC_OPTIONS = {-4: 0, -1: 2**31 - 1, -8: 1}  # malloc.h: M_MMAP_MAX, M_TRIM_THRESHOLD, M_ARENA_MAX
Function = TypeVar("Function", bound=Callable[..., Any])
Module = TypeVar("Module", bound=nn.Module)


def choose_device(name: DeviceName, threads: int) -> torch.device:
    """'auto' takes CUDA where there is one; `threads` bounds torch's on the CPU, where their number shapes the bits.

    Raises UserError for another name, and if CUDA is asked for and absent.
    """
    if name not in get_args(DeviceName):
        raise UserError(
            f"--device {name}: is none of {', '.join(get_args(DeviceName))}; CUDA_VISIBLE_DEVICES chooses among GPUs"
        )
    torch.set_num_threads(threads)
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: torch sees no CUDA device; use --device auto or cpu")
    if name == "cpu" or not torch.cuda.is_available():
        keep_freed_memory()
        return torch.device("cpu")
    return torch.device("cuda", claimed_gpu(torch.cuda.device_count()))


def keep_freed_memory() -> None:
    """Let the C library use freed memory again instead of returning it: page faults took a fifth of a step on a CPU."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # another C library than glibc
        return
    for option, value in MALLOC_OPTIONS.items():
        mallopt(option, value)


def claimed_gpu(count: int, folder: str = tempfile.gettempdir()) -> int:
    """Claim one of `count` GPUs until this process ends: the first that fewest of this user's processes hold.

    Where Slurm hands out the GPUs, a job sees its own alone. Returns the GPU's index.
    """
    held = 0
    while True:
        index, place = held % count, held // count
        # Never closed: the lock lasts as long as this process.
        claim = os.open(Path(folder, f"dfsc-{os.getuid()}-gpu{index}-{place}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return index
        except BlockingIOError:
            os.close(claim)
            held += 1


def computing(device: torch.device, precision: Precision) -> AbstractContextManager[Any]:
    """Set the precision of matrix products and convolutions on CUDA; the CPU always computes in float32."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision != "float32"
    if device.type == "cuda" and precision in ("bfloat16", "float16"):
        return torch.autocast("cuda", dtype=getattr(torch, precision))
    return nullcontext()


def placed(module: Module, device: torch.device) -> Module:
    """The module on the device; on CUDA with channels last, as convolutions in TF32 and half precision want them."""
    layout = torch.channels_last if device.type == "cuda" else torch.preserve_format
    return module.to(device=device, memory_format=layout)  # type: ignore[call-overload, no-any-return]


def compiled(function: Function) -> Function:
    """The function compiled by torch; if that fails, as it is written."""
    fast = torch.compile(function, fullgraph=True)

    @wraps(function)
    def call(*arguments: Any) -> Any:
        nonlocal fast
        try:
            return fast(*arguments)
        except Exception as error:  # whatever the compiler, or a missing C compiler, leads to
            if fast is function:
                raise
            print(f"dfsc: not compiled, so slower ({type(error).__name__})", file=sys.stderr, flush=True)
            fast = function
        return function(*arguments)

    return cast(Function, call)


def describe_device(device: torch.device) -> str:
    """The hardware's name, as results record it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.get_num_threads()} thread{'s' if torch.get_num_threads() > 1 else ''}"


def computed_on(device: torch.device) -> list[object]:
    """All of hardware and torch that shapes compiled code, or the last bits of a result, JSON."""
    if device.type == "cuda":
        made_for: list[object] = [*torch.cuda.get_device_capability(device), torch.version.cuda]
    else:
        made_for = [platform.machine(), torch.backends.cpu.get_cpu_capability()]
    return [describe_device(device), torch.__version__, *made_for]
