"""Statistics of the teacher's features: by hand, and kept for the trainings of one category."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from dfsc.errors import UserError
from dfsc.model.networks import normalise_images
from dfsc.training.feature_statistics import Statistics, feature_statistics, kept_statistics
from support.command_line import dfsc
from support.prepared import Prepared

CPU = torch.device("cpu")


def images(number: int = 19) -> torch.Tensor:
    """Random images, more than a batch."""
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (number, 32, 32, 3), np.uint8))


def test_they_are_those_of_all_images_and_positions() -> None:
    torch.manual_seed(0)
    teacher = nn.Conv2d(3, 5, 7)
    found = feature_statistics(teacher, images(), "float32")
    with torch.no_grad():
        features = teacher(normalise_images(images())).double().transpose(0, 1).flatten(1)
    assert torch.allclose(found.mean.flatten().double(), features.mean(1), atol=1e-6)
    assert torch.allclose(found.spread.flatten().double(), features.std(1, correction=0), rtol=1e-5)
    assert found.mean.shape == found.spread.shape == (1, 5, 1, 1)


@pytest.mark.parametrize("everywhere", [0.0, 0.5])
def test_a_feature_that_is_the_same_everywhere_is_refused(everywhere: float) -> None:
    teacher = nn.Conv2d(3, 5, 7)
    with torch.no_grad():
        teacher.weight[3] = 0
        assert teacher.bias is not None
        teacher.bias[3] = everywhere
    with pytest.raises(UserError, match="the same in all of them"):
        feature_statistics(teacher, images(), "float32")


KNOWN = Statistics(torch.tensor([1 / 3, -2e-9]).view(1, 2, 1, 1), torch.tensor([0.1, 7.0]).view(1, 2, 1, 1))


def never() -> Statistics:
    """Where they are kept."""
    raise AssertionError("computed again")


def test_what_is_kept_is_the_same_bits(tmp_path: Path) -> None:
    file = tmp_path / "deep/statistics.json"
    for compute in (lambda: KNOWN, never):
        assert all(map(torch.equal, kept_statistics(file, compute, CPU), KNOWN))
    assert all(map(torch.equal, kept_statistics(None, lambda: KNOWN, CPU), KNOWN))


@pytest.mark.parametrize("damage", ["another number", "cut", "[]", "{}"])
def test_what_is_damaged_is_named_and_replaced(damage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "statistics.json"
    kept_statistics(file, lambda: KNOWN, CPU)
    whole = file.read_text()
    cut, other = whole[:-9], json.dumps({**json.loads(whole), "mean": [1 / 3, 0.0]})
    file.write_text({"cut": cut, "another number": other}.get(damage, damage))
    assert all(map(torch.equal, kept_statistics(file, lambda: KNOWN, CPU), KNOWN))
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and str(file) in said and "computed again" in said
    assert file.read_text() == whole


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("in the way")
    assert kept_statistics(tmp_path / "file/statistics.json", lambda: KNOWN, CPU) is KNOWN
    assert "computes them anew" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changed", "files"), [({"seed": 1}, 1), ({"dfsc": None, "steps": 2}, 1), ({"precision": "tf32"}, 2)]
)
def test_trainings_share_them_where_they_are_the_same(
    changed: dict[str, object], files: int, prepared: Prepared, tmp_path: Path
) -> None:
    for name, settings in (("first", {}), ("second", changed)):
        arguments = prepared.train_arguments(tmp_path / name, **{"steps": 1, **settings})
        outcome = dfsc(*arguments, "--kept", tmp_path / "kept")
        assert outcome.code == 0, outcome.errors
    assert len(list((tmp_path / "kept").glob("statistics-*.json"))) == files
