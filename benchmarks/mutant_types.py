"""What mypy says of the mutants: `make lint` refuses those, and no test needs to run. For mutmut, in its folder.

mutmut writes each mutant of a function beside the function itself, behind a decorator that mypy cannot see through.
What comes of that counts for no mutant: some kinds of error, and whatever is said of the function as it is, too.
"""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

MUTANT = re.compile(r"(?P<function>.+)__mutmut_(?P<number>orig|\d+)")
MYPY = [sys.executable, "-m", "mypy", "dfsc", "--output", "json"]
OF_THE_DECORATOR = ("untyped-decorator", "unused-ignore", "no-any-return", "no-redef", "has-type")


class Variant(NamedTuple):
    """A function as mutmut wrote it: as it is ("orig"), or one mutant."""

    function: str
    number: str
    lines: range


def variants(file: Path) -> list[Variant]:
    """All functions that mutmut wrote in a file."""
    return [
        Variant(found["function"], found["number"], range(node.lineno, (node.end_lineno or node.lineno) + 1))
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef) and (found := MUTANT.fullmatch(node.name))
    ]


def of_mutants(errors: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """mypy's errors that a mutant has, and its function as it is has not."""
    of_file = {name: variants(Path(name)) for name in {error["file"] for error in errors}}
    placed = [(error, one) for error in errors for one in of_file[error["file"]] if error["line"] in one.lines]
    said = [(error["file"], one.function, re.sub(r"line \d+", "", error["message"])) for error, one in placed]
    as_it_is = {words for words, (_, one) in zip(said, placed, strict=True) if one.number == "orig"}
    for words, (error, _) in zip(said, placed, strict=True):
        if words not in as_it_is:
            yield error


if __name__ == "__main__":
    ran = subprocess.run(MYPY, capture_output=True, text=True)
    if ran.returncode > 1:
        sys.exit(f"mypy did not check the mutants: {ran.stdout}{ran.stderr}")
    found = [json.loads(line) for line in ran.stdout.splitlines()]
    ours = [one for one in found if one["severity"] == "error" and one["code"] not in OF_THE_DECORATOR]
    for error in of_mutants(ours):
        print(json.dumps(error))
