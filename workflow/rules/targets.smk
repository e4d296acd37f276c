# The final files: tables, figures, and what stands behind them.

from dfsc.planning.fetched import pretrained_sizes

TABLES = [
    "table1_image_auroc",
    "table2_au_spro",
    "table3_quantiles",
    "table4_readings",
    "table5_operating_points",
    "table6_defects",
    *(["table7_protocols"] if any(method.protocol for method in GRID.methods) else []),
]


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
            f"{RESULTS}/figures/auroc_over_quantile_{{baseline}}.{{ending}}",
            baseline=[baseline.name for baseline in GRID.baselines],
            ending=["pdf", "png"],
        ),
        *expand(
            f"{RESULTS}/figures/score_histograms_{{declared}}.{{ending}}",
            declared=GRID.headlines,
            ending=["pdf", "png"],
        ),
        *expand(
            f"{RESULTS}/figures/{{figure}}_{{declared}}_{{category}}.{{ending}}",
            figure=["heatmaps", "worst", "what_changed"],
            declared=GRID.headlines,
            category=CATEGORIES,
            ending=["pdf", "png"],
        ),
        *expand(
            f"{RESULTS}/figures/{{figure}}_{{declared}}_{{category}}.{{ending}}",
            figure=["novelty", "novelty_over_training"],
            declared=TRAINED_HEADLINES,
            category=CATEGORIES,
            ending=["pdf", "png"],
        ),
    ]


def receipts(wildcards):
    """One receipt per cell of the whole grid."""
    return GRID.receipts(Path(RESULTS))


def teacher_receipts():
    """One receipt per teacher that is pretrained here."""
    return [f"{TEACHER}/run.json".format(size=size) for size in pretrained_sizes(config)]


def speeds():
    """The measured speed of each network size."""
    return [f"{RESULTS}/{grid.speed_path(size)}" for size in SIZES]
