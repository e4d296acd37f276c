"""What a result was made from: commit, versions, hardware, and a digest of the code that shapes it."""

import ast
import copy
import hashlib
import os
import platform
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parent
RECORDED_VERSIONS = (
    *("dfsc", "torch", "torchvision", "timm", "numpy", "scipy", "pillow", "tifffile", "scikit-learn", "scikit-image"),
    *("pandas", "mlflow", "snakemake", "dvc"),
)
# Modules whose definitions serve several subcommands. Of these, a digest covers what its subcommand reaches, or an
# edited loss would pretrain the teacher anew; of every other module, all.
SHARED = (
    *("commands.data", "commands.methods", "commands.models", "commands.planning", "commands.results"),
    "settings.grid",
)
# In no digest: the version, what a person types and sees, and what is recorded beside a result.
SHAPING_NOTHING = ("", "commands", "commands.options", "training.progress", "provenance")
Part = tuple[str, str]  # a module of this package, and a definition in it; '' for the whole module


@lru_cache
def code_digest(command: str) -> str:
    """SHA-256 over the code that `dfsc <command>` runs, for example 'train' or 'teacher pretrain'.

    That is the subcommand's function, and every module of this package that is imported from there, directly or not.
    Comments, docstrings, help and formatting do not count, so that editing them reruns nothing.
    Raises ValueError if there is no such subcommand.
    """
    covered = sorted((part, _parsed(part).text) for part in parts_of(command))
    return hashlib.sha256(repr(covered).encode()).hexdigest()


@lru_cache
def parts_of(command: str) -> frozenset[Part]:
    """The modules, and definitions in SHARED ones, that a subcommand's digest covers. Raises ValueError likewise."""
    if command not in subcommands():
        raise ValueError(f"dfsc {command}: no such subcommand; there are {', '.join(sorted(subcommands()))}")
    waiting, found = [subcommands()[command]], set[Part]()
    while waiting:
        if (part := waiting.pop()) not in found:
            found.add(part)
            waiting += _parsed(part).reached
    return frozenset(found)


@lru_cache
def subcommands() -> dict[str, Part]:
    """'teacher pretrain' -> ('commands.models', 'pretrain'), for each function that Typer makes a subcommand of."""
    found, groups = {}, dict[str, str]()
    for path in sorted((PACKAGE / "commands").glob("*.py")):
        body = _tree(f"commands.{path.stem}").body
        for call in (node.value for node in body if isinstance(node, ast.Expr)):
            if isinstance(call, ast.Call) and ast.unparse(call.func).endswith(".add_typer"):
                groups[ast.unparse(call.args[0])] = _name_given(call, 1)
        for function in (node for node in body if isinstance(node, ast.FunctionDef)):
            for call in (node for node in function.decorator_list if isinstance(node, ast.Call)):
                app, _, registered = ast.unparse(call.func).rpartition(".")
                if registered == "command":
                    name = _name_given(call, 0) or function.name.replace("_", "-")
                    found[f"{groups.get(app, '')} {name}".strip()] = f"commands.{path.stem}", function.name
    return found


def _name_given(call: ast.Call, position: int) -> str:
    given = [*(word.value for word in call.keywords if word.arg == "name"), *call.args[position : position + 1]]
    return str(given[0].value) if given and isinstance(given[0], ast.Constant) else ""


@dataclass(frozen=True)
class _Parsed:
    text: str  # the syntax
    reached: list[Part]  # by its imports, and in a SHARED module by the names that it uses


@lru_cache  # of every Snakemake that starts, twice in each of Slurm's jobs: each module is parsed once
def _parsed(part: Part) -> _Parsed:
    module, name = part
    tree, reached = _tree(module), list[Part]()
    nodes: list[ast.AST] = [tree]
    definitions, imported = _names(module) if name else ({}, {})
    if name in definitions or name in imported:
        nodes = [*definitions.get(name, []), *definitions.get("", [])]
        walked = [node for top in nodes for node in ast.walk(top)]
        arguments = {node.arg for node in walked if isinstance(node, ast.arg)}
        for used in {name, *(node.id for node in walked if isinstance(node, ast.Name))} - arguments:
            reached += imported.get(used, [(module, used)] if used in definitions else [])
    reached += [found for top in nodes for node in [top, *_statements(top)] for found in _imported(node, module)]
    reached += [(module.rpartition(".")[0], "")]  # its package is imported first
    words: list[str] = []
    for node in nodes:
        _spell(node, words)
    return _Parsed(" ".join(words), [found for found in reached if found[0] not in SHAPING_NOTHING])


