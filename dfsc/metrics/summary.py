"""What is said of one method on one category: the official numbers, more beside them, and the curves."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from dfsc.metrics.auroc import auroc, roc_curve
from dfsc.metrics.operating_point import HEADLINE_RATE, verdict_counts
from dfsc.metrics.spro import FPR_LIMITS, HEADLINE_LIMIT, Curve, SproAccumulator, au_spro, spro_at

METRICS = ("image_auroc", *(f"au_spro_{limit}" for limit in FPR_LIMITS))  # that methods are compared by
HEADLINE_METRICS = ("image_auroc", f"au_spro_{HEADLINE_LIMIT}")
Areas = dict[str, float]  # FPR limit -> AU-sPRO


@dataclass(frozen=True)
class Evaluation:
    """What is said of one method on one category.

    metrics: the official keys `classification.auc_roc.{logical_anomalies,structural_anomalies,mean}` and
        `localization.auc_spro.{logical_anomalies,structural_anomalies,mean}.{"0.01","0.05","0.1","0.3","1.0"}`;
        beside them `classification.auc_roc_pooled` (both types together against the good images: not the benchmark's
        number), `localization.auc_spro_per_defect.<anomaly type>.<defect name>.<limit>`,
        `classification.auc_roc_per_defect.<anomaly type>.<defect name>` (the images with that defect against the good
        ones), `operating_points.<promised rate>` (as `verdict_counts`) and `counts`.
        What a category lacks was not measured and has no number: an anomaly type, or the regions of one without masks.
        Each mean is over the types that were measured, and is not there if none was.
    roc_curves: anomaly type -> (FPR, TPR) over the images.
    spro_curves: anomaly type, or 'anomaly type/defect name' -> (FPR, mean sPRO), exact values at about a thousand
        rates, the limits among them.
    image_scores: 'test/good/000.png' -> maximum of its full-size map.
    """

    metrics: dict[str, Any]
    roc_curves: dict[str, Curve]
    spro_curves: dict[str, Curve]
    image_scores: dict[str, float]


def summarise(
    image_scores: Mapping[str, Mapping[str, float]],
    accumulators: Mapping[str, SproAccumulator],
    defect_names: Mapping[str, Sequence[str]],
    images_with: Mapping[str, Mapping[str, Sequence[str]]],
    thresholds: Mapping[float, float],
    pool: ThreadPoolExecutor,
) -> Evaluation:
    """The evaluation of a category.

    image_scores: 'good' or anomaly type -> path -> image score. accumulators: anomaly type that has masks -> its
    regions, with all negatives counted. defect_names: anomaly type -> the names of the accumulator's regions, in their
    order. images_with: anomaly type that has masks -> defect name -> the paths of the images with such a region.
    thresholds: promised false-alarm rate -> threshold of the image score; empty if none is known.
    """
    scores = {folder: np.array(list(by_path.values())) for folder, by_path in image_scores.items()}
    anomalous = {folder: of_folder for folder, of_folder in scores.items() if folder != "good"}
    auc_roc = {anomaly_type: auroc(scores["good"], of_type) for anomaly_type, of_type in anomalous.items()}
    areas, spro_curves = _localize(accumulators, defect_names, pool)
    auc_spro = {anomaly_type: areas[anomaly_type] for anomaly_type in accumulators}
    regions = {anomaly_type: dict(sorted(Counter(names).items())) for anomaly_type, names in defect_names.items()}
    per_defect = {
        anomaly_type: {name: areas[f"{anomaly_type}/{name}"] for name in names}
        for anomaly_type, names in regions.items()
    }
    of_defect = {
        kind: {name: np.array([image_scores[kind][path] for path in paths]) for name, paths in sorted(defects.items())}
        for kind, defects in images_with.items()
    }
    classification: dict[str, Any] = {
        "auc_roc": auc_roc,
        "auc_roc_per_defect": {
            kind: {name: auroc(scores["good"], values) for name, values in defects.items()}
            for kind, defects in of_defect.items()
        },
    }
    if anomalous:
        auc_roc["mean"] = float(np.mean(list(auc_roc.values())))
        classification["auc_roc_pooled"] = auroc(scores["good"], np.concatenate(list(anomalous.values())))
    if auc_spro:
        limits = map(str, FPR_LIMITS)
        auc_spro["mean"] = {
            limit: float(np.mean([of_type[limit] for of_type in auc_spro.values()])) for limit in limits
        }
    metrics = {
        "classification": classification,
        "localization": {"auc_spro": auc_spro, "auc_spro_per_defect": per_defect},
        "operating_points": {
            str(rate): verdict_counts(scores, of_defect, threshold) for rate, threshold in thresholds.items()
        },
        "counts": {
            "images": {folder: of_folder.size for folder, of_folder in scores.items()},
            "images_per_defect": {
                kind: {name: values.size for name, values in defects.items()} for kind, defects in of_defect.items()
            },
            "regions": regions,
        },
    }
    return Evaluation(
        metrics=metrics,
        roc_curves={anomaly_type: roc_curve(scores["good"], of_type) for anomaly_type, of_type in anomalous.items()},
        spro_curves=spro_curves,
        image_scores={path: score for by_path in image_scores.values() for path, score in by_path.items()},
    )


def _localize(
    accumulators: Mapping[str, SproAccumulator], defect_names: Mapping[str, Sequence[str]], pool: ThreadPoolExecutor
) -> tuple[dict[str, Areas], dict[str, Curve]]:
    """Areas and thinned curve of each anomaly type, and of each 'anomaly type/defect name'.

    The regions of one defect stand on the FPR axis of their anomaly type, so that the type's curve is the mean of its
    defects' curves, weighted by their numbers of regions.
    """
    rates = np.unique(np.concatenate([[0], np.geomspace(1e-6, 1, 500), np.linspace(0, 1, 501), FPR_LIMITS]))
    chosen: dict[tuple[str, str], list[int]] = {}
    for anomaly_type in accumulators:
        chosen[anomaly_type, anomaly_type] = list(range(len(defect_names[anomaly_type])))
        for number, name in enumerate(defect_names[anomaly_type]):
            chosen.setdefault((anomaly_type, f"{anomaly_type}/{name}"), []).append(number)

    def localize(anomaly_type: str, numbers: list[int]) -> tuple[Areas, Curve]:
        fpr, spro = accumulators[anomaly_type].curve(numbers)
        return {str(limit): au_spro(fpr, spro, limit) for limit in FPR_LIMITS}, (rates, spro_at(fpr, spro, rates))

    results = list(pool.map(localize, (anomaly_type for anomaly_type, _ in chosen), chosen.values()))
    keys = [key for _, key in chosen]
    found = dict(zip(keys, results, strict=True))
    return {key: areas for key, (areas, _) in found.items()}, {key: curve for key, (_, curve) in found.items()}


def flat_metrics(measured: dict[str, Any]) -> dict[str, float]:
    """metrics.json under the names that MLflow and the tables use: 'image_auroc.mean', 'au_spro_0.05.mean'..."""
    flat = {f"image_auroc.{name}": value for name, value in measured["classification"]["auc_roc"].items()}
    for name, by_limit in measured["localization"]["auc_spro"].items():
        flat |= {f"au_spro_{limit}.{name}": value for limit, value in by_limit.items()}
    limit = str(HEADLINE_LIMIT)
    for kind, defects in measured["localization"]["auc_spro_per_defect"].items():
        flat |= {f"au_spro_{limit}.{kind}.{metric_name(defect)}": areas[limit] for defect, areas in defects.items()}
    for kind, aurocs in measured["classification"]["auc_roc_per_defect"].items():
        flat |= {f"image_auroc.{kind}.{metric_name(defect)}": value for defect, value in aurocs.items()}
    return flat | _flat_operating_points(measured["operating_points"], measured["counts"])


def _flat_operating_points(points: dict[str, Any], counts: dict[str, Any]) -> dict[str, float]:
    """As shares in 0..1: 'false_alarms.0.05', 'missed.0.05.<type>', 'found.0.05.<type>.<defect>'.

    Of each defect, the number of its images too: 'images.<type>.<defect>'.
    """
    flat = {
        f"images.{kind}.{metric_name(defect)}": float(number)
        for kind, defects in counts["images_per_defect"].items()
        for defect, number in defects.items()
    }
    images = counts["images"]
    for rate, point in points.items():
        flat[f"false_alarms.{rate}"] = point["false_alarms"] / images["good"]
        flat |= {f"missed.{rate}.{kind}": number / images[kind] for kind, number in point["missed"].items()}
    rate = str(HEADLINE_RATE)
    for kind, defects in points.get(rate, {"found_per_defect": {}})["found_per_defect"].items():
        for defect, number in defects.items():
            flat[f"found.{rate}.{kind}.{metric_name(defect)}"] = number / counts["images_per_defect"][kind][defect]
    return flat


def metric_name(text: str) -> str:
    """Any text as part of a metric's name, where MLflow allows letters, digits, '_', '-', '.', ' ' and ':' alone.

    Other signs become '_x<hexadecimal>_', '&' for example '_x26_'; different texts stay different.
    """
    return re.sub(r"[^\w.\- :]|_(?=x[0-9a-f]+_)", lambda sign: f"_x{ord(sign[0]):02x}_", text)
