"""The losses, by hand and against their plain definition."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dfsc.model.losses import autoencoder_loss, hard_elements, hard_loss, masked_mean, quantile_threshold
from dfsc.settings.training import INSIDE_MARGIN, NOVEL_THRESHOLD, DfscSettings


def settings(**changes: Any) -> DfscSettings:
    """DFSC at its default reading, with changes."""
    default = DfscSettings(
        quantile=0.5, margin=1.0, margin_unit="absolute", novel_weight=1.0, split_unit="element", distance="squared",
        autoencoder_loss_over="similar", novel_loss_over="novel",
    )  # fmt: skip
    return replace(default, **changes)


# T' - A is 0, 0.1, 0.2, 2 in one channel: squared 0, 0.01, 0.04, 4; their median is 0.025.
TEACHER = torch.tensor([0.0, 0.1, 0.2, 2.0]).reshape(1, 1, 2, 2)
AUTOENCODER = torch.zeros(1, 1, 2, 2)


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=60), st.floats(0, 1))
def test_threshold_selects_what_the_interpolated_quantile_selects(values: list[int], quantile: float) -> None:
    tensor = torch.tensor(values, dtype=torch.float64)
    # Where interpolation rounds to a value just beside an element, either selection is right.
    expected = tensor >= torch.quantile(tensor, quantile, interpolation="higher")
    assert torch.equal(tensor >= quantile_threshold(tensor, quantile), expected)


def test_threshold_at_the_published_quantile() -> None:
    values = torch.randn(1, 384, 56, 56, generator=torch.Generator().manual_seed(0)).square()
    selected = values >= quantile_threshold(values, 0.999)
    assert torch.equal(selected, values >= torch.quantile(values, 0.999))
    assert selected.sum() == 1205


def test_hard_loss_averages_the_hardest() -> None:
    for quantile, expected in ((0.999, 4.0), (0.5, (0.04 + 4) / 2), (0.0, 4.05 / 4)):
        hard = hard_elements(TEACHER, AUTOENCODER, quantile)
        assert hard_loss(TEACHER, AUTOENCODER, hard) == pytest.approx(expected)


def test_baseline_averages_all() -> None:
    loss, watched = autoencoder_loss(None)(TEACHER, AUTOENCODER)
    assert loss == pytest.approx(4.05 / 4) and watched == {}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 0.005 + (0.96 + 0) / 2),  # similar 0 and 0.01; novel 0.04 and 4, hinged at 1
        ({"margin": 5.0}, 0.005 + (4.96 + 1) / 2),
        ({"novel_weight": 0.5}, 0.005 + 0.5 * 0.48),
        ({"novel_weight": 0.0}, 0.005),
        ({"autoencoder_loss_over": "all"}, 4.05 / 4 + 0.48),
        ({"novel_loss_over": "all"}, 0.005 + 0.96 / 4),  # two of the four elements are novel
        ({"distance": "root"}, 0.005 + (0.8 + 0) / 2),
        ({"quantile": 0.9}, 0.05 / 3 + 0),
        ({"margin_unit": "threshold"}, 0.005),  # the novel set begins at 0.04: no element of it is below
        ({"margin_unit": "threshold", "margin": 2.0}, 0.005 + (0.04 + 0) / 2),  # the margin is 0.08
        ({"margin_unit": "threshold", "margin": 2.0, "distance": "root"}, 0.005 + (0.2 + 0) / 2),  # twice 0.2
    ],
)
def test_dfsc_by_hand(changes: dict[str, object], expected: float) -> None:
    assert autoencoder_loss(settings(**changes))(TEACHER, AUTOENCODER)[0] == pytest.approx(expected, abs=1e-6)


# Two channels, two positions: L2 norms over the channels are 5 and 1, squared means 12.5 and 0.5.
POSITIONS = torch.tensor([[3.0, 0.6], [4.0, 0.8]]).reshape(1, 2, 1, 2)


@pytest.mark.parametrize(
    ("changes", "expected", "inside", "threshold"),
    [
        ({"margin": 7.0}, 0.5 + 2.0, 1, 5.0),
        ({"margin": 7.0, "autoencoder_loss_over": "all"}, 6.5 + 2.0, 1, 5.0),  # as digested
        ({"margin": 1.2, "margin_unit": "threshold"}, 0.5 + 1.0, 1, 5.0),
        ({"margin": 4.0}, 0.5 + 0.0, 0, 5.0),
    ],
)
def test_the_norm_over_channels_by_hand(
    changes: dict[str, Any], expected: float, inside: float, threshold: float
) -> None:
    reading = settings(**{"split_unit": "position", "distance": "norm", **changes})
    loss, watched = autoencoder_loss(reading)(POSITIONS, torch.zeros(1, 2, 1, 2))
    assert loss == pytest.approx(expected, abs=1e-5)
    assert watched == {INSIDE_MARGIN: inside, NOVEL_THRESHOLD: pytest.approx(threshold)}


@pytest.mark.parametrize("quantile", [0.5, 0.75, 0.9])
def test_over_all_elements_a_novel_one_is_pushed_alike_at_each_quantile(quantile: float) -> None:
    """A weight of half halves the pull of L_AE on what is novel and inside the margin, however few these are."""
    teacher, autoencoder = random_features(4)
    autoencoder.requires_grad_()
    reading = {"margin": 99.0, "autoencoder_loss_over": "all", "novel_loss_over": "all", "quantile": quantile}
    pulls = [
        torch.autograd.grad(autoencoder_loss(chosen)(teacher, autoencoder)[0], autoencoder)[0]
        for chosen in (None, settings(**reading, novel_weight=0.5))
    ]
    squared = (teacher - autoencoder).square()
    novel = squared >= squared.quantile(quantile)
    assert torch.allclose(pulls[1], torch.where(novel, 0.5, 1.0) * pulls[0], rtol=1e-12)


def test_split_by_position_averages_channels_first() -> None:
    teacher = torch.tensor([[3.0, 0.0], [1.0, 0.0]]).reshape(1, 2, 1, 2)  # channel means of squares: 5 and 0
    loss, _ = autoencoder_loss(settings(split_unit="position", margin=6.0))(teacher, torch.zeros(1, 2, 1, 2))
    assert loss == pytest.approx(0 + 1)


@pytest.mark.parametrize(
    ("changes", "inside"), [({}, 0.5), ({"margin": 4.5}, 1.0), ({"margin": 0.03}, 0.0), ({"distance": "root"}, 0.5)]
)
def test_what_is_watched_is_the_share_of_novel_elements_inside_the_margin(
    changes: dict[str, object], inside: float
) -> None:
    _, watched = autoencoder_loss(settings(**changes))(TEACHER, AUTOENCODER)
    threshold = 0.2 if "distance" in changes else 0.04
    assert watched == {INSIDE_MARGIN: inside, NOVEL_THRESHOLD: pytest.approx(threshold)}


UNITS: list[dict[str, Any]] = [
    {"split_unit": unit, "distance": distance, "margin_unit": margin_unit, "margin": margin}
    for unit, distances in (("element", ("squared", "root")), ("position", ("squared", "root", "norm")))
    for distance in distances
    for margin_unit, margin in (("absolute", 9.0), ("threshold", 1.7))
]


def random_features(seed: int) -> tuple[Tensor, Tensor]:
    """T' and A of a few positions, float64."""
    generator = torch.Generator().manual_seed(seed)
    teacher, autoencoder = (torch.randn(1, 6, 4, 4, generator=generator, dtype=torch.float64) for _ in range(2))
    return teacher, autoencoder


