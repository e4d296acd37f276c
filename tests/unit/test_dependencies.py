"""What the project needs is declared, and what it declares it needs."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions, version

from dfsc.provenance import RECORDED_VERSIONS, parts_of
from support.checkout import CHECKOUT

PINNED = [re.split(r"[\[=]", entry)[0] for entry in
          tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["dependencies"]]  # fmt: skip
# Run as a program, asked for by name (to_markdown, postgresql://, executor: slurm), or read for its photographs.
NEVER_IMPORTED = {"dvc", "psycopg2-binary", "scikit-image", "snakemake-executor-plugin-slurm", "tabulate"}

SHAPING = ("teacher pretrain", "train", "score", "evaluate", "tables")  # subcommands whose numbers are reported
# These read, check, show and store; they compute nothing.
SHAPE_NOTHING = {"annotated-types", "matplotlib", "pydantic", "pyyaml", "rich", "sqlalchemy", "tqdm", "typer"}


def imported(*folders: str) -> Iterator[tuple[str, str]]:
    """(file, distribution) of every import of another project, at the top of a module or in a function."""
    of_module = packages_distributions()
    for folder in folders:
        for path in sorted((CHECKOUT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                names = [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
                names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                for name in {name.split(".")[0] for name in names} - {"dfsc"} - set(sys.stdlib_module_names):
                    owners = [owner.lower() for owner in of_module.get(name, [name])]
                    yield str(path.relative_to(CHECKOUT)), next((name for name in owners if name in PINNED), owners[0])


def test_every_import_is_declared() -> None:
    found = list(imported("dfsc"))
    assert len(found) > 50
    assert [entry for entry in found if entry[1] not in PINNED] == []


def test_everything_declared_is_needed() -> None:
    needed = {name for _, name in imported("dfsc")} | {"snakemake"}  # which workflow/ imports
    assert set(PINNED) - needed == NEVER_IMPORTED


def test_the_declared_versions_are_locked_and_installed() -> None:
    locked = (CHECKOUT / "requirements.lock").read_text().splitlines()
    for name in PINNED:
        assert f"{name}=={version(name)}" in locked


def test_the_versions_of_what_shapes_a_result_are_recorded() -> None:
    modules = {module for command in SHAPING for module, _ in parts_of(command)}
    files = {f"dfsc/{module.replace('.', '/')}.py" for module in modules}
    used = {name for path, name in imported("dfsc") if path in files}
    assert {"torch", "numpy", "scipy"} <= used
    assert used - set(RECORDED_VERSIONS) - SHAPE_NOTHING == set()
