"""The benchmark of a GPU, on a CPU: its checks notice faults, and its budget keeps what was found."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.gpu.__main__ import BUDGET, LAST, parts_of
from benchmarks.gpu.agreement import resumed, with_compiled, with_the_cpu
from benchmarks.gpu.report import Figure, Part, Report, at_least, at_most, run_parts
from benchmarks.gpu.scale import Scale, on_cpu
from dfsc.files import write_text
from dfsc.training.student import ModelLearner

Fault = Callable[[ModelLearner], None]


class Faulty(Scale):
    """A scale whose learners have a fault, except what they are held against: the CPU's, and those as written."""

    fault: Fault

    def learner(self, device: torch.device | None = None, *arguments: Any, **changes: Any) -> ModelLearner:
        learner = super().learner(device, *arguments, **changes)
        if device is None and changes.get("compiled", True):
            self.fault(learner)
        return learner


def wrong_weights(learner: ModelLearner) -> None:
    """Every weight of the student is one per cent too large."""
    with torch.no_grad():
        for weight in learner.model.student.parameters():
            weight.mul_(1.01)


def same_dropout(learner: ModelLearner) -> None:
    """Nothing is drawn."""
    for layer in learner.model.modules():
        if isinstance(layer, torch.nn.Dropout):
            layer.p = 0.0


def forgetful(learner: ModelLearner) -> None:
    """The optimiser's state is not resumed."""
    learner.optimizer.load_state_dict = lambda state: None  # type: ignore[assignment]


def scale_with(folder: Path, fault: Fault) -> Scale:
    """A scale of the CPU, with a fault."""
    scale = Faulty(**vars(on_cpu(folder, folder / "generated")))
    object.__setattr__(scale, "fault", fault)  # it is frozen
    return scale


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the pictures are, written once."""
    return tmp_path_factory.mktemp("scale")


@pytest.mark.parametrize(
    ("check", "fault", "noticed"),
    [
        (with_the_cpu, wrong_weights, {"losses", "gradient"}),
        (with_compiled, wrong_weights, {"losses", "gradient", "weights"}),
        (with_compiled, same_dropout, {"gradient, compiled, of other dropout"}),
        (partial(resumed, compiled=True), forgetful, {"weights of a resumed training"}),
    ],
)
def test_a_check_notices_what_it_checks_and_nothing_else_does(
    folder: Path, check: Callable[[Scale], Iterator[Figure]], fault: Fault, noticed: set[str]
) -> None:
    figures = list(check(scale_with(folder, fault)))
    red = [figure.what for figure in figures if figure.held is False]
    assert all(any(what.startswith(name) for what in red) for name in noticed), figures
    assert all(any(what.startswith(name) for name in noticed) for what in red), figures


def test_what_was_found_is_written_as_it_comes_whatever_happens_next(tmp_path: Path) -> None:
    output = tmp_path / "found.md"
    report = Report("a card", partial(write_text, output))

    def stuck() -> Iterator[Figure]:
        yield Figure("a figure", "1 ms")
        assert "a figure | 1 ms" in output.read_text()
        time.sleep(60)

    def failing() -> Iterator[Figure]:
        raise RuntimeError("no\nmemory")
        yield

    def sound() -> Iterator[Figure]:
        yield Figure("another", "2 ms")

    parts = [Part("stuck", 1, stuck), Part("failing", 1, failing), Part("large", 100, sound), Part("sound", 1, sound)]
    run_parts(parts, 90, report)
    text = output.read_text()
    assert text == report.text()
    for line in (
        "Not measured: stuck: stopped",
        "failed (RuntimeError: no memory)",
        "large: left out",
        "another | 2 ms",
    ):
        assert line in text, line
    assert report.faults == 2


def test_a_check_that_does_not_hold_is_a_fault_and_a_missed_goal_is_none() -> None:
    report = Report("a card", lambda text: None)
    for figure, faults in (
        (at_most("a check", 2, 2), 0),
        (at_least("a goal", 5, 6), 0),
        (at_most("a goal", 5, 4, goal=True), 0),
        (at_most("no number", float("nan"), 4), 1),
        (at_most("a check", 2.1, 2), 2),
    ):
        report.add(figure)
        assert report.faults == faults, figure
    assert report.text().count("no, a goal") == 2


def test_all_but_the_largest_networks_fit_into_nine_minutes(tmp_path: Path) -> None:
    parts = parts_of(Scale(torch.device("cuda"), tmp_path, tmp_path, 6))
    assert sum(part.share for part in parts if LAST not in part.name) <= BUDGET < 9 * 60
