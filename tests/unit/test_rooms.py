"""Each room of the package imports what its `__init__` says, no more and no less; and the arrows make no circle."""

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from support.checkout import CHECKOUT

PACKAGE = CHECKOUT / "dfsc"
ROOMS = {path.parent.name: path.parent for path in sorted(PACKAGE.glob("*/__init__.py"))}
ALL = {"every room": set(ROOMS), "no room": set[str]()}


def said(room: str) -> set[str]:
    """The rooms that `May import: ...` names."""
    text = ast.get_docstring(ast.parse((ROOMS[room] / "__init__.py").read_text())) or ""
    names = re.search(r"^May import: ([\w ,]+)\.", text, re.MULTILINE)
    assert names, f"dfsc/{room}/__init__.py does not say what it may import"
    return ALL.get(names[1], set(names[1].split(", "))) - {room}


def imported(files: list[Path]) -> set[str]:
    """The rooms whose modules these files import, at the top or inside a function."""
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text()))]
    names = [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    names += [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    return {name.split(".")[1] for name in names if name.startswith("dfsc.")} & ROOMS.keys()


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_what_it_says(room: str) -> None:
    found = imported(list(ROOMS[room].rglob("*.py"))) - {room}
    assert found <= said(room) if room == "commands" else found == said(room)


def test_what_all_stand_on_imports_no_room() -> None:
    assert imported([file for file in PACKAGE.glob("*.py") if file.name != "cli.py"]) == set()


def test_the_arrows_make_no_circle() -> None:
    assert len(list(TopologicalSorter({room: said(room) for room in ROOMS}).static_order())) == len(ROOMS)