@pytest.mark.parametrize("changes", UNITS)
def test_weight_zero_is_trimming_alone(changes: dict[str, Any]) -> None:
    teacher, autoencoder = random_features(2)
    squared = (teacher - autoencoder) ** 2
    if changes["split_unit"] == "position":
        squared = squared.mean(1)
    trimmed = squared[squared < squared.quantile(0.7)].mean()
    loss, _ = autoencoder_loss(settings(**changes, quantile=0.7, novel_weight=0.0))(teacher, autoencoder)
    assert loss == pytest.approx(float(trimmed), rel=1e-12)


@pytest.mark.parametrize("over", [("similar", "novel"), ("all", "novel"), ("all", "all")])
@pytest.mark.parametrize("changes", UNITS)
def test_the_gradient_is_that_of_finite_differences(changes: dict[str, Any], over: tuple[str, str]) -> None:
    teacher, autoencoder = random_features(3)
    averaged: dict[str, Any] = dict(zip(("autoencoder_loss_over", "novel_loss_over"), over, strict=True))
    chosen = autoencoder_loss(settings(**changes, **averaged, quantile=0.7))
    autoencoder.requires_grad_()
    loss, watched = chosen(teacher, autoencoder)
    assert watched[INSIDE_MARGIN] > 0.2, "the constraint must act, else its gradient is not seen"
    loss.backward()
    assert autoencoder.grad is not None
    fixed = fixed_margin(settings(**changes), teacher, autoencoder.detach(), quantile=0.7)
    for place in range(0, autoencoder.numel(), 5):
        moved = []
        for step in (1e-6, -1e-6):
            nearby = autoencoder.detach().clone()
            nearby.flatten()[place] += step
            moved.append(autoencoder_loss(replace(fixed, **averaged))(teacher, nearby)[0])
        slope = float(moved[0] - moved[1]) / 2e-6
        assert float(autoencoder.grad.flatten()[place]) == pytest.approx(slope, rel=1e-4, abs=1e-7)


