"""A pytest plugin of `make mutants`: on which tests a mutant is tried, in which order, and what fixtures keep for them.

mutmut tries a mutant on the tests that were seen to call its function. What a fixture of a module calls is seen during
the first test alone; the others, which may be the ones that check it, would never be tried. So each test is credited
with what its fixtures call.

A fixture that calls nothing of the mutated function gives what it gave in mutmut's own process, of which a mutant's is
a fork. Before the first mutant, mutmut runs all tests once more, on what was kept.
"""

import inspect
import os
import tempfile
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
Place = tuple[str, str]  # of a fixture: the file that defines it, and its name
Stamp = tuple[int, int]  # of a file: bytes, and when it was written


@dataclass(frozen=True)
class Kept:
    """What a fixture gave."""

    value: object
    asks_for: frozenset[Place]
    calls: frozenset[str]  # functions, by mutmut's names
    folders: frozenset[Path]  # that it made
    files: dict[Path, Stamp]  # in them

    def is_changed(self) -> bool:
        """Whether somebody has written to its folders since."""
        return self.files != stamps(self.folders)


# Below it all of mutmut's runs make their folders, and no other pytest's, which would remove what is kept.
apart = tempfile.TemporaryDirectory(prefix="mutants-")
os.environ["PYTEST_DEBUG_TEMPROOT"] = apart.name

called_by: dict[Definition, set[str]] = {}
kept: dict[Place, Kept] = {}


def place(definition: Definition) -> Place:
    """What names a fixture in each of mutmut's runs."""
    return definition.baseid, definition.argname


def stamps(folders: Iterable[Path]) -> dict[Path, Stamp]:
    """Of all files in them; not of locks, which are empty, and written again by whoever takes them."""
    found = {file: file.stat() for folder in folders for file in folder.rglob("*") if file.is_file()}
    return {file: (status.st_size, status.st_mtime_ns) for file, status in found.items() if status.st_size}


def with_all_that_ask(places: set[Place]) -> set[Place]:
    """These fixtures, and those that ask for one of them, of one another too."""
    more = {one for one, found in kept.items() if found.asks_for & places} - places
    return with_all_that_ask(places | more) if more else places


def base_folder(config: pytest.Config) -> Path:
    """Where all fixtures of a run make their folders."""
    folder: Path = config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
    return folder


def is_ours(definition: Definition) -> bool:
    """Whether the tests define this fixture, and not pytest."""
    return not definition.func.__module__.startswith("_pytest.")


def can_be_kept(definition: Definition) -> bool:
    """Whether several tests share what this fixture gives, and nothing of it is taken down at their end."""
    shared = definition.scope != "function" and definition.params is None
    return is_ours(definition) and shared and not inspect.isgeneratorfunction(definition.func)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: Definition, request: pytest.FixtureRequest) -> Generator[None, object, object]:
    """See what this fixture's set-up calls, apart from what was called before it; and keep what it gives."""
    if get_mutant_under_test() != SEEING:
        return (yield)
    base = base_folder(request.config)
    there = set(base.iterdir())
    before = set(state()._stats)
    state()._stats.clear()
    value = yield
    called_by[fixturedef] = set(state()._stats)
    state()._stats.update(before)
    asked = [request._get_active_fixturedef(name) for name in fixturedef.argnames if name != "request"]
    asks_for = frozenset(place(definition) for definition in asked if is_ours(definition))
    if can_be_kept(fixturedef) and asks_for <= kept.keys():
        folders = frozenset(folder for folder in base.iterdir() if folder not in there and not folder.is_symlink())
        calls = frozenset(called_by[fixturedef])
        kept[place(fixturedef)] = Kept(value, asks_for, calls, folders, stamps(folders))
    return value


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None]:
    """Forget what a test or another fixture wrote to; and lock the rest, as each later run removes old folders."""
    yield
    if get_mutant_under_test() == SEEING:
        for one in with_all_that_ask({one for one, found in kept.items() if found.is_changed()}):
            del kept[one]
        (base_folder(session.config) / ".lock").touch()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Give fixtures what was kept of them, where the mutant cannot change it and no earlier one's test has."""
    if get_mutant_under_test() == SEEING:
        return
    function = mutated()
    made_again = {one for one, found in kept.items() if function in found.calls or found.is_changed()}
    held = kept.keys() - with_all_that_ask(made_again)
    functions = [item for item in session.items if isinstance(item, pytest.Function)]
    for definitions in (of for item in functions for of in item._fixtureinfo.name2fixturedefs.values()):
        for definition in definitions:
            if place(definition) in held:
                definition.cached_result = (kept[place(definition)].value, None, None)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Function) -> None:
    """Add what the test's fixtures called, whichever test they were set up for; also those that it got by name."""
    for definition in item._request._fixture_defs.values():
        state()._stats.update(called_by.get(definition, ()))


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
