"""A real Slurm is asked whether it would take a training, before one is submitted."""

from typing import Any

import pytest

from dfsc.errors import UserError
from dfsc.planning.machine import read_profile, slurm_found
from support.checkout import CHECKOUT
from support.cluster import answer_of

pytestmark = pytest.mark.usefixtures("cluster")


@pytest.fixture
def profile() -> dict[str, Any]:
    """Our own profile of a cluster."""
    return read_profile(CHECKOUT / "slurm")


def test_a_training_that_slurm_takes_is_not_submitted(profile: dict[str, Any]) -> None:
    assert "--gpus=1" in slurm_found(profile)
    profile["default-resources"]["slurm_partition"] = "urgent"
    assert "--partition=urgent" in slurm_found(profile)
    assert answer_of("squeue", "--noheader") == ""


@pytest.mark.parametrize(
    ("part", "changes", "words"),
    [
        ("default-resources", {"slurm_partition": "nowhere"}, "--partition=nowhere"),
        ("set-resources", {"train": {"gpu": 9}}, "--gpus=9"),
        ("set-resources", {"train": {"gpu": 1, "mem_mb": 999_000}}, "--mem=999000"),
    ],
)
def test_what_slurm_refuses_is_named(profile: dict[str, Any], part: str, changes: dict[str, Any], words: str) -> None:
    profile[part] |= changes
    with pytest.raises(UserError, match=rf"^Slurm takes no job with .*{words}.*; correct what the profile asks for$"):
        slurm_found(profile)
