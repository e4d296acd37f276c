"""The benchmark of large grids: the commands take what it makes for a finished grid, and it tells what they took."""

from pathlib import Path

import pytest

from benchmarks.grid_size import PAIR, STATUS, TABLES, Spent, draw, report
from benchmarks.large_grid import PER_CATEGORY, LargeGrid
from support.command_line import dfsc


def test_a_made_grid_is_read_as_one_that_ran(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    grid = LargeGrid(tmp_path, 1)
    for make, state, commands in (
        (grid.begin, "running", []),
        (grid.finish, "done", [["tables"], ["pair", "--output", "pairs.json"]]),
    ):
        make()
        for command in (*commands, ["status"]):
            outcome = dfsc(*command, "--configfile", grid.file.name)
            assert outcome.code == 0, outcome.errors
        assert f"\n{PER_CATEGORY} {state}\n" in capsys.readouterr().out
    assert "PARTIAL" not in (grid.results / "tables/table6_defects.md").read_text()


def test_growth_and_goals_are_told(tmp_path: Path) -> None:
    within, above = Spent(1, 1, 1), Spent(3, 3, 3)
    found = {TABLES: [within, above], PAIR: [within, above], STATUS: [above, within]}
    tables, pair, status = report(found, [50, 100]).splitlines()[-3:]
    assert tables.split(" | ")[1:] == ["1.0 s", "3.0 s", "3.00", "3.00 GiB", "60 s, 2 GiB", "**missed** |"]
    assert pair.endswith("| 3.00 | 3.00 GiB |  |  |") and status.endswith("| 2 s | met |")
    assert "met" not in report(found, [1, 2])
    draw(found, [1, 2], tmp_path / "drawn.png")
    assert (tmp_path / "drawn.png").stat().st_size > 0
