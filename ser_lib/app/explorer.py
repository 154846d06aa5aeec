"""An explorer for JupyterLab: choose a clip, look at it, listen, and compare stored predictions.

`view_clip` draws a clip and makes it playable, `models_table` lays out what stored runs predict for
it, `Explorer` puts both into a box of widgets. Nothing is trained or written. Whatever is wrong
with a corpus, a clip or a run is reported in the box.
"""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import matplotlib as mpl
import numpy as np
import pandas as pd
from IPython.display import Audio
from matplotlib.figure import Figure

from ser_lib import data
from ser_lib.audio.io import load_signal
from ser_lib.audio.signal import resample
from ser_lib.data.labels import EMOTIONS, colour_of
from ser_lib.data.pooled import POOLED
from ser_lib.errors import RunError, SerError, offenders
from ser_lib.features.acoustic import waveform_envelope
from ser_lib.features.spectral import HOP_SAMPLES, N_FFT, log_mel, mfcc_zcr_rms
from ser_lib.paths import report_dir, runs_dir
from ser_lib.plots.signals import (
    PITCH_LIMITS_HZ,
    plot_envelope,
    plot_log_mel,
    plot_mfcc,
    plot_pitch,
)
from ser_lib.plots.style import STYLE_FILE
from ser_lib.runs.store import Run, differences, read_run, settings_text
from ser_lib.studies import STUDIES

ALL = "all"
STYLE_SHEET = Path(__file__).with_name("theme") / "explorer.css"

# What makes two clips alike: after another choice the explorer stays near the last clip.
LIKENESS = ("emotion", "speaker", "statement", "intensity", "repetition")

RATE_HZ = 22_050  # as the studies' features
N_COEFFICIENTS = 20  # librosa's default; the finer ones hold little that the eye can find
MFCC_LIMIT_DB = 60.0  # nine in ten values lie within, whatever the corpus
SPEECH_RANGE_DB = 25.0  # as in `features.prosody`: what is softer is breath, room or noise

# Twice as many pixels as are shown, for the text to be as large as the page's.
DPI = 150
WIDTH_PX = 840
HEIGHT_PX = 860

# What differs between the seeds of one model, and between folds that are drawn.
OF_THE_SEED = ("seed", "folds_sha256", "rows_sha256")

READ_AS = (
    "Probabilities of models that were trained without this speaker; ×3: mean of three seeds. "
    "Outlined: the acted emotion, in the words of the study's task; bold: the model's prediction, "
    "✓ where it is the acted one. Hover over a row for its stored runs."
)
BY_GENDER = " Where a task names the gender as well, a column is the sum of both, and ✓ needs both."


@dataclass(frozen=True)
class ClipView:
    """A clip, ready to be shown."""

    png: bytes = field(repr=False)
    wav: bytes = field(repr=False)
    caption: str

    def _repr_html_(self) -> str:
        sound = base64.b64encode(self.wav).decode()
        return f'<audio controls src="data:audio/wav;base64,{sound}"></audio>{self.picture()}'

    def picture(self) -> str:
        """Return the figure as HTML, its caption below it and as its description."""
        caption = html.escape(self.caption)
        return (
            f'<img alt="{caption}" width="{WIDTH_PX}" height="{HEIGHT_PX}" decoding="sync" '
            f'src="data:image/png;base64,{base64.b64encode(self.png).decode()}">'
            f'<p class="ser-say">{caption}</p>'
        )


