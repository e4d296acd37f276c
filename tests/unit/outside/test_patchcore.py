"""PatchCore, which comes along in methods/: what it remembers, and the distances that it writes."""

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dfsc.data.manifest import scan_category
from dfsc.outside.blinding import SPLITS, write_blinded
from support.checkout import CHECKOUT
from support.small_sets import loco_category

Run = tuple[dict[str, Any], dict[str, Any]]  # what is left of the method, and its maps by their names


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small category under neutral names."""
    folder = tmp_path_factory.mktemp("patchcore")
    category = loco_category(folder / "category", train=2, validation=1, good=1, anomalous=1)
    write_blinded(category, scan_category(category), folder / "images")
    return folder / "images"


@pytest.fixture
def run(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that runs the method with a seed, in this process."""

    def once(seed: int) -> Run:
        output = tmp_path / str(seed)
        output.mkdir(exist_ok=True)
        given = [part for split in SPLITS for part in (f"--{split}", str(images / split))]
        given += ["--seed", str(seed), "--device", "cpu", "--output", str(output)]
        method = CHECKOUT / "methods/patchcore/method.py"
        monkeypatch.setattr("sys.argv", [str(method), *given])
        return runpy.run_path(str(method)), {file.stem: np.load(file) for file in output.iterdir()}

    return once


def test_a_map_is_the_distance_to_the_nearest_remembered_patch(run: Any, images: Path) -> None:
    method, maps = run(0)
    files = sorted([*(images / "validation").iterdir(), *(images / "test").iterdir()])
    assert maps.keys() == {file.stem for file in files} and len(files) == 4
    with torch.no_grad():
        trained = method["patches"](sorted((images / "train").iterdir())).flatten(0, 2).numpy()
        described = method["patches"](files).numpy()
    memory = method["memory"].numpy()
    assert len(memory) == len(np.unique(memory, axis=0)) == len(trained) // 100
    assert all((trained == patch).all(axis=1).any() for patch in memory), "of training images alone"
    farthest = [
        max(min(np.linalg.norm(some - patch, axis=1)) for patch in trained) for some in (memory, trained[: len(memory)])
    ]
    assert farthest[0] < 0.9 * farthest[1], "they are chosen to lie near to all"
    for file, of_image in zip(files, described, strict=True):
        wanted = [[min(np.linalg.norm(memory - patch, axis=1)) for patch in row] for row in of_image]
        np.testing.assert_allclose(maps[file.stem], wanted, rtol=1e-3, atol=1e-3)


def test_each_seed_remembers_other_patches_and_the_same_ones_again(run: Any) -> None:
    remembered = {seed: run(seed)[0]["memory"] for seed in (0, 1)}
    assert torch.equal(remembered[1], run(1)[0]["memory"])
    assert not torch.equal(remembered[0], remembered[1])
