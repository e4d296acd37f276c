"""A pytest plugin of `make mutants`: on which tests a mutant is tried, in which order, and what fixtures keep for them.

mutmut tries a mutant on the tests that were seen to call its function. What a fixture of a module calls is seen during
the first test alone; the others, which may be the ones that check it, would never be tried. So each test is credited
with what its fixtures call.

A fixture that calls nothing of the mutated function gives what it gave in mutmut's own process, of which a mutant's is
a fork. Before the first mutant, mutmut runs all tests once more, on what was kept.
"""

import inspect
from collections import Counter, defaultdict
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mutmut.mutation.trampoline import get_mutant_under_test
from mutmut.state import state

SEEING = "stats"  # mutmut's word for the run in which it sees what each test calls
KILLERS = Path("killers.tsv")  # in mutmut's folder: which test failed on which function's mutants
KILLERS_FIRST = 3

Definition = pytest.FixtureDef[Any]
Stamp = tuple[int, int]  # of a file: bytes, and when it was written


@dataclass(frozen=True)
class Kept:
    """What a fixture gave."""

    value: object
    calls: frozenset[str]  # functions, those of the fixtures that it asks for, too
    files: dict[Path, Stamp]  # that it wrote

    def holds(self) -> bool:
        """Whether the mutant cannot change it, and no test of an earlier one has."""
        return mutated() not in self.calls and self.files == stamps(self.files)


called_by: dict[Definition, set[str]] = {}
kept: dict[tuple[str, str], Kept] = {}


def place(definition: Definition) -> tuple[str, str]:
    """What names a fixture in each of mutmut's runs."""
    return definition.baseid, definition.argname


def stamps(files: Iterable[Path]) -> dict[Path, Stamp]:
    """The stamps of those that are there."""
    found = {file: file.stat() for file in files if file.is_file()}
    return {file: (status.st_size, status.st_mtime_ns) for file, status in found.items()}


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: Definition, request: pytest.FixtureRequest) -> Generator[None, object, object]:
    """See what this fixture's set-up calls, apart from what was called before it; and keep what it gives."""
    if get_mutant_under_test() != SEEING:
        return (yield)
    base: Path = request.config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
    there = stamps(base.rglob("*"))
    before = set(state()._stats)
    state()._stats.clear()
    value = yield
    called_by[fixturedef] = set(state()._stats)
    state()._stats.update(before)
    asked = [request._get_active_fixturedef(name) for name in fixturedef.argnames if name != "request"]
    asked = [definition for definition in asked if is_ours(definition)]
    if can_be_kept(fixturedef) and all(place(definition) in kept for definition in asked):
        calls = called_by[fixturedef].union(*(kept[place(definition)].calls for definition in asked))
        written = {file: one for file, one in stamps(base.rglob("*")).items() if there.get(file) != one}
        kept[place(fixturedef)] = Kept(value, frozenset(calls), written)
    return value


def is_ours(definition: Definition) -> bool:
    """Whether the tests define this fixture, and not pytest."""
    return not definition.func.__module__.startswith("_pytest.")


def can_be_kept(definition: Definition) -> bool:
    """Whether several tests share what this fixture gives, and nothing of it is taken down at their end."""
    shared = definition.scope != "function" and definition.params is None
    return is_ours(definition) and shared and not inspect.isgeneratorfunction(definition.func)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Function) -> None:
    """Add what the test's fixtures called, whichever test they were set up for; also those that it got by name."""
    for definition in item._request._fixture_defs.values():
        state()._stats.update(called_by.get(definition, ()))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Give fixtures what was kept of them."""
    if get_mutant_under_test() == SEEING:
        return
    held = {where: one for where, one in kept.items() if one.holds()}
    functions = [item for item in session.items if isinstance(item, pytest.Function)]
    for definitions in (of for item in functions for of in item._fixtureinfo.name2fixturedefs.values()):
        for definition in definitions:
            if place(definition) in held:
                definition.cached_result = (held[place(definition)].value, None, None)


def mutated() -> str:
    """The function that the mutant changes, by mutmut's name; "" where there is none."""
    function, _, number = get_mutant_under_test().partition("__mutmut_")
    return function if number else ""


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note a test that notices: it will be the first for the next mutants of this function."""
    if report.failed and mutated():
        with KILLERS.open("a") as stream:
            stream.write(f"{mutated()}\t{report.nodeid}\n")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run what noticed this function's mutants first, then the quickest modules: most mutants end there.

    Without those that start processes by a fork server: it serves mutmut's own process, and none that this forks.
    """
    left_out = [item for item in items if isinstance(item, pytest.Function) and "processes" in item.fixturenames]
    if left_out:
        left_out[0].config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    lines = KILLERS.read_text().splitlines() if mutated() and KILLERS.exists() else []
    noticed = Counter(test for function, _, test in (line.partition("\t") for line in lines) if function == mutated())
    first = [test for test, _ in noticed.most_common(KILLERS_FIRST)]
    took = state().duration_by_test
    of_module = defaultdict[str, float](float)
    for item in items:
        of_module[item.nodeid.partition("::")[0]] += took.get(item.nodeid, 0)
    items.sort(key=lambda item: (item.nodeid not in first, of_module[item.nodeid.partition("::")[0]]))
