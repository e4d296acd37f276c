"""Check and measure everything on a GPU, in one call: `python -m benchmarks.gpu --write`.

The parts run in the order of their importance, and what each finds is written at once. For a machine with few packages,
from which only one folder comes back, three calls at the same commit:

    python -m benchmarks.gpu --prepare                  # here: generated images, data/gpu, which go there as well
    python -m benchmarks.gpu --output folder/gpu.md     # there
    python -m benchmarks.gpu --keep gpu.md              # here

Without a GPU, all of it runs on the CPU, at a size of seconds: no figure of it counts, but it shows that all works.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from benchmarks.gpu import agreement, speed, study
from benchmarks.gpu.report import Part, Report, run_parts
from benchmarks.gpu.scale import STUDIED, Scale, on_cpu
from benchmarks.results import RESULTS, keep
from benchmarks.timing import circumstances
from dfsc.files import write_text
from dfsc.settings.leaves import Size
from dfsc.training.device import choose_device

BUDGET = 520.0  # seconds, so that all of it ends within nine minutes
WORKERS = 6
LAST: Size = "M"  # its steps are measured if time is left
GENERATED = Path("data/gpu")


def parts_of(scale: Scale) -> list[Part]:
    """All parts in the order of their importance, with the seconds that each may need on a GPU."""
    size, precisions = scale.size, scale.precisions
    parts = [
        Part("losses and gradients against the CPU's", 20, partial(agreement.with_the_cpu, scale)),
        *(Part(f"step of {size} in {one}", 50, partial(speed.step, scale, size, one)) for one in precisions),
        *(Part(f"what a step waits for, {one}", 25, partial(speed.waited_for, scale, one)) for one in precisions),
        Part(f"scoring, {size}", 5, partial(speed.scoring, scale, size)),
        Part("compiled against as written", 50, partial(agreement.with_compiled, scale)),
        Part("resume, as written", 10, partial(agreement.resumed, scale, False)),
        Part("precisions, by AUROC", 70, partial(study.precisions, scale)),
        Part("pretraining of a teacher", 15, partial(speed.pretraining, scale)),
        Part("cold start", 65, partial(speed.cold_start, scale)),
        Part("several trainings at once", 70, partial(speed.at_once, scale, precisions[-1])),
        Part("resume, compiled", 30, partial(agreement.resumed, scale, True)),
    ]
    if scale.device.type == "cuda":
        parts.append(Part(f"scoring, {LAST}", 10, partial(speed.scoring, scale, LAST)))
        parts += [Part(f"step of {LAST} in {one}", 60, partial(speed.step, scale, LAST, one)) for one in precisions]
    return parts


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all parts. Returns 1 if a check does not hold, or a part failed or was stopped; a missed goal is no fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"replace the part of {RESULTS.name}, as figures come")
    parser.add_argument("--output", type=Path, help="a file to write the same to")
    parser.add_argument("--keep", type=Path, help=f"measure nothing; put such a file into {RESULTS.name}")
    parser.add_argument("--prepare", action="store_true", help="measure nothing; make the generated images")
    parser.add_argument("--generated", type=Path, help=f"their folder, {GENERATED} for a GPU; made if missing")
    parser.add_argument("--only", nargs="+", metavar="WORDS", help="parts whose names contain one of these")
    parser.add_argument("--budget", type=float, default=BUDGET, help="seconds for all parts; their shares follow")
    chosen = parser.parse_args(arguments)
    if chosen.keep:
        keep("cuda", chosen.keep.read_text(encoding="utf-8"))
    elif chosen.prepare:
        study.generate(chosen.generated or GENERATED, STUDIED)
    else:
        return measured(chosen, parser)
    return 0


def measured(chosen: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Run all parts."""
    device = choose_device("auto", torch.get_num_threads())
    if chosen.write and device.type != "cuda":
        parser.error(f"--write: there is no GPU here, and {RESULTS.name} has no place for such figures")

    def write(text: str) -> None:
        if chosen.output:
            write_text(chosen.output, text)
        if chosen.write:
            keep("cuda", text)

    with TemporaryDirectory() as folder:
        on_gpu, temporary = device.type == "cuda", Path(folder)
        generated = chosen.generated or (GENERATED if on_gpu else temporary / "generated")
        scale = Scale(device, temporary, generated, WORKERS) if on_gpu else on_cpu(temporary, generated)
        report = Report(circumstances(device), write)
        parts = [part._replace(share=part.share * chosen.budget / BUDGET) for part in parts_of(scale)]
        if chosen.only:
            parts = [part for part in parts if any(words in part.name for words in chosen.only)]
        run_parts(parts, chosen.budget, report)
    print(report.text())
    return int(report.faults > 0)


if __name__ == "__main__":
    sys.exit(main())
