"""Recorded work: on a CPU it is done as it is. That a GPU replays it right is checked by `python -m benchmarks.gpu`."""

import torch
from torch import Tensor

from dfsc.training.replay import BEFORE, Replay


def test_on_a_cpu_nothing_is_recorded_and_random_numbers_are_drawn_at_each_call() -> None:
    replay, seen = Replay(), list[Tensor]()

    def noisy(values: Tensor) -> Tensor:
        seen.append(values)
        return values + torch.rand(3)

    given = [torch.full((3,), float(number)) for number in range(BEFORE + 2)]
    torch.manual_seed(0)
    found = [replay(noisy, "a key", values) for values in given]
    torch.manual_seed(0)
    assert all(map(torch.equal, found, [values + torch.rand(3) for values in given]))
    assert all(map(torch.equal, seen, given)) and replay.replays == 0