def pitch_contour(signal: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    """Follow the pitch of a mono signal, in Hz a frame; NaN without voice and 25 dB below it."""
    import librosa

    low_hz, high_hz = PITCH_LIMITS_HZ
    framing: dict[str, Any] = {"frame_length": N_FFT, "hop_length": HOP_SAMPLES}
    # pYIN (Mauch and Dixon 2014), with thresholds around 0.2: acted speech is rougher than song.
    # A fifth of a semitone is finer than a line is wide, and three times as quick as the default.
    pitch_hz, _, _ = librosa.pyin(
        signal,
        fmin=low_hz,
        fmax=high_hz,
        sr=sample_rate_hz,
        beta_parameters=(2, 8),
        resolution=0.2,
        **framing,
    )
    level = librosa.feature.rms(y=signal, **framing)[0]
    is_speech = level > np.percentile(level, 95) * 10 ** (-SPEECH_RANGE_DB / 20)
    return np.where(is_speech, pitch_hz, np.nan)


def view_clip(path: str | Path, emotion: str = "") -> ClipView:
    """Draw any clip, in its emotion's colour, and make it playable; kept until the file changes."""
    file = Path(path)
    # Decoding says what is wrong with a file that is gone.
    return _view_clip(str(path), file.stat().st_mtime_ns if file.is_file() else 0, emotion)


# Some 400 kB a clip.
@lru_cache(maxsize=100)
def _view_clip(path: str, _changed_ns: int, emotion: str) -> ClipView:
    native, native_hz = load_signal(path)
    signal = resample(native, native_hz, RATE_HZ)
    pitch_hz = pitch_contour(signal, RATE_HZ)
    with mpl.rc_context(fname=STYLE_FILE):
        png = _draw(signal, pitch_hz, colour_of(emotion))
    # Lossy codecs overshoot full scale now and then.
    wav = Audio(native.clip(-1, 1), rate=native_hz, normalize=False).data
    peak_db = 20 * np.log10(max(float(np.abs(signal).max()), 1e-6))
    voiced_hz = pitch_hz[np.isfinite(pitch_hz)]
    contour = f"median {np.median(voiced_hz):.0f} Hz" if len(voiced_hz) else "none was found"
    caption = (
        f"From top to bottom: waveform, peak {peak_db:.0f} dB re full scale; mel spectrogram, "
        f"in dB below its maximum; mel cepstrum (MFCC) 1 to {N_COEFFICIENTS - 1}; pitch of the "
        f"voice, {contour}."
    )
    return ClipView(png, wav, caption.replace("-", "−"))


def _draw(signal: np.ndarray, pitch_hz: np.ndarray, colour: str) -> bytes:
    """Draw the four panels at fixed places, so that nothing jumps from clip to clip."""
    duration_s = len(signal) / RATE_HZ
    figure = Figure(figsize=(WIDTH_PX / DPI, HEIGHT_PX / DPI), dpi=DPI, layout="none")  # type: ignore[arg-type]
    sizes = {"height_ratios": (2, 3.2, 3.2, 2.4), "width_ratios": (1, 0.02)}
    edges = {"left": 0.145, "right": 0.885, "top": 0.99, "bottom": 0.075}
    grid = figure.add_gridspec(4, 2, hspace=0.14, wspace=0.03, **sizes, **edges)
    wave, mel, cepstrum, pitch = (figure.add_subplot(grid[row, 0]) for row in range(4))
    envelope = waveform_envelope(signal, RATE_HZ, duration_s=duration_s, n_points=600)
    plot_envelope(envelope, duration_s, colour=colour, ax=wave)
    level_db = log_mel(signal, RATE_HZ)
    plot_log_mel(level_db, duration_s, f_max_hz=RATE_HZ / 2, with_colour_bar=False, ax=mel)
    # Columns 0 to 2 are zero crossings, RMS and the coefficient that is the level.
    frames = mfcc_zcr_rms(signal, RATE_HZ, duration_s=duration_s, n_mfcc=N_COEFFICIENTS)[:, 3:]
    plot_mfcc(frames.T, duration_s, first=1, limit=MFCC_LIMIT_DB, ax=cepstrum)
    plot_pitch(pitch_hz, duration_s, colour=colour, ax=pitch)
    for row, ax, label in ((1, mel, "Level (dB)"), (2, cepstrum, "Value (dB)")):
        scale = figure.add_subplot(grid[row, 1])
        low, high = ax.images[0].get_clim()
        figure.colorbar(ax.images[0], cax=scale, label=label, ticks=(low, (low + high) / 2, high))
    cepstrum.set_ylabel("MFCC (number)")
    for ax in (wave, mel, cepstrum, pitch):
        # One line for all; quicker than align_ylabels, which measures every tick.
        ax.yaxis.set_label_coords(-0.145, 0.5)
        if ax is not pitch:
            # Ticks take most of the time that drawing takes; those of the lowest panel serve all.
            ax.set(xticks=(), xlabel="")
    png = io.BytesIO()
    # The browser is near: quick to pack counts for more than small.
    figure.savefig(png, format="png", dpi=DPI, pil_kwargs={"compress_level": 1})
    return png.getvalue()


@dataclass(frozen=True)
class StoredModel:
    """The predictions of one model for each clip, as the mean of its seeds."""

    study: str
    title: str
    protocol: str
    runs: tuple[str, ...]
    """Folders of the stored runs, one a seed."""
    truth: pd.Series
    """The acted class by clip id, in the words of the study's task."""
    probabilities: pd.DataFrame
    """One row a clip id, one column a class, in [0, 1]."""


def stored_models(corpus: str) -> tuple[list[StoredModel], list[str]]:
    """Read the stored runs of a corpus without leaks, and one sentence a run that cannot be read.

    In the order of the studies, protocols and models.
    """
    groups: dict[str, list[Run]] = {}
    problems = []
    for path in sorted(runs_dir(corpus).glob("*/predictions.csv")):
        try:
            run = read_run(path.parent)
            is_honest = run.spec["protocol"] != "random" and not run.spec["leaks"]
            settings = _settings(run)
        except RunError as error:
            problems.append(str(error))
        except (KeyError, TypeError, ValueError) as error:
            problems.append(
                f"{path.parent}: this stored run is damaged ({error}); delete the folder"
            )
        else:
            if is_honest:
                groups.setdefault(settings, []).append(run)
    ordered = sorted(groups.values(), key=_place_of)
    models = [_mean_of(group) for group in ordered]
    names = [(one.study, one.protocol, one.title) for one in models]
    for name in {one for one in names if names.count(one) > 1}:
        # They differ in settings only, a shortened one for example.
        places = [place for place, one in enumerate(names) if one == name]
        told = differences([_shared(ordered[place][0]) for place in places])
        for place, own in zip(places, told, strict=True):
            text = settings_text(own) or ordered[place][0].folder.name.rsplit("-", 1)[-1]
            models[place] = replace(models[place], title=f"{name[2]}, {text}")
    return models, problems


def _place_of(runs: list[Run]) -> tuple[int, str, int]:
    """Sort by study, protocol and model, the studies and models in their own order."""
    study, protocol, name = (str(runs[0].spec[key]) for key in ("study", "protocol", "model"))
    models = [one.name for one in STUDIES[study].models] if study in STUDIES else []
    return [*STUDIES, study].index(study), protocol, [*models, name].index(name)


def _settings(run: Run) -> str:
    """Return what seeds of one model share; raise where the run lacks what is shown of it."""
    run.predictions[[f"p_{label}" for label in run.labels]].astype(float)
    run.predictions[["clip_id", "truth"]]
    shared = _shared(run)
    return json.dumps([shared["study"], shared["model"], shared], sort_keys=True)


def _shared(run: Run) -> dict[str, Any]:
    return {key: value for key, value in run.spec.items() if key not in OF_THE_SEED}


def _mean_of(runs: list[Run]) -> StoredModel:
    spec, labels = runs[0].spec, list(runs[0].labels)
    rows = pd.concat([run.predictions for run in runs])
    # Variants of a clip have its id, a hash sign, and their own name.
    by_clip = rows.groupby(rows["clip_id"].str.split("#").str[0])
    means = by_clip[[f"p_{label}" for label in labels]].mean().set_axis(labels, axis=1)
    study, name = str(spec["study"]), str(spec["model"])
    known = [one for one in STUDIES[study].models if one.name == name] if study in STUDIES else []
    title = known[0].title if known else name
    folders = tuple(run.folder.name for run in runs)
    return StoredModel(
        study, title, str(spec["protocol"]), folders, by_clip["truth"].first(), means
    )


def models_table(models: Sequence[StoredModel], clip_id: str) -> str:
    """Lay out the predictions of models for a clip, as HTML; empty where no model has the clip."""
    models = [one for one in models if clip_id in one.probabilities.index]
    if not models:
        return ""
    found = {_emotion_of(label) for one in models for label in one.probabilities.columns}
    emotions = [one for one in EMOTIONS if one in found] + sorted(found - set(EMOTIONS))
    heads = "".join(
        f'<th scope="col" style="border-bottom-color:{colour_of(one)}">'
        f"<span>{html.escape(one)}</span></th>"
        for one in emotions
    )
    rows = []
    for (study, protocol), group in groupby(models, key=lambda one: (one.study, one.protocol)):
        rows.append(
            f'<tr><th class="ser-section" colspan="{len(emotions) + 2}" scope="rowgroup">'
            f"{html.escape(study)}, protocol {html.escape(protocol)}</th></tr>"
        )
        rows += [_model_row(one, clip_id, emotions) for one in group]
    n_right = sum(one.probabilities.loc[clip_id].idxmax() == one.truth[clip_id] for one in models)
    summary = f"<p><b>{n_right} of {len(models)}</b> models predict what was acted.</p>"
    is_by_gender = any(" " in label for one in models for label in one.probabilities.columns)
    read_as = READ_AS + (BY_GENDER if is_by_gender else "")
    return (
        f'<div class="ser-stored">{summary}<table>'
        '<thead><tr><th scope="col">Probability (%)</th><th></th>'
        f"{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
        f'<p class="ser-say">{read_as}</p></div>'
    )


def _model_row(model: StoredModel, clip_id: str, emotions: list[str]) -> str:
    shares = model.probabilities.loc[clip_id]
    predicted, truth = str(shares.idxmax()), str(model.truth[clip_id])
    # A task by gender has two classes an emotion; a column shows their sum.
    by_emotion = shares.groupby(_emotion_of).sum()
    classes = {"ser-acted": _emotion_of(truth), "ser-top": _emotion_of(predicted)}
    cells = []
    for emotion in emotions:
        if emotion not in by_emotion:
            cells.append('<td title="not one of its classes">–</td>')
            continue
        marks = [name for name, marked in classes.items() if marked == emotion]
        width = f"width:{100 * by_emotion[emotion]:.0f}%;background:{colour_of(emotion)}"
        cells.append(
            f'<td class="{" ".join(marks)}"><i style="{width}"></i>'
            f"<span>{100 * by_emotion[emotion]:.0f}</span></td>"
        )
    is_right = predicted == truth
    verdict = "right" if is_right else "wrong"
    says = html.escape(f"{verdict}: predicted {predicted}, acted {truth}")
    sources = f"{model.title}: {', '.join(model.runs)}"
    mark = f'<td title="{says}" aria-label="{says}">{"✓" if is_right else "✗"}</td>'
    return (
        f'<tr title="{html.escape(sources)}"><th scope="row">'
        f"{html.escape(model.title)} <small>×{len(model.runs)}</small></th>"
        f"{mark}{''.join(cells)}</tr>"
    )


def _emotion_of(label: str) -> str:
    """Return the emotion of a class, which may name a gender as well ("female sad")."""
    return label.rsplit(" ", 1)[-1]


class Explorer(widgets.VBox):
    """Widgets to choose a clip and all there is to see and hear of it.

    Parameters
    ----------
    corpus : str
        Which corpus to begin with, a key of `ser_lib.data.CORPORA`.

    Raises
    ------
    CorpusError
        If there is none of that name; one that is not here is reported in the box.
    """

    def __init__(self, corpus: str = "demo") -> None:
        data.get_corpus(corpus)
        self._clips = pd.DataFrame(columns=list(data.CLIP_COLUMNS))
        self._models: list[StoredModel] = []
        self._last: pd.Series | None = None
        self._is_filling = False
        self.corpus = _dropdown("Corpus", [(_state_of(name), name) for name in data.CORPORA])
        self.speaker, self.emotion = _dropdown("Speaker"), _dropdown("Emotion")
        self.clip = _dropdown("Clip", flex="1 1 220px")
        self.previous, self.next = (
            widgets.Button(description=name, layout={"width": "auto"})
            for name in ("◀ Previous", "Next ▶")
        )
        self.position = widgets.HTML()
        self.audio = widgets.Audio(format="wav", autoplay=False, loop=False)
        self.autoplay = widgets.Checkbox(
            description="Play each clip when it is chosen", indent=False, layout={"width": "auto"}
        )
        self.notice, self.headline = widgets.HTML(), widgets.HTML()
        self.figure = widgets.HTML(layout={"flex": "1 1 430px", "max_width": "560px"})
        self.predictions = widgets.HTML(layout={"flex": "1 1 500px", "max_width": "760px"})
        style = f"<style>\n{STYLE_SHEET.read_text(encoding='utf-8')}</style>"
        rows = [
            widgets.HTML(style, layout={"display": "none"}),
            _row([self.corpus, self.speaker, self.emotion, self.clip]),
            _row([self.previous, self.next, self.position, self.audio, self.autoplay]),
            self.notice,
            self.headline,
            _row([self.figure, self.predictions], align_items="flex-start", grid_gap="4px 18px"),
        ]
        super().__init__(rows)
        self.add_class("ser-explorer")
        self.corpus.value = corpus
        self.corpus.observe(lambda _: self._load(), names="value")
        for filtering in (self.speaker, self.emotion):
            filtering.observe(lambda _: self._narrow(), names="value")
        self.clip.observe(lambda _: self._show(), names="value")
        self.previous.on_click(lambda _: self._step(-1))
        self.next.on_click(lambda _: self._step(1))
        widgets.dlink((self.autoplay, "value"), (self.audio, "autoplay"))
        self._load()

    def _load(self) -> None:
        """Read the chosen corpus and its stored runs."""
        name = self.corpus.value
        self._say(f"Reading {name} …", is_problem=False)
        problems = []
        self._last = None
        try:
            # What is damaged is left out here, and named.
            self._clips = data.load_corpus(name, strict=False)
            left_out = self._clips.attrs["left_out"]
            if left_out:
                problems.append(f"{len(left_out)} left out:{offenders(left_out, limit=3)}")
        except SerError as error:
            self._clips = self._clips.iloc[:0]
            problems.append(str(error))
        self._models = []
        members = [card.name for card in _members_of(name)]
        # Models that were trained on several corpora predict clips of each of them.
        for one in dict.fromkeys((name, *members, POOLED.name)):
            models, broken = stored_models(one)
            self._models += models
            problems += broken
        self._problems = problems
        self._narrow()

    def __repr__(self) -> str:
        return f"Explorer of {self.corpus.value}, at {self.clip.value}"

    def _narrow(self) -> None:
        """Offer the clips that the choices to the left leave, and stay near the last clip."""
        if self._is_filling:
            return
        self._is_filling = True
        try:
            clips = self._clips
            genders = clips.drop_duplicates("speaker").set_index("speaker")["gender"].sort_index()
            _fill(self.speaker, [(f"{one} ({genders[one]})", one) for one in genders.index])
            clips = _matching(clips, "speaker", self.speaker.value)
            counts = clips["emotion"].value_counts()
            present = [one for one in EMOTIONS if one in counts]
            _fill(self.emotion, [(f"{one} ({counts[one]})", one) for one in present])
            clips = _matching(clips, "emotion", self.emotion.value)
            fixed = [one for one in (self.speaker, self.emotion) if one.value != ALL]
            hidden = {one.description.lower() for one in fixed}
            self.clip.options = [
                (_name_of(clip, hidden), clip["clip_id"]) for _, clip in clips.iterrows()
            ]
            if len(clips):
                last = clips.iloc[0] if self._last is None else self._last
                likeness = (clips[list(LIKENESS)] == last[list(LIKENESS)]).sum(axis=1)
                self.clip.value = clips["clip_id"][likeness.idxmax()]
            else:
                self.clip.value = None
        finally:
            self._is_filling = False
        self._show()

    def _step(self, n_clips: int) -> None:
        """Go on by some clips; after the last comes the first."""
        if self.clip.options:
            self.clip.index = (self.clip.index + n_clips) % len(self.clip.options)

    def _show(self) -> None:
        """Show the chosen clip, or why it cannot be shown."""
        if self._is_filling:
            return
        n_clips = len(self.clip.options)
        for control in (self.speaker, self.emotion, self.clip, self.previous, self.next):
            control.disabled = n_clips == 0
        if not n_clips:
            self.headline.value = self.predictions.value = self.position.value = ""
            self._show_view(None)
            self._say(*self._problems)
            return
        chosen = self._clips["clip_id"] == self.clip.value
        clip = self._last = self._clips[chosen].iloc[0]
        (card,) = _members_of(clip["corpus"])
        self.position.value = f"{self.clip.index + 1:,} of {n_clips:,}"
        self.headline.value = _headline(clip, card.statements)
        self.predictions.value = models_table(self._models, clip["clip_id"]) or _no_predictions(
            self.corpus.value, bool(self._models)
        )
        problems = list(self._problems)
        view = None
        if not clip["path"]:
            problems.append(
                f"The recordings of {card.title} are not here: no figure and no sound, only what "
                "the stored runs hold. Set SER_DATA to the folder that holds "
                f"'{card.name}/' and start JupyterLab again."
            )
        else:
            try:
                view = view_clip(clip["path"], clip["emotion"])
            except SerError as error:
                problems.append(str(error))
        self._show_view(view)
        self._say(*problems)

    def _show_view(self, view: ClipView | None) -> None:
        for widget in (self.audio, self.autoplay, self.figure):
            widget.layout.display = None if view else "none"
        if view:
            self.audio.value = view.wav
            # Not widgets.Image, which has no place for a description. Its size is fixed and it is
            # decoded at once, so that nothing jumps or flickers when it is replaced.
            self.figure.value = view.picture()

    def _say(self, *sentences: str, is_problem: bool = True) -> None:
        kind = "ser-problem" if is_problem else "ser-say"
        boxes = [f'<div class="{kind}">{html.escape(one)}</div>' for one in sentences]
        self.notice.value = f'<div role="status">{"".join(boxes)}</div>' if boxes else ""


def _row(children: list[widgets.Widget], **layout: str) -> widgets.HBox:
    flow = {"flex_flow": "row wrap", "align_items": "center", "grid_gap": "2px 10px"}
    return widgets.HBox(children, layout=flow | layout)


def _dropdown(
    description: str, options: list[tuple[str, str]] | None = None, *, flex: str = "0 1 auto"
) -> widgets.Dropdown:
    return widgets.Dropdown(
        description=description,
        options=options or [],
        style={"description_width": "initial"},
        layout={"width": "auto", "flex": flex},
    )


def _fill(dropdown: widgets.Dropdown, options: list[tuple[str, str]]) -> None:
    """Offer all and each of `options`, and keep the choice where it is still there."""
    chosen = dropdown.value
    dropdown.options = [(f"all ({len(options)})", ALL), *options]
    dropdown.value = chosen if chosen in [value for _, value in options] else ALL


def _matching(clips: pd.DataFrame, column: str, value: str) -> pd.DataFrame:
    return clips if value == ALL else clips[clips[column] == value]


def _members_of(corpus: str) -> tuple[data.Corpus, ...]:
    card = data.get_corpus(corpus)
    return card.members if isinstance(card, data.Pool) else (card,)


def _state_of(corpus: str) -> str:
    """Name a corpus and how much of it is here."""
    members = _members_of(corpus)
    n_here = sum(card.is_embedded or card.root().is_dir() for card in members)
    if n_here == len(members):
        return corpus
    if n_here:
        return f"{corpus} ({n_here} of {len(members)} here)"
    has_table = (report_dir(corpus) / "clips.csv").is_file()
    return f"{corpus} (stored runs only)" if has_table else f"{corpus} (not here)"


def _name_of(clip: pd.Series, hidden: set[str]) -> str:
    """Name a clip by what the choices to its left leave open."""
    words = [
        str(clip[key])
        for key in ("speaker", "emotion", "intensity", "statement")
        if key not in hidden and clip[key]
    ]
    return " · ".join([*words, f"take {clip['repetition']}"])


def _headline(clip: pd.Series, statements: Mapping[str, str]) -> str:
    """Describe a clip in one line of HTML."""
    statement = str(clip["statement"])
    spoken = f"“{statements[statement]}”" if statement in statements else f"statement {statement}"
    intensity = f", {clip['intensity']}" if clip["intensity"] else ""
    words = [
        f'<span style="color:{colour_of(clip["emotion"])}">■</span> <b>{clip["emotion"]}</b>'
        + intensity,
        html.escape(spoken),
        html.escape(f"{clip['speaker']} ({clip['gender']}), take {clip['repetition']}"),
        f"{clip['duration_s']:.2f} s at {clip['sample_rate_hz']:,} Hz",
        f'<span class="ser-say">{html.escape(clip["clip_id"])}</span>',
    ]
    return " · ".join(words)


def _no_predictions(corpus: str, is_trained: bool) -> str:
    if is_trained:
        return "<p>No stored run holds this clip.</p>"
    setting = "" if corpus == "demo" else f" CORPUS={corpus}"
    return (
        f"<p>There are no stored predictions for {html.escape(corpus)} yet.</p><p>Run "
        f"<code>make report{setting}</code> in a terminal, then this cell again: the "
        "probabilities of every model will stand here.</p>"
    )
