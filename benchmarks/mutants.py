"""The mutation tester's score: `make mutants`, hours on two cores, once before a release.

mutmut changes one operator, number, name or string at a time in the modules that shape results. mypy refuses some of
them; for each of the others run the tests that call the changed function. A mutant that nothing notices is listed, or
explained in mutants_explained.toml: it means the same, or its effect is a text that a person reads.
"""

import json
import re
import sys
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code
from mutmut.utils.format_utils import orig_function_and_class_names_from_key

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

    @property
    def function(self) -> str:
        """dfsc.model.networks.Student.forward"""
        function, of_class = orig_function_and_class_names_from_key(self.name)
        return ".".join(part for part in (self.module, of_class, function) if part)

    def change(self) -> str:
        """What became what, without indents: numbers in mutmut's names shift with every edit, lines do not."""
        shown = get_diff_for_mutant(self.name)
        by_sign = [re.findall(rf"^{sign}(?!{sign * 2}) *(.*)", shown, re.MULTILINE) for sign in ("-", "[+]")]
        return " -> ".join(" ".join(lines) for lines in by_sign)


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


def report(found: list[Mutant], explained: dict[str, dict[str, str]]) -> str:
    """A table of modules, and the survivors with their reasons, which `explained` has by function and change."""
    survivors = {mutant: mutant.change() for mutant in found if mutant.status not in (*NOTICED, *UNTRIED)}
    reasons = {mutant: explained.get(mutant.function, {}).get(change) for mutant, change in survivors.items()}

    def end(mutant: Mutant) -> str:
        return NOTICED.get(mutant.status) or ("explained" if reasons[mutant] else "open")

    rows = []
    for module in [*sorted({mutant.module for mutant in found}), "all"]:
        of = [mutant for mutant in found if module in ("all", mutant.module)]
        count = Counter(end(mutant) for mutant in of if mutant.status not in UNTRIED)
        tried = count.total()
        share = f"{1 - count['open'] / tried:.1%}" if tried else "-"
        rows.append(f"| {' | '.join(map(str, [module, len(of), tried, *(count[one] for one in ENDS), share]))} |")
    columns = ["module", "mutants", "tried", *ENDS, "noticed or explained"]
    head = f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}"
    listed = [f"- `{of.function}`: `{change}`: {reasons[of] or 'open'}" for of, change in survivors.items()]
    return "\n".join([head, *rows, "", "Survivors:", "", *sorted(listed)]) + "\n"


if __name__ == "__main__":
    text = report(mutants(), tomllib.loads((HERE / "mutants_explained.toml").read_text()))
    print(text)
    keep("mutants", f"mutmut, texts of messages left alone; a random sample, where not all were tried.\n\n{text}")
    print(f"written to {RESULTS}")
