"""Start-up of the command line, against importing torch, which a command that needs none must not wait for.

python -m benchmarks.startup
"""

import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.timing import CPU, Row, circumstances, in_turn, table

CHECKOUT = Path(__file__).parents[1]
# What each leads to is not asked: those without results stop with a line that says so, after all their imports.
COMMANDS = {
    "dfsc --help": ["--help"],
    "dfsc status": ["status"],
    "dfsc manifest": ["manifest", "--dataset", ".", "--category", "none", "--output", "none.csv"],
    "dfsc index": ["index", "--folder", "none", "--source", "none", "--output", "none.index"],
    "dfsc evaluate": ["evaluate", "--dataset", ".", "--category", "none", "--maps", ".", "--output", "none.json"],
    "dfsc show": ["show", "."],
    "dfsc compare": ["compare", "."],
}


def measure(repeats: int) -> list[Row]:
    """A row per command."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config").symlink_to(CHECKOUT / "config")
        (Path(folder) / "workflow").symlink_to(CHECKOUT / "workflow")

        def run(*arguments: str) -> None:
            subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, check=False)

        for name, arguments in COMMANDS.items():
            command = ("-m", "dfsc.cli", *arguments)
            run(*command)
            times = in_turn(partial(run, "-c", "import torch"), partial(run, *command), repeats)
            rows.append(Row(f"start of `{name}`", "`import torch`", *times))
    return rows


def main() -> None:
    """Time and print."""
    print(f"{circumstances(CPU)}\n\n{table(measure(5))}")


if __name__ == "__main__":
    main()
