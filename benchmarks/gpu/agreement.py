"""Whether the GPU computes what the CPU does, compiled code what it is compiled from, a resumed training the same."""

import io
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import torch
from torch import Tensor
from torch._dynamo.utils import counters

from benchmarks.gpu.report import Figure, at_most
from benchmarks.gpu.scale import READING, Scale, forget_compiled
from benchmarks.timing import CPU
from dfsc.errors import Interrupted
from dfsc.settings.training import DfscSettings
from dfsc.training.checkpoint import Checkpoint
from dfsc.training.loop import LoopOptions, run_steps
from dfsc.training.student import ModelLearner

# Relative differences that are allowed in float32, where sums run in another order.
LOSSES, GRADIENTS = 1e-4, 1e-3
# Of what a few dozen steps changed of the weights. Adam divides by a gradient's size, so that rounding moves weights
# whose gradient is nearly 0; a fault moves most of them. So the difference that mere rounding makes is measured, too.
LARGER, ROUNDING = 3, 1e-3  # times that difference; and what is allowed to compiled code anyway
OTHER = 1e-5  # by which gradients differ, at least, if dropout does
COMPARED = 6  # steps, among them those that replay graphs: these are recorded in the first ones
READINGS: dict[str, DfscSettings | None] = {"EfficientAD": None, "DFSC": READING}


class Computed(NamedTuple):
    """What one step gives, float64 on the CPU."""

    losses: Tensor  # by name, in order
    gradient: Tensor  # of their sum; all learned weights in a row


def computed(learner: ModelLearner, step: int, images_of: int | None = None, dropout: bool = False) -> Computed:
    """Losses and gradient of a step; `images_of` another one, if given. Without dropout: devices draw it differently.

    With a learning rate of 0, the weights stay as they are.
    """
    learner.model.train(dropout)
    losses = learner.update(step, learner.draw(step if images_of is None else images_of))
    gradients = [weight.grad for weight in _learned(learner) if weight.grad is not None]
    return Computed(_flat([losses[name] for name in sorted(losses)]), _flat(gradients))


def _learned(learner: ModelLearner) -> list[Tensor]:
    return [parameter for parameter in learner.model.parameters() if parameter.requires_grad]


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([tensor.detach().double().cpu().flatten() for tensor in tensors])


def difference(found: Tensor, expected: Tensor, scale: Tensor | None = None) -> float:
    """|found - expected| / |expected|, or |scale| if given; of vectors as a whole."""
    return float((found - expected).norm() / (expected if scale is None else scale).norm())


def differences(found: Sequence[Computed], expected: Sequence[Computed]) -> tuple[float, float]:
    """The largest of a loss, and of a gradient as a whole; relative."""
    pairs = list(zip(found, expected, strict=True))
    losses = [(one.losses - other.losses).abs() / other.losses.abs().clamp_min(1e-12) for one, other in pairs]
    return float(torch.cat(losses).max()), max(difference(one.gradient, other.gradient) for one, other in pairs)


