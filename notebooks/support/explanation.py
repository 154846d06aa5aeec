"""Explanations of a small CNN on spectrograms, and checks of their faithfulness, chapter 11.

One network is trained on clean clips of the first fold of the ladder's step `speakers` and
explained on its test speakers by ablation maps and by occlusion. Averaged maps and checks are
stored as `reports/<corpus>/explain/<key>.npz`; weights are not.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ser_lib.data import corpus_of
from ser_lib.errors import StudyError
from ser_lib.evaluation.metrics import confusion_counts, uar
from ser_lib.features.extraction import Rows, extract
from ser_lib.features.registry import FeatureSpec
from ser_lib.models import build_keras
from ser_lib.models.conv_blocks import ConvBlocksConfig
from ser_lib.models.layers import load_keras
from ser_lib.paths import report_dir
from ser_lib.runs.store import cached_result, require_audio
from ser_lib.runtime import progress
from ser_lib.seeds import seed_everything
from ser_lib.training.loop import compile_network, predict_rows, train_network
from ser_lib.training.settings import TrainingSettings
from support.leakage import FIRST_SEED, Plan, plan_step
from support.leakage_steps import STEPS

if TYPE_CHECKING:
    import keras


# Log-odds beyond 14 carry no more information than that the network is certain.
LEAST_PROBABILITY = 1e-6


def evidence(model: keras.Model, inputs: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return the log-odds (natural logarithm) that a model gives to one class of each row."""
    from scipy.special import logit

    probabilities = predict_rows(model, Rows.of(inputs))[np.arange(len(classes)), classes]
    return logit(np.clip(probabilities.astype(float), LEAST_PROBABILITY, 1 - LEAST_PROBABILITY))


def ablation_maps(
    model: keras.Model, inputs: np.ndarray, classes: np.ndarray, *, layer: str
) -> np.ndarray:
    """Weight the maps of a layer's filters by the log-odds that the class loses without each.

    Returns shape (n_rows, n_frames, n_bands), positive evidence only, each map scaled to a maximum
    of 1. After Ramaswamy & Desai (2020), Ablation-CAM, WACV, with differences of log-odds.
    """
    keras = load_keras()
    middle = model.get_layer(layer).output
    if len(middle.shape) != 4:
        raise StudyError(f"layer '{layer}' gives {tuple(middle.shape)}, not maps; use a Conv2D")
    maps = predict_rows(keras.Model(model.inputs, middle), Rows.of(inputs))
    head = keras.Model(middle, model.outputs[0])
    whole = evidence(head, maps, classes)
    weighted = np.zeros(maps.shape[:3])
    for number in range(maps.shape[-1]):
        without = maps.copy()
        without[..., number] = 0.0
        weight = whole - evidence(head, without, classes)
        weighted += weight[:, np.newaxis, np.newaxis] * maps[..., number]
    return _resized(np.maximum(weighted, 0.0), inputs.shape[1:3])


