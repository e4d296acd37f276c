"""Which of mypy's errors count for a mutant: a score that counts others is too good."""

from pathlib import Path

import pytest

from benchmarks.mutant_types import of_mutants

WRITTEN = """
def f(x):  # line 2
    return g(x)

def x_f__mutmut_orig(x):  # line 5
    return g(x)

def x_f__mutmut_1(x):  # line 8
    return g(None)

def x_f__mutmut_2(x):  # line 11
    return g(x)
"""
OF_THE_FUNCTION = 'name "y" is defined on line {}'


@pytest.mark.parametrize(
    ("line", "message", "counts"),
    [
        (9, "a wrong argument", True),
        (12, "another", True),
        (12, OF_THE_FUNCTION.format(12), False),  # said of the function as it is, too
        (3, "a wrong argument", False),  # outside of all mutants
        (6, "something new", False),  # of the function as it is
    ],
)
def test_an_error_counts_where_a_mutant_alone_has_it(tmp_path: Path, line: int, message: str, counts: bool) -> None:
    file = tmp_path / "module.py"
    file.write_text(WRITTEN)
    as_it_is = {"file": str(file), "line": 6, "message": OF_THE_FUNCTION.format(6)}
    error = {"file": str(file), "line": line, "message": message}
    assert list(of_mutants([as_it_is, error])) == ([error] if counts else [])
