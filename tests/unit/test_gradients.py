"""The cheaper step has the plain implementation's losses and gradients."""

import pytest
import torch
from plain import plain_losses

from dfsc.networks import standardise
from dfsc.train import Draw, Trainer


@pytest.mark.parametrize(("size", "image_size"), [("tiny", 64), ("tiny", 96), ("S", 128)])
def test_gradients_equal_the_plain_ones(size: str, image_size: int) -> None:
    from training_step import trainer

    ours: Trainer = trainer(size, image_size, "float32", torch.device("cpu"))
    model = ours.modules.eval()  # dropout would draw in another order
    penalty = torch.randint(0, 256, (1, image_size, image_size, 3), generator=torch.Generator().manual_seed(1))
    drawn = Draw([2], [(1, 0.9)], penalty.byte().numpy())
    found = ours.losses(drawn)
    sum(found.values(), torch.zeros(())).backward()
    gradients = {name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None}

    from torchvision.transforms.functional import adjust_contrast

    image = ours.images[2].permute(2, 0, 1).float() / 255
    views = (image, adjust_contrast(image, 0.9), penalty[0].permute(2, 0, 1).float() / 255)
    model.zero_grad()
    expected = plain_losses(model, *(standardise(view[None]) for view in views))
    sum(expected.values(), torch.zeros(())).backward()
    for name, loss in expected.items():
        assert float(found[name]) == pytest.approx(float(loss), rel=1e-5), name
    for name, value in model.named_parameters():
        if value.requires_grad:
            assert value.grad is not None
            difference = (gradients[name] - value.grad).norm() / value.grad.norm()
            assert difference < 1e-4, f"{name}: {difference:.1e}"
