# DFSC against EfficientAD on MVTec LOCO AD, from nothing to the tables.
#   snakemake --cores 8 --profile slurm                            the published benchmark, on a cluster
#   snakemake --cores 2 --configfile config/demo.yaml              the same pipeline on generated images, on two cores
# Data flow: images -> teacher -> model -> anomaly maps -> metrics -> tracked run -> tables, figures, page.

import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.0")

if not Path(workflow.basedir).samefile("."):  # configurations, results and profiles are looked for where Snakemake runs
    print(f"dfsc: snakemake runs in its checkout: cd {workflow.basedir}, without -s and -d", file=sys.stderr)
    sys.exit(2)


configfile: "config/config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/targets.smk"
include: "workflow/rules/cluster.smk"
include: "workflow/rules/changes.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/manifests.smk"
include: "workflow/rules/teacher.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/outside.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/track.smk"
include: "workflow/rules/paper.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/novelty.smk"
include: "workflow/rules/page.smk"


onerror:  # other jobs went on, so that what failed may stand far above
    lines = [line for file in log for line in Path(file).read_text(errors="replace").splitlines()]
    for line in dict.fromkeys(line for line in lines if line.startswith("dfsc: ")):
        print(line, file=sys.stderr)


localrules:
    all,
    fetch,
    index_pretraining,
    track,
    track_teacher,
    pair,
    import_teacher,
    tables,
    draw_auroc_over_quantile,
    draw_histograms,
    draw_heatmaps,
    draw_what_changed,
    draw_novelty,
    draw_novelty_over_training,
    page,


rule all:
    default_target: True
    input:
        tables(),
        figures(),
        rules.page.output,
        teacher_receipts(),
        rules.pair.output,
