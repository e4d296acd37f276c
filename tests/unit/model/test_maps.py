"""Anomaly maps at the size of their images: what lies around them, by hand, and how they are resized, against torch."""

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from dfsc.model.maps import NOT_PADDED, PADDING, pad_map, resize_map

SMALL = np.array([[3, 2], [4, 5]], np.float32)


@pytest.mark.parametrize(("mode", "around"), [("zero", (0, 0)), ("minimum", (2, 2)), ("replicate", (3, 5))])
def test_four_cells_lie_around_a_map(mode: str, around: tuple[float, float]) -> None:
    padded = pad_map(SMALL, mode)
    assert padded.shape == (10, 10) and padded.dtype == np.float32 and PADDING == 4
    np.testing.assert_array_equal(padded[4:6, 4:6], SMALL)
    assert (padded[0, 0], padded[9, 9]) == around
    np.testing.assert_array_equal(pad_map(SMALL, NOT_PADDED), SMALL)


@pytest.mark.parametrize("size", [(1000, 40), (40, 1000), (8, 7), (1, 1)])
def test_a_map_is_resized_as_torch_does(size: tuple[int, int]) -> None:
    drawn = np.random.default_rng(0).normal(size=(10, 12)).astype(np.float32)
    wanted = interpolate(torch.from_numpy(drawn)[None, None], size, mode="bilinear", align_corners=False)[0, 0]
    np.testing.assert_allclose(resize_map(drawn, *size), wanted.numpy(), atol=1e-5)
