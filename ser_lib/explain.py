"""Explanations: what a small CNN on spectrograms looks at, and whether its maps can be believed.

One network is trained on clean clips of one honest fold of the ladder's step `speakers` and
explained on its test speakers. Weights are not kept; averaged maps and the checks are, as
`reports/<corpus>/explain/<key>.npz`. The maps themselves are made in `ser_lib.maps`.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ser_lib.corpora import corpus_of
from ser_lib.dealing import Plan, plan_step
from ser_lib.epochs import compile_network, predict_rows, train_network
from ser_lib.errors import RunError
from ser_lib.extraction import extract
from ser_lib.features import FeatureSpec
from ser_lib.ladder import STEPS
from ser_lib.maps import (
    ablation_maps,
    agreement,
    coarse,
    occlusion_maps,
    randomised,
)
from ser_lib.metrics import confusion_counts, uar
from ser_lib.models import build_keras
from ser_lib.models.conv_blocks import ConvBlocksConfig
from ser_lib.paths import atomic_path, report_dir
from ser_lib.progress import progress
from ser_lib.rows import Rows
from ser_lib.seeds import seed_everything
from ser_lib.training_settings import TrainingSettings
from ser_lib.trials import FIRST_SEED

if TYPE_CHECKING:
    import keras

__all__ = ["DURATION_S", "FEATURES", "Explanation", "band_names", "band_ticks", "explain"]

# Raised whenever explanations change in a way that neither settings nor folds show.
EXPLAIN_VERSION = 1
# As penumajji2025: 64 frames of 46 ms from 0.5 s on, 64 mel bands.
FEATURES = FeatureSpec(
    "mel_frames", offset_s=0.5, params={"n_frames": 64, "n_mels": 64, "hop_samples": 1024}
)
DURATION_S = 64 * 1024 / FEATURES.sample_rate_hz
# Three blocks of the studies' kind: its last maps have 16 by 16 places.
NETWORK = ConvBlocksConfig(n_filters=(16, 32, 64), block_dropout_rate=0.1, dropout_rate=0.3)
TRAINING = TrainingSettings(
    max_epochs=30, batch_size=32, stop_patience=8, stop_on="val_accuracy", keep="val_accuracy"
)
LAYER = "block3_conv"
STEP = replace(STEPS["speakers"], name="explained", judge="validation")
N_PARTS = 8
CLIPS_A_LABEL = 12


@dataclass(frozen=True)
class Explanation:
    """What one network looks at, averaged over the test clips of each emotion."""

    labels: np.ndarray
    """Of str, shape (n_labels,)."""
    n_clips: np.ndarray
    """Test clips of each label."""
    inputs: np.ndarray
    """Mean input, shape (n_labels, n_frames, n_bands), in [0, 1]."""
    maps: np.ndarray
    """Mean ablation map, the same shape."""
    occlusion: np.ndarray
    """Mean loss of log-odds by part of the plane, shape (n_labels, n_steps, n_bands)."""
    by_band: np.ndarray
    """Mean loss of log-odds when a band is covered at all times, shape (n_labels, n_bands)."""
    by_time: np.ndarray
    """When a stretch of time is covered in all bands, shape (n_labels, n_steps)."""
    checks: np.ndarray
    """Of str: what a map was compared with, shape (n_checks,)."""
    agreements: np.ndarray
    """Rank correlation of each test clip's maps, shape (n_checks, n_clips); NaN for flat maps."""
    uar: float
    """Of the network on these clips."""
    n_speakers: int

    def check(self, name: str) -> tuple[float, float, float]:
        """Return median and quartiles over clips of the rank correlations of one check."""
        values = self.agreements[list(self.checks).index(name)]
        return tuple(float(one) for one in np.nanpercentile(values, [50, 25, 75]))


def band_names(n_parts: int = N_PARTS) -> list[str]:
    """Name equal parts of the mel axis by their edges in Hz, from low to high."""
    import librosa

    edges_hz = librosa.mel_frequencies(n_parts + 1, fmin=0.0, fmax=FEATURES.sample_rate_hz / 2)
    return [f"{low:.0f} to {high:.0f}" for low, high in pairwise(edges_hz)]


def band_ticks() -> tuple[tuple[float, str], ...]:
    """Return round frequencies as shares of the mel axis, with their labels in Hz."""
    import librosa

    top = librosa.hz_to_mel(FEATURES.sample_rate_hz / 2)
    return tuple((float(librosa.hz_to_mel(hz) / top), str(hz)) for hz in (250, 1000, 4000))


def explain(clips: pd.DataFrame, *, max_epochs: int = 0, clips_a_label: int = 0) -> Explanation:
    """Train a small CNN on one honest fold and explain it, or load what is stored.

    Parameters
    ----------
    clips : pandas.DataFrame
        Clip table of one corpus.
    max_epochs : int
        Upper limit of training; 0 takes 30.
    clips_a_label : int
        How many test clips of each emotion are explained; 0 takes 12.

    Returns
    -------
    Explanation

    Raises
    ------
    RunError
        If nothing is stored and the audio is not here.

    Notes
    -----
    Notebook: 11_robustness_explanation.ipynb
    """
    epochs = min(max_epochs or TRAINING.max_epochs, TRAINING.max_epochs)
    training = replace(TRAINING, max_epochs=epochs)
    plan = _with_few_tested(plan_step(STEP, clips, FIRST_SEED), clips_a_label or CLIPS_A_LABEL)
    target = _file_of(plan, training, clips)
    if not target.is_file():
        if not clips["path"].all():
            raise RunError(
                f"{target.name}: this explanation is not stored, and the audio is not here; point "
                "SER_DATA at the corpora"
            )
        found = _explain(plan, training, clips)
        small = {
            name: np.asarray(value, np.float16) if np.asarray(value).ndim > 1 else value
            for name, value in vars(found).items()
        }
        with atomic_path(target) as temporary:
            np.savez_compressed(temporary, **small)
    with np.load(target) as stored:
        arrays = {one.name: stored[one.name] for one in fields(Explanation)}
    arrays |= {name: arrays[name].item() for name in ("uar", "n_speakers")}
    return Explanation(**arrays)


