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
        f"{RESULTS}/figures/{start}_{of}.{ending}"
        for start, names in grid.figure_names(GRID).items()
        for of in names
        for ending in ("pdf", "png")
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
