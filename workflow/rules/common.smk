# The grid, and where its files lie. Everything a run produces is below results/<benchmark>/:
#   manifests/<category>/{training, test, ground_truth}.csv   pretraining.index   <size>/teacher.pt   checkpoints/
#   <size>/<category>/<method>/seed<seed>/{model.pt, scores.csv, maps.npz, metrics.json, run.json}
#   tables/   figures/

import json
import sys
from contextlib import contextmanager

from dfsc import config as configuration
from dfsc.environment import settle_environment
from dfsc.errors import RunFailed, UserError
from dfsc.provenance import code_digest
from dfsc.settings.reading import check, normalised

settle_environment()  # of the jobs' commands too


@contextmanager
def stopping_in_one_line():
    """Ends the workflow with a line and an exit code, in place of a traceback."""
    try:
        yield
    except (UserError, RunFailed) as error:
        print(f"dfsc: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if workflow.is_main_process:  # a job's configuration was checked by the run that submitted it
    with stopping_in_one_line():
        check(config)

config.update(normalised(config))

BENCHMARK = config["benchmark"]
RESULTS = f"results/{BENCHMARK}"
LOGS = f"logs/{BENCHMARK}"
DATASET = config["dataset"]["folder"]
CATEGORIES = config["dataset"]["categories"]
METHODS = configuration.methods(config)
PAIR = [  # what Tables 1 and 2 and the heatmaps show
    method for method in METHODS if method in (configuration.BASELINE, configuration.headline_method(config))
]
TABLES = ["table1_image_auroc", "table2_au_spro", "table3_quantiles", "table4_readings"]
SIZES = config["training"]["sizes"]
SEEDS = config["training"]["seeds"]
MODEL = f"{RESULTS}/{{size}}/{{category}}/{{method}}/seed{{seed}}"
MODEL_LOG = f"{LOGS}/{{size}}/{{category}}/{{method}}/seed{{seed}}"


wildcard_constraints:
    size="|".join(SIZES),
    category="|".join(CATEGORIES),
    method="|".join(method.replace(".", r"\.") for method in METHODS),
    seed="|".join(map(str, SEEDS)),


def tables():
    """The final tables."""
    return expand(
        f"{RESULTS}/tables/{{table}}.{{ending}}",
        table=TABLES,
        ending=["csv", "md", "tex", "html"],
    )


def figures():
    """The final figures."""
    return [
        *expand(
            f"{RESULTS}/figures/{{figure}}_{{size}}.{{ending}}",
            figure=["auroc_over_quantile", "score_histograms"],
            size=SIZES,
            ending=["pdf", "png"],
        ),
        *expand(
            f"{RESULTS}/figures/{{figure}}_{{size}}_{{category}}.{{ending}}",
            figure=["heatmaps", "worst", "novelty", "novelty_over_training"],
            size=SIZES,
            category=CATEGORIES,
            ending=["pdf", "png"],
        ),
    ]


def receipts(wildcards):
    """One receipt per model of the whole grid."""
    return expand(f"{MODEL}/run.json", size=SIZES, category=CATEGORIES, method=METHODS, seed=SEEDS)


def teacher_receipts():
    """One receipt per teacher that is pretrained here."""
    return [f"{RESULTS}/{size}/teacher_run.json" for size in SIZES if size not in config["teacher"]["published"]]


def as_json(settings):
    """Settings of one stage, as its command takes them."""
    return json.dumps(settings, sort_keys=True)


# Ends the command of a long rule: shows its output and keeps it. Slurm sends the signal that ends a job to all of its
# processes; this one stays, as the training still writes while it saves its checkpoint.
SHOWN_AND_KEPT = "2>&1 | (trap '' INT TERM && tee {log})"
