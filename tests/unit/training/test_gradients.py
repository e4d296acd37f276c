"""The cheaper step has the plain implementation's losses and gradients; compiled, it has its own."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torchvision.transforms.functional import adjust_contrast

from benchmarks.plain import plain_losses
from benchmarks.training_step import learner_of, write_images
from dfsc.model.networks import standardise
from dfsc.settings.leaves import Size
from dfsc.training.device import compiled
from dfsc.training.student import Draw, ModelLearner


def prepared(folder: Path, size: Size, image_size: int) -> ModelLearner:
    """A learner without dropout, which would draw in another order."""
    ours = learner_of(size, *write_images(folder), image_size)
    ours.model.eval()
    return ours


def gradients(ours: ModelLearner, losses: dict[str, Tensor]) -> dict[str, Tensor]:
    """Of the sum of the losses, by parameter."""
    ours.model.zero_grad()
    sum(losses.values(), torch.zeros(())).backward()
    return {name: value.grad for name, value in ours.model.named_parameters() if value.grad is not None}


def assert_equal(
    found: dict[str, Tensor], expected: dict[str, Tensor], losses: dict[str, Tensor], others: dict[str, Tensor]
) -> None:
    """Losses within 1e-5, gradients within 1e-4 of their tensor's norm."""
    for name, loss in others.items():
        assert float(losses[name].detach()) == pytest.approx(float(loss.detach()), rel=1e-5), name
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        difference = (found[name] - value).norm() / value.norm()
        assert difference < 1e-4, f"{name}: {difference:.1e}"


def a_draw(image_size: int) -> Draw:
    """Image 2, its contrast times 0.9, and a penalty image of noise."""
    penalty = torch.randint(0, 256, (1, image_size, image_size, 3), generator=torch.Generator().manual_seed(1))
    return Draw([2], [(1, 0.9)], penalty.byte())


@pytest.mark.parametrize(("size", "image_size"), [("tiny", 64), ("tiny", 96), ("S", 128), ("M", 64)])
def test_gradients_equal_the_plain_ones(size: Size, image_size: int, tmp_path: Path) -> None:
    ours = prepared(tmp_path, size, image_size)
    drawn = a_draw(image_size)
    for _ in range(2):  # the teacher's features computed, and kept
        losses, _ = ours.losses(*ours.views(drawn))
        found = gradients(ours, losses)
        image = ours.images[2].permute(2, 0, 1).float() / 255
        views = (image, adjust_contrast(image, 0.9), drawn.penalty[0].permute(2, 0, 1).float() / 255)
        plain = plain_losses(ours.model, *(standardise(view[None]) for view in views))
        assert_equal(found, gradients(ours, plain), losses, plain)


def test_identical_patches_are_all_as_hard(tmp_path: Path) -> None:
    ours = prepared(tmp_path, "tiny", 64)
    ours.images.fill_(128)
    drawn = a_draw(64)
    views, teacher = ours.views(drawn)
    losses, plain = ours.losses(views, teacher)[0], plain_losses(ours.model, *(views[[1, 0, 2]][:, None]))
    assert_equal(gradients(ours, losses), gradients(ours, plain), losses, plain)


def test_compiled_losses_and_gradients_equal_those_as_written(tmp_path: Path) -> None:
    ours = prepared(tmp_path, "tiny", 64)
    views, teacher = ours.views(a_draw(64))
    plain = plain_losses(ours.model, *(views[[1, 0, 2]][:, None]))
    expected = gradients(ours, plain)
    ours.device = torch.device("cuda")  # as on CUDA: without waiting for how many elements are hard
    losses, _ = compiled(ours.losses)(views, teacher)
    assert_equal(gradients(ours, losses), expected, losses, plain)


def test_what_cannot_be_compiled_runs_as_written(capsys: pytest.CaptureFixture[str]) -> None:
    def unpredictable(values: Tensor) -> Tensor:
        return values if float(values.sum()) > 0 else -values  # the compiler would have to know the sum

    call = compiled(unpredictable)
    for value in (2.0, -3.0):
        assert float(call(torch.tensor([value]))) == abs(value)
    assert capsys.readouterr().err.count("dfsc: not compiled, so slower") == 1
