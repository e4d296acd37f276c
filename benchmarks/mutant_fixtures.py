"""A pytest plugin of `make mutants`: credits what a fixture calls to every test that uses it; quick tests come first.

mutmut tries a mutant on the tests that were seen to call its function. What a fixture of a module calls is seen during
the first test alone; the others, which may be the ones that check it, would never be tried.
"""

from collections import defaultdict
from collections.abc import Generator
from typing import Any

import pytest
from mutmut.state import state

called_by: dict[pytest.FixtureDef[Any], set[str]] = {}


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any]) -> Generator[None, object, object]:
    """Note what this fixture's set-up calls, apart from what was called before it."""
    before = set(state()._stats)
    state()._stats.clear()
    result = yield
    called_by[fixturedef] = set(state()._stats)
    state()._stats.update(before)
    return result


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Function) -> None:
    """Add what the test's fixtures called, whichever test they were set up for; also those that it got by name."""
    for definition in item._request._fixture_defs.values():
        state()._stats.update(called_by.get(definition, ()))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the quickest module's tests first, where it is known how long they take: most mutants end there.

    Without those that start processes by a fork server: it serves mutmut's own process, and none that this forks.
    """
    left_out = [item for item in items if isinstance(item, pytest.Function) and "processes" in item.fixturenames]
    if left_out:
        left_out[0].config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    took = state().duration_by_test
    of_module = defaultdict[str, float](float)
    for item in items:
        of_module[item.nodeid.partition("::")[0]] += took.get(item.nodeid, 0)
    items.sort(key=lambda item: of_module[item.nodeid.partition("::")[0]])