def _spell(node: ast.AST, words: list[str]) -> None:
    # As ast.dump, in less than half the time: this is most of what a digest costs.
    words.append(type(node).__name__)
    for name in node._fields:
        value = getattr(node, name, None)
        if name == "ctx":  # follows from where a name stands
            continue
        for item in ["[", *value, "]"] if isinstance(value, list) else [value]:
            if isinstance(item, ast.AST):
                _spell(item, words)
            else:
                words.append(repr(item))


@lru_cache
def _tree(module: str) -> ast.Module:
    return _without_docstrings(ast.parse(_source(module).read_text(encoding="utf-8")))


@lru_cache
def _names(module: str) -> tuple[dict[str, list[ast.AST]], dict[str, list[Part]]]:
    """Of a SHARED module: the syntax of each name defined at its top, and where each name imported there is from.

    Other statements, which run when the module is imported, stand under ''; Typer's, which only register, do not.
    """
    definitions: dict[str, list[ast.AST]] = {}
    imported: dict[str, list[Part]] = {}
    for node in _tree(module).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                name = alias.asname or alias.name.partition(".")[0]
                imported.setdefault(name, []).extend(_imported(node, module, [alias]))
        elif isinstance(node, ast.FunctionDef) and module.startswith("commands."):
            definitions[node.name] = [_without_help(node)]
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            definitions[node.name] = [node]
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                for bound in (found for found in ast.walk(target) if isinstance(found, ast.Name)):
                    definitions.setdefault(bound.id, []).append(node)
        elif not module.startswith("commands."):
            definitions.setdefault("", []).append(node)
    return definitions, imported


def _without_help(function: ast.FunctionDef) -> ast.FunctionDef:
    bare, arguments = copy.copy(function), copy.copy(function.args)
    arguments.args = [ast.arg(argument.arg) for argument in arguments.args]
    arguments.kwonlyargs = [ast.arg(argument.arg) for argument in arguments.kwonlyargs]
    bare.args, bare.decorator_list, bare.returns = arguments, [], None
    return bare


def _source(module: str) -> Path:
    path = PACKAGE.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _imported(node: ast.AST, module: str, aliases: list[ast.alias] | None = None) -> list[Part]:
    """What an import statement of `module` brings of this package; of some of its names only, if they are given."""
    if isinstance(node, ast.Import):
        full = [alias.name for alias in aliases or node.names]
        return [(name.removeprefix("dfsc").lstrip("."), "") for name in full if name.split(".")[0] == "dfsc"]
    if not isinstance(node, ast.ImportFrom):
        return []
    if node.level:
        package = ["dfsc", *module.split(".")][: None if _source(module).name == "__init__.py" else -1]
        source = ".".join([*package[: len(package) - node.level + 1], *filter(None, [node.module])])
    else:
        source = node.module or ""
    if source.split(".")[0] != "dfsc":
        return []
    source = source.removeprefix("dfsc").lstrip(".")
    found = []
    for alias in aliases or node.names:
        inner = f"{source}.{alias.name}".lstrip(".")
        whole = source not in SHARED or alias.name == "*"
        found.append((inner, "") if _source(inner).exists() else (source, "" if whole else alias.name))
    return found


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
    """The commit of the checkout that holds this code, with '-dirty' where tracked files differ from it.

    'unknown (why)' where this code is no part of a git repository, or git does not say.
    """
    # A repository that the caller's environment names, as in a git hook, is not ours.
    ours = {name: value for name, value in os.environ.items() if name not in ("GIT_DIR", "GIT_WORK_TREE")}

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(PACKAGE), *arguments]
        environment = {**ours, "LC_ALL": "C"}
        return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.strip()

    try:
        git("rev-parse", "--git-dir")
        git("ls-files", "--error-unmatch", "provenance.py")
        return git("rev-parse", "HEAD") + ("-dirty" if git("status", "--porcelain", "--untracked-files=no") else "")
    except OSError:
        return "unknown (git is not installed)"
    except subprocess.CalledProcessError as error:
        return f"unknown ({_reason(error)})"


def _reason(error: subprocess.CalledProcessError) -> str:
    said = str(error.stderr)
    if "not a git repository" in said:
        return "not in a git repository"
    if "did not match any file" in said:
        return "not tracked by the git repository around it"
    if "dubious ownership" in said:
        return "git: dubious ownership of the checkout; see git's safe.directory"
    return f"git: {(said.strip().splitlines() or [f'exit code {error.returncode}'])[0].removeprefix('fatal: ')}"


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
