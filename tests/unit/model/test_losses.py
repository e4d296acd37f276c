"""The losses, by hand and against their plain definition."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dfsc.model.losses import autoencoder_loss, hard_elements, hard_loss, masked_mean, quantile_threshold
from dfsc.settings.training import DfscSettings


def settings(**changes: Any) -> DfscSettings:
    """DFSC at its default reading, with changes."""
    default = DfscSettings(
        quantile=0.5, margin=1.0, novel_weight=1.0, split_unit="element", distance="squared",
        autoencoder_loss_over="similar",
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
    assert autoencoder_loss(None)(TEACHER, AUTOENCODER) == pytest.approx(4.05 / 4)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 0.005 + (0.96 + 0) / 2),  # similar 0 and 0.01; novel 0.04 and 4, hinged at 1
        ({"margin": 5.0}, 0.005 + (4.96 + 1) / 2),
        ({"novel_weight": 0.5}, 0.005 + 0.5 * 0.48),
        ({"novel_weight": 0.0}, 0.005),
        ({"autoencoder_loss_over": "all"}, 4.05 / 4 + 0.48),
        ({"distance": "root"}, 0.005 + (0.8 + 0) / 2),
        ({"quantile": 0.9}, 0.05 / 3 + 0),
    ],
)
def test_dfsc_by_hand(changes: dict[str, object], expected: float) -> None:
    assert autoencoder_loss(settings(**changes))(TEACHER, AUTOENCODER) == pytest.approx(expected, abs=1e-6)


def test_split_by_position_averages_channels_first() -> None:
    teacher = torch.tensor([[3.0, 0.0], [1.0, 0.0]]).reshape(1, 2, 1, 2)  # channel means of squares: 5 and 0
    loss = autoencoder_loss(settings(split_unit="position", margin=6.0))(teacher, torch.zeros(1, 2, 1, 2))
    assert loss == pytest.approx(0 + 1)


def test_novel_elements_are_pushed_away_and_similar_ones_drawn_near() -> None:
    autoencoder = torch.tensor([0.0, 0.1, 0.2, 0.3]).reshape(1, 1, 2, 2).requires_grad_()
    autoencoder_loss(settings())(torch.zeros(1, 1, 2, 2), autoencoder).backward()
    assert autoencoder.grad is not None
    similar, novel = autoencoder.grad.flatten()[1], autoencoder.grad.flatten()[2:]
    assert similar > 0  # a descent step lowers 0.1 towards T' = 0
    assert (novel < 0).all()  # and raises what is novel


def test_weight_zero_over_all_elements_has_the_baselines_gradient() -> None:
    def gradient(chosen: DfscSettings | None) -> Tensor:
        generator = torch.Generator().manual_seed(1)
        teacher = torch.randn(1, 8, 5, 5, generator=generator)
        autoencoder = torch.randn(1, 8, 5, 5, generator=generator).requires_grad_()
        autoencoder_loss(chosen)(teacher, autoencoder).backward()
        assert autoencoder.grad is not None
        return autoencoder.grad

    assert torch.equal(gradient(None), gradient(settings(novel_weight=0.0, autoencoder_loss_over="all")))


def test_mean_over_nothing_is_zero() -> None:
    assert masked_mean(torch.ones(3), torch.zeros(3, dtype=torch.bool)) == 0
