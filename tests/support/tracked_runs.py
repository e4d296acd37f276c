"""Runs of one made-up value, tracked."""

from dfsc.data.layout import LOCO_TYPES
from dfsc.report.tracking import TrackedRun, track_run


def metrics_of(value: float) -> dict[str, float]:
    """Metrics of a run: logical `value`, structural 0.1 more."""
    values = (value, value + 0.1, value + 0.05)
    return {
        f"{metric}.{column}": number
        for metric in ("image_auroc", "au_spro_0.05")
        for column, number in zip((*LOCO_TYPES, "mean"), values, strict=True)
    }


def track(uri: str, category: str, method: str, seed: int, value: float) -> dict[str, str]:
    """Track one run of a made-up value."""
    tags = {"category": category, "method": method, "seed": str(seed), "size": "tiny", "commit": "c"}
    cell = f"{category}/{method}/seed{seed}"
    run = TrackedRun(
        cell,
        cell,
        tags={**tags, "pretraining_images": "generated (3 images)"},
        parameters={"steps": 3},
        curve=[{"step": 1, "hard": 2.0}, {"step": 2, "hard": 1.0}],
        metrics=metrics_of(value),
        artifacts={},
    )
    return track_run(uri, "benchmark", run)