def with_the_cpu(scale: Scale) -> Iterator[Figure]:
    """Losses and gradients of this device against the CPU's in float32; in other precisions for information."""
    for name, reading in READINGS.items():
        on_cpu = scale.learner(CPU, dfsc=reading, learning_rate=0.0)
        expected = [computed(on_cpu, step) for step in range(COMPARED // 2)]
        for precision in dict.fromkeys(("float32", *scale.precisions)):
            here = scale.learner(precision=precision, dfsc=reading, learning_rate=0.0)
            found = differences([computed(here, step) for step in range(COMPARED // 2)], expected)
            for part, value, bound in zip(("losses", "gradient"), found, (LOSSES, GRADIENTS), strict=True):
                what = f"{part} of {name}-{scale.size} in {precision}, against the CPU's in float32"
                yield at_most(what, value, bound) if precision == "float32" else Figure(what, f"{value:.3g}")


def with_compiled(scale: Scale) -> Iterator[Figure]:
    """Compiled losses, gradients and weights against those as written; whether replayed graphs draw dropout anew."""
    yield from _compiled_steps(scale)
    noise, found = _steps_apart(scale)
    what = f"weights after {scale.steps} steps"
    yield Figure(f"{what}, begun a rounding apart", f"{noise:.3g}")
    yield at_most(f"{what}, compiled, against as written", found, max(LARGER * noise, ROUNDING))


def _compiled_steps(scale: Scale) -> Iterator[Figure]:
    counters.clear()
    with redirect_stderr(io.StringIO()) as said:
        as_written, compiled = (scale.learner(compiled=one, dfsc=READING, learning_rate=0.0) for one in (False, True))
        found, expected = ([computed(one, step) for step in range(COMPARED)] for one in (compiled, as_written))
        drawn = [computed(compiled, step, 0, dropout=True).gradient for step in (0, 0, 0, 1, 1, 2)][3:]
    failure, replays = " ".join(said.getvalue().split())[:300], compiled.replay.replays
    state = f"{counters['stats']['unique_graphs']} graphs compiled, {replays} steps replayed"
    held = "dfsc: not" not in failure and replays > 0  # "not compiled", "not recorded"
    if scale.device.type == "cuda":
        yield Figure("compiler", state if held else failure or state, "compiled and replayed", held)
    else:
        yield Figure("compiler", "none")
    bounds = {"losses": LOSSES, "gradient": GRADIENTS}
    for (part, bound), value in zip(bounds.items(), differences(found, expected), strict=True):
        yield at_most(f"{part}, compiled against as written", value, bound)
    same, other = (difference(gradient, drawn[0]) for gradient in drawn[1:])
    yield at_most("gradient, compiled, of the same dropout again", same, OTHER)
    yield Figure("gradient, compiled, of other dropout", f"{other:.3g}", f"above {OTHER:g}", other > OTHER)


def _steps_apart(scale: Scale) -> tuple[float, float]:
    """Differences of weights, relative to what training changed: begun a rounding apart; trained compiled."""

    def trained(compiled: bool, rounded: bool = False) -> Tensor:
        forget_compiled()
        learner = scale.learner(compiled=compiled, dfsc=READING)
        learner.model.eval()
        if rounded:
            with torch.no_grad():
                for weight in _learned(learner):
                    weight.mul_(1 + torch.finfo(weight.dtype).eps)
        for step in range(scale.steps):
            learner.update(step, learner.draw(step))
        return _flat(_learned(learner))

    began, expected = _flat(_learned(scale.learner(dfsc=READING))), trained(False)
    rounded, found = trained(False, rounded=True), trained(True)
    return difference(rounded, expected, expected - began), difference(found, expected, expected - began)


def resumed(scale: Scale, compiled: bool) -> Iterator[Figure]:
    """An interrupted and resumed training against an undisturbed one, and a second undisturbed one against that.

    As written, torch is told to compute deterministically, so that all bits should be equal. Compiled code is not, so
    that two undisturbed ones say how much is due to the order of sums.
    """
    with TemporaryDirectory(dir=scale.folder) as folder, deterministic(not compiled):

        def trained(name: str, stop_at: int | None = None) -> Tensor:
            forget_compiled()
            learner = scale.learner(precision=scale.precisions[0], compiled=compiled, dfsc=READING)
            options = LoopOptions(scale.workers, progress=partial(_stop, stop_at))
            run_steps(learner, scale.steps, Checkpoint(Path(folder), name), options)
            return _flat(_learned(learner))

        began = _flat(_learned(scale.learner(dfsc=READING)))
        first, second = trained("first"), trained("second")
        try:
            trained("third", stop_at=scale.steps // 2)
        except Interrupted:
            third = trained("third")
        else:
            raise AssertionError("the third training was not interrupted")
    noise, found = (difference(other, first, first - began) for other in (second, third))
    how = f"{'compiled' if compiled else 'as written'}, {scale.precisions[0]}"
    yield Figure(f"weights of an equal training, {how}", f"{noise:.3g}")
    bound = max(LARGER * noise, ROUNDING if compiled else 0.0)
    yield at_most(f"weights of a resumed training, {how}", found, bound)


def _stop(at: int | None, step: int, steps: int, losses: object) -> None:
    if step == at:
        os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def deterministic(chosen: bool) -> Iterator[None]:
    """Within the block, operations give the same bits each time, where torch can; it warns where not."""
    torch.use_deterministic_algorithms(chosen, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)
