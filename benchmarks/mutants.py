"""The mutation tester's score: `make mutants`, hours on two cores, once before a release.

mutmut changes one operator, number, name or string at a time in the modules that shape results. mypy refuses some of
them; for each of the others run the tests that call the changed function. A mutant that nothing notices is listed, or
explained in mutants_explained.toml: it means the same, or its effect is a text that a person reads.
"""

import json
import re
import subprocess
import sys
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from mutmut.stats import status_by_exit_code

from benchmarks.results import RESULTS, keep

HERE = Path(__file__).parent
FOUND = HERE.parent / "mutants"
BY_TESTS, BY_TYPES = "by tests", "by types"
ENDS = (BY_TESTS, BY_TYPES, "explained", "open")
NOTICED = {"killed": BY_TESTS, "timeout": BY_TESTS, "segfault": BY_TESTS, "caught by type check": BY_TYPES}  # mutmut's
UNTRIED = ("not checked", "check was interrupted by user")


@dataclass(frozen=True)
class Mutant:
    """One change of the code, and how the tests ended."""

    name: str
    status: str  # in mutmut's words

    @property
    def module(self) -> str:
        """dfsc.model.losses"""
        return self.name.rpartition(".")[0]

    def changed_line(self) -> str:
        """The mutated line, without its indent: numbers in mutmut's names shift with every edit, lines do not."""
        command = [sys.executable, "-m", "mutmut", "show", self.name]
        shown = subprocess.run(command, cwd=HERE.parent, capture_output=True, text=True, check=True)
        added = [line[1:].strip() for line in shown.stdout.splitlines() if re.match(r"\+(?!\+\+)", line)]
        return " ".join(added)


def mutants() -> list[Mutant]:
    """Every mutant of the last run. Ends with a message if there is none."""
    found = [
        Mutant(name, status_by_exit_code[code])
        for file in sorted(FOUND.rglob("*.meta"))
        for name, code in json.loads(file.read_text())["exit_code_by_key"].items()
    ]
    if not found:
        sys.exit("mutants: nothing was run yet; give `make mutants`")
    return found


def report(found: list[Mutant], explained: dict[str, str]) -> str:
    """A table of modules, and the survivors with their reasons."""
    lines = {mutant: mutant.changed_line() for mutant in found if mutant.status not in (*NOTICED, *UNTRIED)}

    def end(mutant: Mutant) -> str:
        return NOTICED.get(mutant.status) or ("explained" if lines[mutant] in explained else "open")

    rows = []
    for module in [*sorted({mutant.module for mutant in found}), "all"]:
        of = [mutant for mutant in found if module in ("all", mutant.module)]
        count = Counter(end(mutant) for mutant in of if mutant.status not in UNTRIED)
        tried = count.total()
        share = f"{1 - count['open'] / tried:.1%}" if tried else "-"
        rows.append(f"| {' | '.join(map(str, [module, len(of), tried, *(count[one] for one in ENDS), share]))} |")
    columns = ["module", "mutants", "tried", *ENDS, "noticed or explained"]
    head = f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}"
    survivors = [f"- `{m.module}`: `{line}`: {explained.get(line, 'open')}" for m, line in lines.items()]
    return "\n".join([head, *rows, "", "Survivors:", "", *sorted(survivors)]) + "\n"


if __name__ == "__main__":
    entries = tomllib.loads((HERE / "mutants_explained.toml").read_text())["mutant"]
    text = report(mutants(), {entry["line"]: entry["reason"] for entry in entries})
    print(text)
    keep("mutants", f"mutmut, texts of messages left alone; a random sample, where not all were tried.\n\n{text}")
    print(f"written to {RESULTS}")