def fixed_margin(reading: DfscSettings, teacher: Tensor, autoencoder: Tensor, quantile: float) -> DfscSettings:
    """The same reading with its margin as a number: relative to the threshold, it has no gradient by definition."""
    reading = replace(reading, quantile=quantile)
    if reading.margin_unit == "absolute":
        return reading
    _, watched = autoencoder_loss(reading)(teacher, autoencoder)
    return replace(reading, margin_unit="absolute", margin=reading.margin * float(watched[NOVEL_THRESHOLD]))


def test_novel_elements_are_pushed_away_and_similar_ones_drawn_near() -> None:
    autoencoder = torch.tensor([0.0, 0.1, 0.2, 0.3]).reshape(1, 1, 2, 2).requires_grad_()
    autoencoder_loss(settings())(torch.zeros(1, 1, 2, 2), autoencoder)[0].backward()
    assert autoencoder.grad is not None
    similar, novel = autoencoder.grad.flatten()[1], autoencoder.grad.flatten()[2:]
    assert similar > 0  # a descent step lowers 0.1 towards T' = 0
    assert (novel < 0).all()  # and raises what is novel


@pytest.mark.parametrize("changes", UNITS)
def test_weight_zero_over_all_elements_is_the_baseline_bit_for_bit(changes: dict[str, Any]) -> None:
    def loss_and_gradient(chosen: DfscSettings | None) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(1)
        teacher = torch.randn(1, 8, 5, 5, generator=generator)
        autoencoder = torch.randn(1, 8, 5, 5, generator=generator).requires_grad_()
        loss, _ = autoencoder_loss(chosen)(teacher, autoencoder)
        loss.backward()
        assert autoencoder.grad is not None
        return loss.detach(), autoencoder.grad

    baseline = loss_and_gradient(None)
    unconstrained = loss_and_gradient(settings(**changes, novel_weight=0.0, autoencoder_loss_over="all"))
    assert all(torch.equal(one, other) for one, other in zip(baseline, unconstrained, strict=True))


def test_mean_over_nothing_is_zero() -> None:
    assert masked_mean(torch.ones(3), torch.zeros(3, dtype=torch.bool)) == 0
