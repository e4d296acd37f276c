"""What the tests on a real Slurm share: a small grid, Slurm's answers, and patience."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.checkout import CHECKOUT, Checkout

CONFIG = "tests/slurm/shrunk.yaml"


def answer_of(*command: str) -> str:
    """Run a command of Slurm's."""
    answer = subprocess.run(command, check=False, capture_output=True, text=True)
    assert answer.returncode == 0, f"{' '.join(command)}: {answer.stderr}"
    return answer.stdout


def wait_for(what: str, find: Callable[[], Any], seconds: float = 240) -> Any:
    """Ask until there is an answer."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := find():
            return found
        time.sleep(0.2)
    raise AssertionError(f"{what}: not within {seconds} s")


def new_checkout(root: Path) -> Checkout:
    """A copy of the checkout, with this folder's configuration."""
    checkout = Checkout.new(root)
    (root / CONFIG).parent.mkdir()
    (root / CONFIG).write_bytes((CHECKOUT / CONFIG).read_bytes())
    return checkout
