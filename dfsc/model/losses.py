"""The losses. EfficientAD and DFSC differ by `autoencoder_loss`, and by nothing else.

Sources: EfficientAD is Batzner et al. 2024. Of DFSC (Lee & Kim 2024) it is published that the features of teacher and
autoencoder are split by a quantile into similar and novel ones, and that the autoencoder keeps a margin on the novel
ones; the formulas below, their defaults and options are inferred from that, and are not the paper's own.
"""

import math
from collections.abc import Callable

from torch import Tensor

from dfsc.settings.training import INSIDE_MARGIN, NOVEL_THRESHOLD, DfscSettings

Watched = dict[str, Tensor]  # what the constraint acts on, scalars by name: see `WATCHED`
AutoencoderLoss = Callable[[Tensor, Tensor], tuple[Tensor, Watched]]  # (T', A), each [n, channels, h, w] -> scalar


def autoencoder_loss(settings: DfscSettings | None) -> AutoencoderLoss:
    """L_AE of the baseline (None), or DFSC's similar and novel parts in its place; and what is watched of DFSC's."""

    def efficientad(teacher: Tensor, autoencoder: Tensor) -> tuple[Tensor, Watched]:
        return (teacher - autoencoder).square().mean(), {}

    def dfsc(teacher: Tensor, autoencoder: Tensor) -> tuple[Tensor, Watched]:
        assert settings is not None
        squared = (teacher - autoencoder).square()
        loss = squared.mean()
        if settings.split_unit == "position":
            squared = squared.mean(dim=1)
        threshold = quantile_threshold(squared, settings.quantile)
        novel = squared.detach() >= threshold
        if settings.autoencoder_loss_over == "similar":
            loss = masked_mean(squared, ~novel)
        distance, threshold = (_distance(settings, values, teacher.shape[1]) for values in (squared, threshold))
        margin = settings.margin * (threshold if settings.margin_unit == "threshold" else 1)
        hinge = (margin - distance).relu()
        watched = {INSIDE_MARGIN: masked_mean((hinge.detach() > 0).float(), novel), NOVEL_THRESHOLD: threshold}
        pushed = masked_mean(hinge, novel) if settings.novel_loss_over == "novel" else (hinge * novel).mean()
        return loss + settings.novel_weight * pushed, watched

    return efficientad if settings is None else dfsc


def _distance(settings: DfscSettings, squared: Tensor, channels: int) -> Tensor:
    """What the margin is compared with, of squared feature distances: of elements, or channel means of positions."""
    if settings.distance == "squared":
        return squared
    if settings.distance == "norm":  # the L2 norm over the channels, of positions alone
        squared = channels * squared
    return squared.clamp_min(1e-12).sqrt()  # at 0, the root has no gradient


def hard_elements(teacher: Tensor, student: Tensor, quantile: float) -> Tensor:
    """What L_hard averages: elements of (T' - S_T)^2 at or above their `quantile` (Batzner et al. 2024, section 3.2).

    Both [n, channels, h, w]; the quantile is over all elements of the batch. Returns bool [n, channels, h, w].
    """
    squared = (teacher - student).detach().square()
    return squared >= quantile_threshold(squared, quantile)


def hard_loss(teacher: Tensor, student: Tensor, hard: Tensor) -> Tensor:
    """L_hard: mean of the `hard` elements of (T' - S_T)^2; all of one shape, of all positions or of some."""
    return masked_mean((teacher - student).square(), hard)


def penalty_loss(student: Tensor) -> Tensor:
    """L_penalty: mean of S_T(p)^2 over a pretraining image p, [n, channels, h, w] (Batzner et al. 2024)."""
    return student.square().mean()


def student_autoencoder_loss(autoencoder: Tensor, student: Tensor) -> Tensor:
    """L_STAE: mean of (A - S_A)^2, with gradient to both, as in the re-implementation. Both [n, channels, h, w]."""
    return (autoencoder - student).square().mean()


def quantile_threshold(values: Tensor, quantile: float) -> Tensor:
    """The smallest element at or above the linearly interpolated `quantile` (in 0..1) of all elements.

    `values >= quantile_threshold(values, q)` selects what `values >= torch.quantile(values, q)` does, ties included,
    without sorting everything.
    """
    flat = values.detach().flatten()
    above = flat.numel() - math.ceil(quantile * (flat.numel() - 1))
    return flat.topk(above, sorted=False).values.min()


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the elements that `mask` selects; 0 if it selects none."""
    return (values * mask).sum() / mask.sum().clamp_min(1)
