"""What a result was made from: commit, versions, hardware, and a digest of the code that shapes it."""

import ast
import hashlib
import platform
import subprocess
from collections.abc import Iterator
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parent
RECORDED_VERSIONS = ("torch", "torchvision", "numpy", "pillow", "scikit-learn", "pandas", "mlflow", "snakemake", "dvc")


@lru_cache
def code_digest(*modules: str) -> str:
    """SHA-256 over the syntax of `modules` (for example 'train') and of all modules of this package they import.

    Comments, docstrings and formatting do not count, so that editing them reruns nothing.
    """
    waiting, found = list(modules), dict[str, str]()
    while waiting:
        module = waiting.pop()
        if module not in found:
            imported, found[module] = _parsed(module)
            waiting += imported
    return hashlib.sha256(repr(sorted(found.items())).encode()).hexdigest()


@lru_cache  # of every Snakemake that starts, twice in each of Slurm's jobs: each module is parsed once
def _parsed(module: str) -> tuple[list[str], str]:
    tree = ast.parse(_source(module).read_text(encoding="utf-8"))
    return _imported_modules(tree), ast.dump(_without_docstrings(tree))


def _source(module: str) -> Path:
    path = PACKAGE.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _imported_modules(tree: ast.Module) -> list[str]:
    found = []
    for node in _statements(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "dfsc":
            package = (node.module or "").removeprefix("dfsc").lstrip(".")
            names = [".".join(filter(None, (package, alias.name))) for alias in node.names]
            found += [name for name in names if _source(name).exists()] or [package]
    return [module for module in found if module]


def _statements(tree: ast.AST) -> Iterator[ast.AST]:
    # Ten times as fast as ast.walk, which visits every expression.
    for block in ("body", "orelse", "handlers", "finalbody", "cases"):
        nested = getattr(tree, block, [])
        for node in nested if isinstance(nested, list) else []:
            yield node
            yield from _statements(node)


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in [tree, *_statements(tree)]:
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return tree


def commit() -> str:
    """The checkout's commit, with '-dirty' where tracked files differ from it; 'unknown' outside git."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(PACKAGE), *arguments], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("-dirty" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def provenance(device: str) -> dict[str, Any]:
    """Commit, package versions and hardware, as every result records them."""
    return {
        "commit": commit(),
        "hardware": f"{device} ({platform.machine()}, {platform.node()})",
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in RECORDED_VERSIONS},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # on a bare GPU machine, which trains and scores without the workflow
        return "not installed"
