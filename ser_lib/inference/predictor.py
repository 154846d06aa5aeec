"""Prediction: a bundle applied to recordings and signals.

Features are computed by the functions that training uses, and the network is run by onnxruntime:
neither Keras nor TensorFlow nor librosa is loaded. A recording that cannot be used raises or, in
tables, becomes a row with its error.
"""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ser_lib.audio.io import load_head
from ser_lib.audio.signal import checked_mono, cut_signal, resample, without_offset
from ser_lib.audio.voice_activity import RATE_HZ, VoiceFacts, clipped_share, inspect_voice
from ser_lib.errors import AudioError, BundleError, SerError, StorageError
from ser_lib.evaluation.probabilities import apply_temperature, softmax
from ser_lib.features.registry import FEATURES
from ser_lib.features.speaker_level import shrunken_mean
from ser_lib.features.spectral import HOP_SAMPLES
from ser_lib.inference.bundle import Bundle, default_bundle, find_bundle, load_bundle, probe_signal
from ser_lib.inference.out_of_domain import MAX_UNLIKE, MIN_SPEECH_S, recording_warnings
from ser_lib.inference.prediction import NOT_SURE, Prediction, as_table
from ser_lib.runtime import N_CORES, THREADS, one_blas_thread, second_thread
from ser_lib.shown import short

if TYPE_CHECKING:
    import onnxruntime
    import pandas as pd


# One prediction for a minute or more would be an average over many emotions: see `timeline`.
MAX_CLIP_S = 60.0

# With fewer unlabelled clips some voices are predicted worse: the emotion is taken for the voice.
MIN_MIXED_CLIPS = 5

# More clips of a room tell hardly more: 30 gained 7.7 points of UAR on average, 100 gained 7.9
# (`tools.measure_rooms`, as the next two).
MAX_ROOM_CLIPS = 100

# Fewer clips of a room, or answers to them that tell less (mutual information of clip and answer,
# in nats), may show an emotion rather than the room. Of 31 sets of one emotion, from six corpora,
# 20 tell less, of 33 mixed ones 5. Bundles for strangers have a limit of their own.
ENOUGH_ROOM_CLIPS = 10
MIN_TOLD_NATS = 0.9

# Then known answers weigh this, and new ones the rest: of 123 sets of two bundles none cost more
# than 1.8 points, where the worst had cost 11.6.
DOUBTED_TRUST = 0.2

# What they weigh else. Of a bundle for strangers, mixed sets gain as much by half (15 points, 14 by
# all), with fewer answers of classes that a corpus does not have.
ROOM_TRUST, STRANGERS_ROOM_TRUST = 1.0, 0.5

# By which clips something is known: prefixes of `Bundle.speaker`.
NEUTRAL, MIXED, ROOM = "", "mixed_", "room_"

# Arithmetic differs between processors in the last digits, not more.
MAX_PROBE_ERROR = 1e-3


