"""ROC and sPRO curves of an evaluation, as CSV and as a figure."""

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING

from dfsc.data.layout import ANOMALY_TYPES
from dfsc.files import write_text
from dfsc.metrics.spro import HEADLINE_LIMIT
from dfsc.metrics.summary import Evaluation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STYLES = ("-", "--", "-.", ":")


def write_curves(path: Path, evaluation: Evaluation) -> None:
    """Write `path`.csv, `path`.pdf and `path`.png, each whole or not at all."""
    write_text(path.with_suffix(".csv"), curves_as_csv(evaluation))
    draw_curves(path, evaluation)


def curves_as_csv(evaluation: Evaluation) -> str:
    """One line per point: metric ('roc' or 'spro'), anomaly type, defect ('' for all of the type), fpr, value.

    `value` is the true positive rate over images or the mean sPRO over regions; digits suffice to read it back exactly.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["metric", "anomaly_type", "defect", "fpr", "value"])
    for metric, curves in (("roc", evaluation.roc_curves), ("spro", evaluation.spro_curves)):
        for key, (fpr, value) in curves.items():
            anomaly_type, _, defect = key.partition("/")
            points = zip(fpr.tolist(), value.tolist(), strict=True)
            writer.writerows((metric, anomaly_type, defect, *point) for point in points)
    return text.getvalue()


def draw_curves(path: Path, evaluation: Evaluation) -> "Figure":
    """ROC of images, sPRO of regions, and the sPRO of each anomaly type's defects up to the headline limit.

    Returns the figure as saved.
    """
    import matplotlib.pyplot as plt

    from dfsc.report.figures.plotting import COLOURS, save_figure, say_not_measured

    localization = evaluation.metrics["localization"]
    auc_roc, auc_spro = evaluation.metrics["classification"]["auc_roc"], localization["auc_spro"]
    columns = max(2, len(localization["auc_spro_per_defect"]))
    figure, ((roc, spro, *unused), defects) = plt.subplots(
        2, columns, figsize=(4.5 * columns, 7), squeeze=False, layout="constrained"
    )
    panels = iter(defects)
    for anomaly_type, style in zip(ANOMALY_TYPES, STYLES, strict=False):
        if anomaly_type not in auc_roc:
            continue
        name, line = anomaly_type.replace("_", " "), {"linestyle": style, "color": COLOURS[anomaly_type]}
        roc.plot(*evaluation.roc_curves[anomaly_type], label=f"{auc_roc[anomaly_type]:.3f} {name}", **line)
        if anomaly_type not in auc_spro:
            continue
        axis = next(panels)
        spro.plot(*evaluation.spro_curves[anomaly_type], label=f"{auc_spro[anomaly_type]['1.0']:.3f} {name}", **line)

        areas = localization["auc_spro_per_defect"][anomaly_type]
        for number, (defect, area) in enumerate(areas.items()):
            label = f"{area[str(HEADLINE_LIMIT)]:.3f} {defect.replace('_', ' ')}"
            curve = evaluation.spro_curves[f"{anomaly_type}/{defect}"]
            # Ten colours times four line styles: more than LOCO's 14 defects of one type.
            axis.plot(*curve, color=f"C{number % 10}", linestyle=STYLES[number // 10 % 4], linewidth=1.2, label=label)
        axis.set(xlim=(0, HEADLINE_LIMIT), xlabel="false positive rate of pixels", ylabel="mean sPRO",
                 title=f"sPRO by defect, {name}")  # fmt: skip
    roc.set(xlim=(-0.01, 1), xlabel="false positive rate of images", ylabel="true positive rate", title="ROC")
    spro.set(xlim=(-0.01, 1), xlabel="false positive rate of pixels", ylabel="mean sPRO", title="sPRO")
    for axis in (roc, spro, *defects, *unused):
        if not axis.lines:
            say_not_measured(axis) if axis in (roc, spro) else axis.set_axis_off()
            continue
        axis.set(ylim=(0, 1.02))
        axis.grid(linewidth=0.3)
        axis.legend(fontsize=7, title="area", title_fontsize=7)
    save_figure(figure, path)
    return figure
