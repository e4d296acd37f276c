"""Each compared run beside its baseline in MLflow: it is given the differences, and told which run they are from."""

from pathlib import Path

from dfsc.files import write_json
from dfsc.report.compare import paired_differences, receipts_below, runs_frame
from dfsc.report.tracking import read_runs, record_differences
from dfsc.settings.grid import Grid


def pair_runs(uri: str, results: Path, grid: Grid, output: Path) -> None:
    """Give each compared run in MLflow its metrics minus its baseline's; write them to `output`, by run, too.

    Raises UserError as `read_runs` and `runs_frame` do.
    """
    runs = read_runs(uri, receipts_below(results, grid))
    differences = paired_differences(runs_frame(runs, grid), grid)
    record_differences(uri, runs, differences)
    write_json(output, {run: {"baseline": baseline, **values} for run, (baseline, values) in differences.items()})