def _with_few_tested(plan: Plan, clips_a_label: int) -> Plan:
    """Keep the first fold, and some of its test clips: of each label as many, drawn at random."""
    fold = plan.split.folds[0]
    labels = plan.rows.set_index("row_id").loc[list(fold.test), "label"]
    shuffled = labels.sample(frac=1.0, random_state=FIRST_SEED)
    chosen = shuffled.groupby(shuffled).head(clips_a_label).index
    few = replace(fold, test=tuple(row for row in fold.test if row in set(chosen)))
    return replace(plan, split=replace(plan.split, folds=(few,)))


def _file_of(plan: Plan, training: TrainingSettings, clips: pd.DataFrame) -> Path:
    identity = json.dumps(
        [
            *(asdict(NETWORK), training.identity(), FEATURES.identity()),
            *(plan.folds_sha256, LAYER, N_PARTS, EXPLAIN_VERSION),
        ],
        sort_keys=True,
    )
    key = hashlib.sha256(identity.encode()).hexdigest()[:12]
    return report_dir(corpus_of(clips)) / "explain" / f"{key}.npz"


def _explain(plan: Plan, training: TrainingSettings, clips: pd.DataFrame) -> Explanation:
    fold, table = plan.split.folds[0], plan.rows.set_index("row_id")
    class_of = {label: number for number, label in enumerate(plan.labels)}
    features = extract(clips, FEATURES)
    position = pd.Series(range(len(clips)), index=clips["clip_id"])
    parts = (fold.train, fold.validation, fold.test)
    x_train, x_validation, x_test = (features[position[list(part)]] for part in parts)
    y_train, y_validation, y_test = (
        table.loc[list(part), "label"].map(class_of).to_numpy() for part in parts
    )
    model = _built(FIRST_SEED, x_train.shape[1:], len(plan.labels), training)
    train_network(
        model,
        training,
        (Rows.of(x_train), y_train),
        (Rows.of(x_validation), y_validation),
        n_classes=len(plan.labels),
        seed=FIRST_SEED,
    )
    fill = x_train.mean(axis=0)
    maps = ablation_maps(model, x_test, y_test, layer=LAYER)
    covered = occlusion_maps(model, x_test, y_test, fill=fill, n_steps=N_PARTS, n_bands=N_PARTS)
    by_band = occlusion_maps(model, x_test, y_test, fill=fill, n_steps=1, n_bands=N_PARTS)
    by_time = occlusion_maps(model, x_test, y_test, fill=fill, n_steps=N_PARTS, n_bands=1)
    checks = _checks(model, plan, training, (x_test, y_test), maps, covered)
    labels = np.array(plan.labels)
    predicted = predict_rows(model, Rows.of(x_test)).argmax(axis=1)

    def mean(values: np.ndarray) -> np.ndarray:
        return np.stack([values[y_test == number].mean(axis=0) for number in range(len(labels))])

    return Explanation(
        labels=labels,
        n_clips=np.bincount(y_test, minlength=len(labels)),
        inputs=mean(x_test[..., 0]),
        maps=mean(maps),
        occlusion=mean(covered),
        by_band=mean(by_band[:, 0, :]),
        by_time=mean(by_time[:, :, 0]),
        checks=np.array(list(checks)),
        agreements=np.stack(list(checks.values())),
        uar=float(uar(confusion_counts(labels[y_test], labels[predicted], plan.labels))),
        n_speakers=table.loc[list(fold.test), "speaker"].nunique(),
    )


def _built(
    seed: int, shape: tuple[int, ...], n_classes: int, training: TrainingSettings
) -> keras.Model:
    seed_everything(seed)
    model = build_keras(NETWORK, shape, n_classes)
    compile_network(model, training)
    return model


def _checks(
    model: keras.Model,
    plan: Plan,
    training: TrainingSettings,
    test: tuple[np.ndarray, np.ndarray],
    maps: np.ndarray,
    covered: np.ndarray,
) -> dict[str, np.ndarray]:
    """Compare the maps with occlusion, with the input, and with those of untrained layers."""
    inputs, classes = test
    ours = coarse(maps, N_PARTS, N_PARTS)
    checks = {
        "occlusion": agreement(ours, covered),
        "input level": agreement(ours, coarse(inputs[..., 0], N_PARTS, N_PARTS)),
    }
    fresh = _built(FIRST_SEED + 1, inputs.shape[1:], len(plan.labels), training)
    learned = [one.name for one in model.layers if one.weights]
    # From the output towards the input: the last layer, all that is dense, half, and everything.
    depths = sorted({1, 2, len(learned) // 2, len(learned)})
    for n_layers in progress(depths, total=len(depths), what="random weights"):
        other = randomised(model, fresh, n_layers=n_layers)
        theirs = coarse(ablation_maps(other, inputs, classes, layer=LAYER), N_PARTS, N_PARTS)
        checks[f"random from {learned[-n_layers]}"] = agreement(ours, theirs)
    # The last of them is of a network that has learned nothing.
    checks["untrained, occlusion"] = agreement(theirs, covered)
    return checks