def _resized(maps: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Scale maps to the size of the input, and their largest value to 1."""
    from scipy.ndimage import zoom

    factors = (1, shape[0] / maps.shape[1], shape[1] / maps.shape[2])
    large = zoom(maps, factors, order=1, grid_mode=True, mode="nearest")
    top = large.max(axis=(1, 2), keepdims=True)
    return np.divide(large, top, out=np.zeros_like(large), where=top > 0).astype(np.float32)


def occlusion_maps(
    model: keras.Model,
    inputs: np.ndarray,
    classes: np.ndarray,
    *,
    fill: np.ndarray,
    n_steps: int = 8,
    n_bands: int = 8,
) -> np.ndarray:
    """Return the log-odds that the class loses when one part of the plane is covered by `fill`.

    Shape (n_rows, n_steps, n_bands), negative where the class gains; 1 step or band covers all of
    that axis. After Zeiler & Fergus (2014), Visualizing and understanding convolutional networks,
    ECCV; covered by the mean of the training clips, which is uninformative about a single clip.
    """
    whole = evidence(model, inputs, classes)
    times = np.array_split(np.arange(inputs.shape[1]), n_steps)
    bands = np.array_split(np.arange(inputs.shape[2]), n_bands)
    losses = np.empty((len(inputs), n_steps, n_bands))
    for i, time in enumerate(times):
        for j, band in enumerate(bands):
            covered = inputs.copy()
            part = np.ix_(range(len(inputs)), time, band)
            covered[part] = fill[np.ix_(time, band)]
            losses[:, i, j] = whole - evidence(model, covered, classes)
    return losses


def coarse(maps: np.ndarray, n_steps: int = 8, n_bands: int = 8) -> np.ndarray:
    """Average maps (n_rows, n_frames, n_bands) over the parts that `occlusion_maps` covers."""
    by_time = [part.mean(axis=1) for part in np.array_split(maps, n_steps, axis=1)]
    stacked = np.stack(by_time, axis=1)
    return np.stack([p.mean(axis=2) for p in np.array_split(stacked, n_bands, axis=2)], axis=2)


def agreement(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return Spearman's rank correlation of two maps of each row; NaN where a map is flat."""
    ranks = [pd.DataFrame(one.reshape(len(one), -1)).rank(axis=1) for one in (first, second)]
    return ranks[0].corrwith(ranks[1], axis=1).to_numpy()


def randomised(model: keras.Model, fresh: keras.Model, *, n_layers: int) -> keras.Model:
    """Return a copy of a model whose last layers with weights are untrained.

    Layers are counted from the output. A map that stays the same without the learned weights shows
    the input, not the model: Adebayo et al. (2018), Sanity checks for saliency maps, NeurIPS.
    """
    learned = [one.name for one in model.layers if one.weights]
    if not 0 <= n_layers <= len(learned):
        raise StudyError(f"n_layers={n_layers}: the model has {len(learned)} layers with weights")
    copy = load_keras().models.clone_model(model)
    copy.set_weights(model.get_weights())
    for name in learned[len(learned) - n_layers :]:
        copy.get_layer(name).set_weights(fresh.get_layer(name).get_weights())
    return copy


# Raised when explanations change in a way that neither settings nor folds show.
EXPLAIN_VERSION = 1

# As penumajji2025: 64 frames of 46 ms from 0.5 s on, 64 mel bands.
FEATURES = FeatureSpec(
    "mel_frames", offset_s=0.5, params={"n_frames": 64, "n_mels": 64, "hop_samples": 1024}
)
DURATION_S = 64 * 1024 / FEATURES.sample_rate_hz

# Three blocks as in the studies: the last maps have 16 by 16 positions.
NETWORK = ConvBlocksConfig(n_filters=(16, 32, 64), block_dropout_rate=0.1, dropout_rate=0.3)
TRAINING = TrainingSettings(
    max_epochs=30, batch_size=32, stop_patience=8, stop_on="val_accuracy", keep="val_accuracy"
)
LAYER = "block3_conv"
STEP = replace(STEPS["speakers"], name="explained", selected_on="validation")
N_PARTS = 8
CLIPS_A_LABEL = 12


@dataclass(frozen=True)
class Explanation:
    """Maps and checks of one network, averaged over the test clips of each emotion."""

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
    """The same when a stretch of time is covered in all bands, shape (n_labels, n_steps)."""
    checks: np.ndarray
    """Of str: what the ablation map was compared with, shape (n_checks,)."""
    agreements: np.ndarray
    """Rank correlation of each test clip's maps, shape (n_checks, n_clips); NaN for flat maps."""
    uar: float
    """Of the network, on these clips."""
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
    """Train a small CNN on one speaker-independent fold and explain it, or read what is stored.

    0 takes 30 epochs and 12 test clips per emotion. Raises `RunError` if nothing is stored and the
    audio is missing.
    """
    epochs = min(max_epochs or TRAINING.max_epochs, TRAINING.max_epochs)
    training = replace(TRAINING, max_epochs=epochs)
    plan = _with_few_tested(plan_step(STEP, clips, FIRST_SEED), clips_a_label or CLIPS_A_LABEL)
    identity = [
        *(asdict(NETWORK), training.identity(), FEATURES.identity()),
        *(plan.folds_sha256, LAYER, N_PARTS, EXPLAIN_VERSION),
    ]

    def compute() -> dict[str, np.ndarray]:
        require_audio(clips, "this explanation is not stored")
        found = {
            name: np.asarray(one) for name, one in vars(_explain(plan, training, clips)).items()
        }
        return {
            name: one.astype(np.float16) if one.ndim > 1 else one for name, one in found.items()
        }

    folder = report_dir(corpus_of(clips)) / "explain"
    arrays = cached_result(folder, identity, compute, suffix=".npz")
    arrays |= {name: arrays[name].item() for name in ("uar", "n_speakers")}
    return Explanation(**arrays)


def _with_few_tested(plan: Plan, clips_a_label: int) -> Plan:
    """Keep the first fold, and a random sample of its test clips, the same number per label."""
    fold = plan.split.folds[0]
    labels = plan.rows.set_index("row_id").loc[list(fold.test), "label"]
    shuffled = labels.sample(frac=1.0, random_state=FIRST_SEED)
    chosen = shuffled.groupby(shuffled).head(clips_a_label).index
    few = replace(fold, test=tuple(row for row in fold.test if row in set(chosen)))
    return replace(plan, split=replace(plan.split, folds=(few,)))


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
    """Correlate the maps with occlusion, the input, and the maps of untrained layers."""
    inputs, classes = test
    ours = coarse(maps, N_PARTS, N_PARTS)
    checks = {
        "occlusion": agreement(ours, covered),
        "input level": agreement(ours, coarse(inputs[..., 0], N_PARTS, N_PARTS)),
    }
    fresh = _built(FIRST_SEED + 1, inputs.shape[1:], len(plan.labels), training)
    learned = [one.name for one in model.layers if one.weights]
    # From the output towards the input: the last layer, all dense ones, half of them, and all.
    depths = sorted({1, 2, len(learned) // 2, len(learned)})
    for n_layers in progress(depths, total=len(depths), what="random weights"):
        other = randomised(model, fresh, n_layers=n_layers)
        theirs = coarse(ablation_maps(other, inputs, classes, layer=LAYER), N_PARTS, N_PARTS)
        checks[f"random from {learned[-n_layers]}"] = agreement(ours, theirs)
    # `theirs` is now of a network without any learned weights.
    checks["untrained, occlusion"] = agreement(theirs, covered)
    return checks
