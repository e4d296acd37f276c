"""Work on a GPU that is alike at each call, recorded once and replayed: to launch it takes longer than to do it."""

import sys
from collections import Counter
from collections.abc import Callable, Hashable
from threading import Lock
from typing import NamedTuple

import torch
from torch import Tensor

BEFORE = 3  # calls, by which all is compiled and allocated that a recording must not do


class Recording(NamedTuple):
    """A CUDA graph, which reads and writes at fixed places."""

    graph: torch.cuda.CUDAGraph
    given: list[Tensor]
    found: Tensor


class Replay:
    """What a function of tensors does on a GPU, recorded as a CUDA graph that one call launches.

    A recording does the same work at the same places. So whoever calls names by a key all that the work depends on
    beside the tensors given, which are copied to their places; weights change in place alone. Random numbers are drawn
    as without: from torch's seed at each call.

    Attributes: `replays`, how often a recording was used.
    """

    def __init__(self) -> None:
        self.replays = 0
        self._calls = Counter[Hashable]()
        self._recorded: dict[Hashable, Recording] = {}
        self._refused = False
        self._lock = Lock()  # two threads would write to one recording's places
        self._stream: torch.cuda.Stream | None = None

    def __call__(self, function: Callable[..., Tensor], key: Hashable, *given: Tensor) -> Tensor:
        """`function(*given)`; as it is, on a CPU, in the first calls, and if it cannot be recorded."""
        if given[0].device.type != "cuda" or self._refused:
            return function(*given)
        key = (key, *((tensor.shape, tensor.dtype, tensor.stride()) for tensor in given))
        with self._lock, torch.cuda.device(given[0].device):  # or another GPU's stream would be recorded
            return self._replayed(function, key, given)

    def _replayed(self, function: Callable[..., Tensor], key: Hashable, given: tuple[Tensor, ...]) -> Tensor:
        self._calls[key] += 1
        if self._calls[key] <= BEFORE:
            return self._beside(function, given)
        if key not in self._recorded:
            try:
                self._recorded[key] = self._record(function, given)
            except RuntimeError as error:
                print(f"dfsc: not recorded, so slower ({type(error).__name__})", file=sys.stderr, flush=True)
                self._refused = True
                return function(*given)
        self.replays += 1
        recording = self._recorded[key]
        for place, tensor in zip(recording.given, given, strict=True):
            place.copy_(tensor)
        recording.graph.replay()
        return recording.found.clone()

    def _beside(self, function: Callable[..., Tensor], given: tuple[Tensor, ...]) -> Tensor:
        """Call on the stream that is recorded later: torch remembers on which a gradient was first added up."""
        current = torch.cuda.current_stream()
        self._stream = self._stream or torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            found = function(*given)
        current.wait_stream(self._stream)
        return found

    def _record(self, function: Callable[..., Tensor], given: tuple[Tensor, ...]) -> Recording:
        """Record a call, which does nothing yet. Other threads, which load images, go on."""
        places, graph = [tensor.clone() for tensor in given], torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
            found = function(*places)
        return Recording(graph, places, found)