@short
class Predictor:
    """A bundle that predicts; threads may share it.

    Parameters
    ----------
    bundle : Bundle
        From `load_bundle`, which has checked it.

    Raises
    ------
    BundleError
        If the model's output for the probe is not what it was when the bundle was made.

    Examples
    --------
    >>> predictor = Predictor.load("cnn-ravdess")
    >>> predictor.labels[:2]
    ('female neutral', 'female happy')
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.temperature = bundle.temperature
        self.threshold = bundle.threshold
        self._voice: np.ndarray | None = None
        self._trust = 1.0
        self.room = ""
        """What was learned of a room, in words; empty for another predictor."""
        self.n_threads = N_CORES
        """Of one recording; 1 where recordings are predicted in parallel."""
        self.is_bounded = True
        """Whether confidence is what such recordings have earned; False only to measure that."""
        self._earned_share = bundle.earned_share("new_voice")
        self._answer_limit = bundle.answer_limit("new_voice")
        self.room_trust = STRANGERS_ROOM_TRUST if self.is_for_strangers else ROOM_TRUST
        """How much answers with a known room weigh, against those without."""
        self._domain = bundle.domain
        self._session = open_graph(bundle.graph) if bundle.kind == "network" else None
        if bundle.probe:
            error = float(np.abs(self.probe_output() - bundle.probe).max())
            if not error <= MAX_PROBE_ERROR:
                raise BundleError(
                    f"{bundle.folder}: the output for the probe differs by {error:.3f} from that "
                    "when it was made: its weights were swapped, or features are computed "
                    "otherwise here"
                )

    def recipe(self) -> tuple[str, str, dict[str, object]]:
        """Return what `from_recipe` makes it of in another process, which loads the bundle."""
        heavy = ("bundle", "_session", "_domain")
        adapted = {name: value for name, value in vars(self).items() if name not in heavy}
        return str(self.bundle.folder), self.bundle.sha256, adapted

    def _facts(self) -> dict[str, object]:
        return {"bundle": self.model_id, "title": self.bundle.title, "labels": self.labels}

    @classmethod
    def load(cls, bundle: str | Path | None = None) -> Predictor:
        """Load a bundle by folder or by name under `bundles/`; without one, the best installed.

        Raises
        ------
        BundleError
            If it is missing, damaged, or not what it says it is.
        """
        return cls(load_bundle(find_bundle(bundle) if bundle else default_bundle()))

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes, in the order of the outputs."""
        return self.bundle.labels

    @property
    def is_for_strangers(self) -> bool:
        """Whether its confidence comes from corpora that were left out of training."""
        return bool(self.bundle.card.get("is_for_strangers"))

    @property
    def is_adapted(self) -> bool:
        """Whether it is for a known voice or room."""
        return self._voice is not None

    @property
    def model_id(self) -> str:
        """The bundle with the start of its checksum, and of the enrolled voice's."""
        model = f"{self.bundle.name}@{self.bundle.sha256[:8]}"
        if self._voice is None:
            return model
        known = hashlib.sha256(self._voice.tobytes()).hexdigest()[:8]
        return f"{model}+{'room' if self.room else 'voice'}@{known}"

    @property
    def input_range_s(self) -> tuple[float, float]:
        """Start and end of the part of a recording that the model uses, in seconds."""
        spec, shape = self.bundle.features, self.bundle.input_shape
        n_frames = {
            "mel_chunks": math.prod(shape[0:3:2]),
            "mel_frames": shape[0],
            "mfcc_zcr_rms": shape[0] - 1,
        }.get(spec.name)
        limits = [MAX_CLIP_S]
        if spec.duration_s is not None:
            limits.append(spec.duration_s)
        if n_frames is not None:
            hop_samples = int(spec.params.get("hop_samples", HOP_SAMPLES))
            limits.append(n_frames * hop_samples / spec.sample_rate_hz)
        return spec.offset_s, spec.offset_s + min(limits)

    def probe_output(self) -> np.ndarray:
        """Run the model on the probe; shape (n_classes,), before the temperature."""
        rate = self.bundle.features.sample_rate_hz
        return self.raw_probabilities(self.features(probe_signal(rate), rate))

    def features(self, signal: np.ndarray, sample_rate_hz: int) -> np.ndarray:
        """Compute one row of input, with the functions and cuts of training, of a mono signal.

        An offset larger than any of the training clips' is taken out first.
        AudioError where the signal ends before the part begins that the model uses.
        """
        return self._features_of(without_offset(signal), sample_rate_hz)

    def _features_of(self, signal: np.ndarray, sample_rate_hz: int) -> np.ndarray:
        spec = self.bundle.features
        part = cut_signal(
            signal,
            sample_rate_hz,
            to_hz=spec.sample_rate_hz,
            offset_s=spec.offset_s,
            duration_s=spec.duration_s,
        )
        if len(part) == 0:
            raise AudioError(
                f"the recording ends before {spec.offset_s} s, where the model's input begins"
            )
        token = THREADS.set(self.n_threads)
        try:
            values = FEATURES[spec.name].function(part, spec.sample_rate_hz, **spec.params)
        except (TypeError, ValueError, ArithmeticError) as error:
            raise BundleError(
                f"{self.bundle.folder}: the feature '{spec.name}' cannot be computed with "
                f"{dict(spec.params)} ({error}); get the bundle again"
            ) from error
        finally:
            THREADS.reset(token)
        if values.shape != self.bundle.input_shape:
            raise BundleError(
                f"the feature '{spec.name}' has the shape {values.shape}, the model takes "
                f"{self.bundle.input_shape}"
            )
        return values

    def raw_probabilities(self, values: np.ndarray) -> np.ndarray:
        """Run the model on one row of features; shape (n_classes,), before the temperature."""
        if self._session is None:
            return softmax(self._scores(values.ravel().astype(np.float64)))
        arrays = self.bundle.arrays
        if "input_mean" in arrays:
            values = (values - arrays["input_mean"]) / arrays["input_scale"]
        rows = values[np.newaxis].astype(np.float32)
        return self._session.run(None, {self._session.get_inputs()[0].name: rows})[0][0]

    def _scores(self, flat: np.ndarray) -> np.ndarray:
        """Apply the linear head, or that of a known voice or room, to one row or several."""
        arrays = self.bundle.arrays

        def apply(rows: np.ndarray, head: str) -> np.ndarray:
            scaled = (rows - arrays[f"{head}_mean"]) / arrays[f"{head}_scale"]
            return scaled @ arrays[f"{head}_weights"] + arrays[f"{head}_bias"]

        if self._voice is None:
            return apply(flat, "head")
        known = apply((flat - self._voice) / np.sqrt(arrays["speaker_within"]), "speaker_head")
        if self._trust == 1:
            return known
        return self._trust * known + (1 - self._trust) * apply(flat, "head")

    def predict_signal(
        self, signal: np.ndarray, sample_rate_hz: int, *, path: str = "", duration_s: float = 0.0
    ) -> Prediction:
        """Predict one signal.

        Where there is a warning, probabilities are lowered towards chance as far as the bundle's
        tests on other corpora demand (`Bundle.earned_share`). Where there is too little speech,
        where the signal is farther from the training than recordings of those tests, or unlike it
        without such a test, the answer is withheld and nothing has a probability.

        Parameters
        ----------
        signal : ndarray, shape (n_samples,) or (n_samples, n_channels)
            Finite; channels are averaged.
        sample_rate_hz : int
        path : str
            Copied into the prediction.
        duration_s : float
            Of the whole recording, if the signal is only its beginning.

        Raises
        ------
        AudioError
            If the signal is empty, silent or not finite, or of a rate that no recording has.
        """
        signal = checked_mono(signal, sample_rate_hz)
        duration_s = max(duration_s, len(signal) / sample_rate_hz)
        (voice, clipped), (values, raw) = self._inspect_and_run(signal, sample_rate_hz)
        kind = "strangers" if self.is_for_strangers else self.bundle.kind
        unlike, farthest = 0.0, MAX_UNLIKE[kind]
        if self._domain:
            unlike = self._domain.distance(self.bundle.domain_values(values)) / self._domain.limit
        found = recording_warnings(
            voice,
            sample_rate_hz=sample_rate_hz,
            clipped_share=clipped,
            unlike=unlike,
            farthest=farthest,
        )
        share = 1.0
        if found and self.is_bounded:
            share = self._earned_share or float(unlike <= 1)
        can_tell = voice.speech_s >= MIN_SPEECH_S and unlike <= farthest and share > 0
        if not share:
            found.append("no answer: no test shows how well the model does on such recordings")
        start_s, stop_s = self.input_range_s
        if duration_s > stop_s + 1.0:
            part = f"only {start_s:.1f} to {stop_s:.1f} s were judged"
            found.append(f"long ({duration_s:.0f} s): {part}")
        rest = (1 - share) / len(self.labels)
        threshold = share * self.threshold + rest
        probabilities = share * apply_temperature(raw, self.temperature) + rest
        order = np.argsort(-probabilities, kind="stable")
        confidence = float(probabilities[order[0]])
        is_sure = can_tell and confidence >= threshold
        is_shown = can_tell or not self.is_bounded
        is_in = probabilities >= min(self._answer_limit, confidence)
        has_set = is_shown and self._answer_limit < 1
        return Prediction(
            path=path,
            emotion=self.labels[order[0]] if is_sure else NOT_SURE,
            confidence=confidence if is_sure or not self.is_bounded else float("nan"),
            probabilities={self.labels[n]: float(probabilities[n]) for n in order if is_shown},
            answers=tuple(self.labels[n] for n in order if has_set and is_in[n]),
            duration_s=duration_s,
            warnings=tuple(found),
            voice=voice,
            threshold=threshold,
        )

    def _inspect_and_run(
        self, signal: np.ndarray, sample_rate_hz: int
    ) -> tuple[tuple[VoiceFacts, float], tuple[np.ndarray, np.ndarray]]:
        """Inspect the recording while the model runs, where there is a thread for that."""
        heard = resample(signal, sample_rate_hz, RATE_HZ)
        plain, rate_hz = without_offset(signal), sample_rate_hz
        if plain is signal and self.bundle.features.sample_rate_hz == RATE_HZ:
            plain, rate_hz = heard, RATE_HZ

        def inspect() -> tuple[VoiceFacts, float]:
            return inspect_voice(heard), clipped_share(signal)

        def run() -> tuple[np.ndarray, np.ndarray]:
            values = self._features_of(plain, rate_hz)
            return values, self.raw_probabilities(values)

        if self.n_threads == 1:
            return inspect(), run()
        with one_blas_thread():
            inspection = second_thread().submit(inspect)
            output = run()
            return inspection.result(), output

    def enrolled(self, paths: Sequence[str | Path], *, is_neutral: bool = True) -> Predictor:
        """Return another predictor, for one voice, which a few clips make known.

        What the clips have in common is the voice, not the emotion, and is taken out of every
        recording: the mean of k clips, shrunk towards that of all speakers by B / (B + W / k), with
        B the variance between speakers and W that within (see
        `ser_lib.features.speaker_level`).

        Parameters
        ----------
        paths : sequence of str or Path
            Clips of one speaker.
        is_neutral : bool
            Whether they are neutral: two to five are enough then. Of unlabelled clips it takes ten;
            what emotions add to their mean, as in the training, is subtracted.

        Raises
        ------
        BundleError, AudioError
            If the bundle cannot adapt; if there are too few clips, or one cannot be used.
        """
        self._check_adaptable()
        if not paths:
            raise AudioError(
                "no clip of the speaker was found; give a folder of a few neutral ones"
            )
        if not is_neutral and len(paths) < MIN_MIXED_CLIPS:
            raise AudioError(
                f"only {len(paths)} unlabelled clips: so few show the emotion rather than the "
                f"voice; give {MIN_MIXED_CLIPS} or more, better ten, or two to five neutral ones"
            )
        rows = np.stack([self.row(one) for one in paths])
        return self._knowing(rows, NEUTRAL if is_neutral else MIXED)

    def in_room(self, paths: Sequence[str | Path]) -> Predictor:
        """Return another predictor, for one place, which unlabelled clips of it make known.

        Room, microphone, language and voices are taken out as a voice is by `enrolled`: what the
        field calls unsupervised normalisation by corpus. `room` of the result says what was
        learned. Where the clips are few, or too alike to show a room rather than an emotion, known
        answers weigh `DOUBTED_TRUST` only.

        Parameters
        ----------
        paths : sequence of str or Path
            Clips of the place, of whatever voices and emotions, 30 or more at best; they may be
            those to predict. Of more than `MAX_ROOM_CLIPS`, as many are taken in even steps. Clips
            that cannot be used are left out, and copies count once.

        Raises
        ------
        BundleError, AudioError
            If the bundle cannot adapt; if fewer than `MIN_MIXED_CLIPS` can be used.
        """
        self._check_adaptable()
        step = max(len(paths) / MAX_ROOM_CLIPS, 1)
        chosen = [paths[int(n * step)] for n in range(min(len(paths), MAX_ROOM_CLIPS))]
        rows, faults = [], []
        for path in chosen:
            try:
                rows.append(self.row(path))
            except AudioError as error:
                faults.append(str(error))
        n_different = len({row.tobytes() for row in rows})
        if n_different < MIN_MIXED_CLIPS:
            first = f" ({len(faults)} cannot be used, as {faults[0]})" if faults else ""
            raise AudioError(
                f"the room shows in {n_different} of {len(paths)} clips{first}; give a folder of "
                f"{MIN_MIXED_CLIPS} clips of it or more, better 30, of several emotions"
            )
        return self.in_room_of(rows, n_left_out=len(faults))

    def in_room_of(self, rows: Sequence[np.ndarray], *, n_left_out: int = 0) -> Predictor:
        """Return what `in_room` does, of clips whose `row` was computed; equal ones count once.

        BundleError if the bundle cannot adapt.
        """
        self._check_adaptable()
        different = np.stack(list({row.tobytes(): row for row in rows}.values()))
        ours = self._knowing(different, ROOM)
        ours.room = f"{len(different)} clips" + (f", {n_left_out} left out" if n_left_out else "")
        answers = softmax(ours._scores(different))
        least = self.bundle.speaker.get("room_told_nats", MIN_TOLD_NATS)
        ours._trust = self.room_trust
        if len(different) < ENOUGH_ROOM_CLIPS or told_nats(answers) < least:
            why = "few" if len(different) < ENOUGH_ROOM_CLIPS else "too alike, as if of one emotion"
            ours._trust = DOUBTED_TRUST
            ours.room += f", {why}: what they show counts for {DOUBTED_TRUST:.0%}"
        return ours

    def _check_adaptable(self) -> None:
        if not self.bundle.speaker:
            raise BundleError(
                f"the bundle '{self.bundle.name}' cannot be adapted to a voice or a room; one with "
                "an encoder can"
            )

    def row(self, path: str | Path) -> np.ndarray:
        """Compute the features of one recording, flat, by which a voice or a room is known."""
        try:
            signal, rate, _ = load_head(path, max_s=MAX_CLIP_S)
            return self.features(checked_mono(signal, rate), rate).ravel().astype(np.float64)
        except AudioError as error:
            raise AudioError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from error

    def _knowing(self, rows: np.ndarray, kind: str) -> Predictor:
        """Return another predictor, which takes out what rows of features have in common."""
        arrays, numbers = self.bundle.arrays, self.bundle.speaker
        noise, mean = arrays["speaker_noise"], rows.mean(axis=0)
        if kind != NEUTRAL:
            noise, mean = arrays["speaker_within"], mean - arrays["speaker_moods"]
        if kind == ROOM and "room_temperature" not in numbers:
            kind = MIXED
        ours = copy.copy(self)
        ours._voice = shrunken_mean(
            mean,
            centre=arrays["speaker_centre"],
            between=arrays["speaker_between"],
            noise=noise / len(rows),
        )
        known = "known_room" if kind == ROOM else f"{kind}known_voice"
        ours._earned_share = self.bundle.earned_share(known)
        ours._answer_limit = self.bundle.answer_limit(known)
        ours.temperature = numbers[f"{kind}temperature"]
        ours.threshold = numbers[f"{kind}threshold"]
        return ours

    def predict_file(self, path: str | Path) -> Prediction:
        """Predict one recording, of which at most `MAX_CLIP_S` are decoded; AudioError as above."""
        signal, rate, duration_s = load_head(path, max_s=MAX_CLIP_S)
        return self.predict_signal(signal, rate, path=str(path), duration_s=duration_s)

    def predict(
        self,
        items: str | Path | np.ndarray | Sequence[str | Path | np.ndarray],
        *,
        sample_rate_hz: int | None = None,
    ) -> pd.DataFrame:
        """Predict recordings or signals, one row each.

        Parameters
        ----------
        items : path, array, or a sequence of them
            Recordings as files, or as mono arrays in [-1, 1].
        sample_rate_hz : int, optional
            Of the arrays; AudioError where they come without.

        Returns
        -------
        pandas.DataFrame
            Columns `path, emotion, confidence, p_<label>..., duration_s, warnings, error`. An item
            that cannot be used has an error and no emotion; the others are not affected.
        """
        items = [items] if isinstance(items, str | Path | np.ndarray) else list(items)
        if sample_rate_hz is None and any(isinstance(one, np.ndarray) for one in items):
            raise AudioError("an array needs its sample_rate_hz: the same samples sound otherwise")
        return as_table((self.attempt(one, sample_rate_hz) for one in items), self.labels)

    def attempt(
        self, item: str | Path | np.ndarray, sample_rate_hz: int | None = None
    ) -> Prediction:
        """Predict one recording or signal; what is wrong with it becomes the prediction's error."""
        try:
            if isinstance(item, np.ndarray):
                return self.predict_signal(item, int(sample_rate_hz or 0))
            return self.predict_file(item)
        except StorageError:  # that of many clips
            raise
        except (SerError, OSError, MemoryError) as error:
            path = "" if isinstance(item, np.ndarray) else str(item)
            message = str(error).removeprefix(f"{path}: ") or type(error).__name__
            return Prediction(path, "", float("nan"), {}, float("nan"), error=message)


@lru_cache(maxsize=1)
def _loaded(folder: str, sha256: str) -> Predictor:
    predictor = Predictor.load(folder)
    if predictor.bundle.sha256 != sha256:
        raise BundleError(f"{folder}: is another model here than where the work was started")
    return predictor


def from_recipe(folder: str, sha256: str, adapted: dict[str, object]) -> Predictor:
    """Make a predictor again, in a process that has loaded the bundle once."""
    predictor = copy.copy(_loaded(folder, sha256))
    vars(predictor).update(adapted)
    return predictor


def told_nats(answers: np.ndarray) -> float:
    """Return the mutual information of clip and answer, from probabilities (n_clips, n_classes)."""
    logs = np.log(np.maximum(answers, 1e-12) / answers.mean(axis=0).clip(1e-12))
    return float((answers * logs).sum(axis=1).mean())


def with_probe(bundle: Bundle) -> Bundle:
    """Return the bundle with its model's output for the probe."""
    output = Predictor(replace(bundle, probe=())).probe_output()
    return replace(bundle, probe=tuple(round(float(one), 6) for one in output))


def open_graph(graph: bytes) -> onnxruntime.InferenceSession:
    """Open an ONNX network for running, on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # Networks of this size lose more by waiting for threads than they gain.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
