"""The networks' shapes, and which of their weights are learned; their numbers are compared in test_golden.py."""

import pytest
import torch

from dfsc.model.networks import SIZES, EfficientAD, pdn


@pytest.mark.parametrize("size", SIZES)
def test_padding_keeps_a_quarter_of_the_image(size: str) -> None:
    network, images = pdn(SIZES[size], 8, padding=True), torch.zeros(1, 3, 64, 96)
    assert network(images).shape == (1, 8, 16, 24)


def test_the_student_and_the_autoencoder_learn_and_the_teacher_does_not() -> None:
    learned = {name.split(".")[0] for name, value in EfficientAD("tiny", 64).named_parameters() if value.requires_grad}
    assert learned == {"student", "autoencoder"}


@pytest.mark.parametrize("image_size", [32, 100])
def test_an_image_size_that_the_autoencoder_cannot_have_is_refused(image_size: int) -> None:
    with pytest.raises(ValueError, match=f"image size {image_size}: must be a multiple of 32, at least 64"):
        EfficientAD("tiny", image_size)
