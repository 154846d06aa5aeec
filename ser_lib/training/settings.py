"""How a network is trained, as data: part of a study, and of a run's key."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from ser_lib.errors import StudyError

ALLOWED = {
    "optimizer": ("adam", "rmsprop", "sgd"),
    "schedule": ("constant", "step", "restarts", "cosine"),
    "loss": ("cross_entropy", "focal"),
    "keep": ("", "val_accuracy"),
    "sampling": ("every_row", "balanced"),
    "stop_on": ("val_loss", "val_accuracy"),
    "precision": ("float32", "mixed_bfloat16"),
}

# Share of the training in which the rate of `cosine` rises.
WARM_UP_SHARE = 0.1


def _added(default: object) -> Any:
    """Declare a setting that was added later: at its default it is not part of a run's key."""
    return field(default=default, metadata={"is_added": True})


@dataclass(frozen=True)
class TrainingSettings:
    """How a network is trained; classifiers of scikit-learn have no such settings."""

    max_epochs: int
    batch_size: int = 32
    learning_rate: float = 1e-3
    """Adam's default, with its other defaults."""
    stop_patience: int | None = None
    """Epochs without a lower validation loss after which training stops, best weights restored."""
    plateau_patience: int | None = None
    """Epochs without a lower validation loss after which the rate is halved."""
    min_learning_rate: float = 1e-6
    optimizer: str = _added("adam")
    """adam, rmsprop, or sgd (with Nesterov's momentum of 0.9)."""
    schedule: str = _added("constant")
    """constant, step (a tenth after each third of the epochs), restarts (cosine, over 10, 20,
    40 ... epochs), or cosine (one fall over all epochs, after a short rise, batch by batch)."""
    loss: str = _added("cross_entropy")
    """cross_entropy, or focal: weighted by class, see `class_alpha`."""
    focal_gamma: float = _added(2.0)
    keep: str = _added("")
    """val_accuracy keeps the weights of the epoch with the highest one; nothing keeps the last,
    or those that early stopping restores."""
    stop_on: str = _added("val_loss")
    """What `stop_patience` monitors: val_loss, or val_accuracy."""
    sampling: str = _added("every_row")
    """every_row: an epoch is every training row once. balanced: every clip once, as one of its
    variants, and clips of smaller classes again until all classes are as large as the largest."""
    weight_decay: float = _added(0.0)
    """Weight decay of AdamW: the share, times the rate, that each step subtracts."""
    label_smoothing: float = _added(0.0)
    """Probability that targets spread evenly over all classes."""
    mixup_alpha: float = _added(0.0)
    """Of the beta distribution that the shares of mixup are drawn from; 0: no mixup."""
    mask_share: float = _added(0.0)
    """Of each axis but the last, at most this share of a training row is set to 0 (SpecAugment)."""
    fits_validation: bool = _added(False)
    """Whether validation rows are trained on as well; nothing may then be decided on them."""
    precision: str = _added("float32")
    """What layers compute in: float32, or mixed_bfloat16 (weights and sums stay float32), which is
    several times as fast on processors that support it."""

    def __post_init__(self) -> None:
        for name, known in ALLOWED.items():
            if getattr(self, name) not in known:
                raise StudyError(f"{name}='{getattr(self, name)}': known are {', '.join(known)}")
        if self.max_epochs < 1 or self.batch_size < 1:
            raise StudyError(
                f"max_epochs={self.max_epochs}, batch_size={self.batch_size}: 1 is the least"
            )
        if not 0 <= self.mask_share <= 1:
            raise StudyError(f"mask_share={self.mask_share} is no share from 0 to 1")
        if self.loss == "focal" and (self.label_smoothing or self.mixup_alpha):
            raise StudyError(
                "the focal loss cannot be combined with label_smoothing or mixup_alpha"
            )
        if self.weight_decay and self.optimizer != "adam":
            raise StudyError(f"weight_decay={self.weight_decay} needs the optimizer adam")
        decides = self.keep or self.stop_patience is not None or self.plateau_patience is not None
        if self.fits_validation and decides:
            raise StudyError("fits_validation: rows that are trained on cannot stop the training")

    def identity(self) -> dict[str, object]:
        """Return the settings of a run's key; those added later only where they are set."""
        return {
            one.name: getattr(self, one.name)
            for one in fields(self)
            if not (one.metadata.get("is_added") and getattr(self, one.name) == one.default)
        }


def scheduled_rate(settings: TrainingSettings, epoch: float) -> float:
    """Return the rate of an epoch, counted from 0, under `step`, `restarts` or `cosine`.

    Only `cosine` changes within an epoch: `epoch` may be a fraction.
    """
    if settings.schedule == "cosine":
        done = epoch / settings.max_epochs
        rise = min(1.0, (done + 0.01) / WARM_UP_SHARE)
        fall = (1 + np.cos(np.pi * max(0.0, done - WARM_UP_SHARE) / (1 - WARM_UP_SHARE))) / 2
        floor = settings.min_learning_rate
        return float(rise * (floor + (settings.learning_rate - floor) * fall))
    if settings.schedule == "step":
        return settings.learning_rate * 0.1 ** (3 * epoch // settings.max_epochs)
    start, length = 0, 10
    while epoch >= start + length:
        start, length = start + length, 2 * length
    share = (epoch - start) / length
    floor = settings.min_learning_rate
    return floor + (settings.learning_rate - floor) * (1 + np.cos(np.pi * share)) / 2
