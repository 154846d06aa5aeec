"""An explorer for JupyterLab: choose a clip, look at it, listen, and compare stored predictions.

`Explorer` puts the player of `ser_lib.app.clip_view` and the tables of `ser_lib.app.stored_models`
into a box of widgets. Nothing is trained or written. Whatever is wrong with a corpus, a clip or a
run is reported in the box.
"""

from __future__ import annotations

import tempfile
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets as widgets
import pandas as pd
import traitlets

from ser_lib import data
from ser_lib.app.clip_view import ClipPlayer, ClipView, view_clip
from ser_lib.app.stored_models import StoredModel, models_table, stored_models
from ser_lib.app.templates import THEME_DIR, part_of
from ser_lib.audio.io import SUFFIXES
from ser_lib.data.annotations import COLUMNS, annotation_text
from ser_lib.data.labels import EMOTIONS, colour_of
from ser_lib.data.pooled import POOLED
from ser_lib.errors import SerError, offenders
from ser_lib.evaluation.metrics import confusion_counts
from ser_lib.features.phonetics import CEILING_HZ
from ser_lib.inference.bundle import installed_bundles
from ser_lib.inference.predictor import Predictor
from ser_lib.inference.streaming import (
    FIRST_ANSWER_S,
    HOP_S,
    WINDOW_S,
    Window,
    timeline,
    timeline_table,
    window_intervals,
)
from ser_lib.paths import report_dir

ALL, NONE = "all", ""
OWN = "own"  # the corpus of recordings that are opened by hand

# What makes two clips alike: after another choice the explorer stays near the last clip.
LIKENESS = ("emotion", "speaker", "statement", "intensity", "repetition")

# Five formants lie below it in most men's voices; `CEILING_HZ` is for all others.
LOW_CEILING_HZ = 5000.0
SHORT_S = 30.0  # up to here windows overlap more, to follow what is said


class OwnSound(anywidget.AnyWidget):
    """A file of one's own, chosen or recorded in the browser; its bytes come as messages."""

    _esm = THEME_DIR / "own_sound.js"
    accept = traitlets.Unicode(",".join(("audio/*", "video/*", *sorted(SUFFIXES)))).tag(sync=True)


class ConfusionMatrix(anywidget.AnyWidget):
    """Counts by acted and predicted class, whose cells can be pressed."""

    _esm = THEME_DIR / "confusion.js"
    matrix = traitlets.Dict().tag(sync=True)
    cell: traitlets.List = traitlets.List().tag(sync=True)
    """The acted and the predicted class of the cell that is pressed; empty for none."""


_part = partial(part_of, "explorer")
_predictor = lru_cache(maxsize=4)(Predictor.load)


class Explorer(widgets.VBox):
    """Widgets to choose a clip and all there is to see and hear of it.

    What is selected and marked is in `explorer.player.selection` and `explorer.player.marks`; what
    is shown, with its contours as a table, in `explorer.view`.

    Parameters
    ----------
    corpus : str or pandas.DataFrame
        Which corpus to begin with, by name; or a clip table of one's own, from
        `ser_lib.clips_from_folder` for example.

    Raises
    ------
    CorpusError
        If there is none of that name; one that is not here is reported in the box.
    """

    def __init__(self, corpus: str | pd.DataFrame = "demo") -> None:
        nothing = pd.DataFrame(columns=list(data.CLIP_COLUMNS))
        self._own = {OWN: nothing}
        if isinstance(corpus, str) and corpus not in data.CORPORA:
            corpus = data.load_corpus(corpus, strict=False)
        if isinstance(corpus, pd.DataFrame):
            name = data.corpus_of(corpus)
            self._own = {name: corpus, OWN: nothing}
        else:
            name = corpus
        self._clips = nothing
        self._models: list[StoredModel] = []
        self._marks: dict[str, list[Any]] = {}
        self._last: pd.Series | None = None
        self._kept: ClipView | None = None
        self._is_filling = False
        self._folder = tempfile.TemporaryDirectory(prefix="ser-explorer-")
        self.view: ClipView | None = None
        self.windows: list[Window] = []
        corpora = {**data.CORPORA, **self._own}
        self.corpus = _dropdown("Corpus", [(_state_of(one), one) for one in corpora])
        self.speaker, self.emotion = _dropdown("Speaker"), _dropdown("Emotion")
        self.clip = _dropdown("Clip", flex="1 1 220px")
        self.previous, self.next = (
            widgets.Button(description=one, layout={"width": "auto"})
            for one in ("◀ Previous", "Next ▶")
        )
        self.position = widgets.HTML()
        self.autoplay = _checkbox("Play each clip when it is chosen")
        self.keep_beside = _checkbox("Keep this clip beside the next")
        bundles = [(folder.name, str(folder)) for folder in installed_bundles()]
        self.bundle = _dropdown("Predict along time", [("no", NONE), *bundles])
        self.model = _dropdown("Confusions of", [("no model", NONE)])
        self.path = widgets.Text(
            description="Your own recording",
            placeholder="path, then Enter",
            continuous_update=False,
            style={"description_width": "initial"},
            layout={"width": "auto", "flex": "1 1 260px"},
        )
        self.sound = OwnSound()
        self.notice, self.headline, self.headline_beside = (widgets.HTML() for _ in range(3))
        self.player, self.beside = ClipPlayer(), ClipPlayer()
        self.predictions = widgets.HTML(layout={"flex": "1 1 480px", "max_width": "760px"})
        self.confusion = ConfusionMatrix(layout={"flex": "1 1 300px"})
        players = [
            widgets.VBox(pair, layout={"flex": "1 1 400px", "min_width": "0"})
            for pair in ([self.headline_beside, self.beside], [self.headline, self.player])
        ]
        self._beside_box = players[0]
        self._beside_box.add_class("ser-beside")
        rows = [
            _row([self.corpus, self.speaker, self.emotion, self.clip]),
            _row([self.previous, self.next, self.position, self.autoplay, self.keep_beside]),
            _row([self.path, self.sound, self.bundle, self.model]),
            self.notice,
            _row(players, align_items="flex-start", flex_flow="row nowrap"),
            _row([self.confusion, self.predictions], align_items="flex-start", grid_gap="4px 18px"),
        ]
        super().__init__(rows)
        self.add_class("ser-explorer")
        self.corpus.value = name
        self.corpus.observe(lambda _: self._load(), names="value")
        for filtering in (self.speaker, self.emotion):
            filtering.observe(lambda _: self._narrow(), names="value")
        self.confusion.observe(lambda _: self._narrow(), names="cell")
        self.model.observe(lambda _: self._confuse(), names="value")
        self.clip.observe(lambda _: self._show(), names="value")
        self.bundle.observe(lambda _: self._show(), names="value")
        self.keep_beside.observe(lambda _: self._keep_beside(), names="value")
        self.path.observe(lambda change: self.open_file(change.new), names="value")
        self.sound.on_msg(self._receive)
        self.player.on_msg(self._save_textgrid)
        # They are there again when their clip is.
        self.player.observe(
            lambda change: self._marks.update({self.clip.value: change.new}), names="marks"
        )
        self.previous.on_click(lambda _: self._step(-1))
        self.next.on_click(lambda _: self._step(1))
        widgets.dlink((self.autoplay, "value"), (self.player, "autoplay"))
        self._keep_beside()
        self._load()

    def __repr__(self) -> str:
        return f"Explorer of {self.corpus.value}, at {self.clip.value}"

    def open_file(self, path: str | Path) -> None:
        """Show a recording of one's own, whatever its form."""
        file = Path(path).expanduser().absolute()
        self._say(f"Reading {file.name} …", is_problem=False)
        try:
            view = view_clip(file)
        except SerError as error:
            self._say(str(error))
            return
        row = dict.fromkeys(data.CLIP_COLUMNS, "") | {
            "clip_id": str(file),
            "path": str(file),
            "corpus": OWN,
            "repetition": 1,
            "duration_s": view.duration_s,
            "sample_rate_hz": view.sample_rate_hz,
        }
        others = [one for one in self._own[OWN].to_dict("records") if one["path"] != row["path"]]
        self._own[OWN] = pd.DataFrame([*others, row])
        if self.corpus.value == OWN:
            self._load()
        self.corpus.value, self.clip.value = OWN, row["clip_id"]

    def _receive(self, _: object, content: dict[str, Any], pieces: list[memoryview]) -> None:
        """Take a piece of a recording from the browser, and show it when it is whole."""
        file = Path(self._folder.name) / Path(content["name"]).name
        with file.open("wb" if content["is_first"] else "ab") as target:
            target.write(pieces[0])
        if content["is_last"]:
            self.open_file(file)

    def textgrid(self) -> str:
        """Return what is marked, or else selected, and the predictions along time as a TextGrid."""
        selected = [[*self.player.selection, "selection"]] if self.player.selection else []
        marks = self.player.marks or selected
        rows = [(a, b, text, "marks") for a, b, text in marks if text.strip()]
        rows += [
            (*one, f"predicted by {self.bundle.label}") for one in window_intervals(self.windows)
        ]
        table = pd.DataFrame(rows, columns=COLUMNS[1:]).assign(file="")
        duration_s = self.view.shown_s if self.view else 0.0
        return annotation_text(table, "textgrid", duration_s=duration_s)

    def _save_textgrid(self, *_: object) -> None:
        name = f"{Path(self.clip.value or 'clip').stem}.TextGrid"
        self.player.send({"name": name, "text": self.textgrid()})

    def _load(self) -> None:
        """Read the chosen corpus and its stored runs."""
        name = self.corpus.value
        self._say(f"Reading {name} …", is_problem=False)
        problems: list[str] = []
        self._last = None
        try:
            if name in self._own:
                self._clips = self._own[name]
            else:
                # What is damaged is left out here, and named.
                self._clips = data.load_corpus(name, strict=False)
                if left_out := self._clips.attrs["left_out"]:
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
        self._is_filling = True
        here = set(self._clips["clip_id"])
        self.model.options = [
            ("no model", NONE),
            *(
                (f"{one.study}, {one.protocol}: {one.title}", str(number))
                for number, one in enumerate(self._models)
                if here.intersection(one.truth.index)
            ),
        ]
        self.confusion.cell, self.confusion.matrix = [], {}
        self._is_filling = False
        self._narrow()

    def _confuse(self) -> None:
        """Count what the chosen model takes for what, among the clips of this corpus."""
        if self._is_filling:
            return
        self.confusion.cell = []
        table = self._predicted()
        if table.empty:
            self.confusion.matrix = {}
            return
        found = set(table["truth"]) | set(table["predicted"])
        labels = [one for one in EMOTIONS if one in found] + sorted(found - set(EMOTIONS))
        self.confusion.matrix = {
            "labels": labels,
            "counts": confusion_counts(table["truth"], table["predicted"], labels).tolist(),
            "caption": f"{len(table):,} clips. Press a number to keep only these in the menus.",
        }

    def _predicted(self) -> pd.DataFrame:
        """Return acted and predicted class by clip id, of the model whose confusions are shown."""
        if not self.model.value:
            return pd.DataFrame(columns=["truth", "predicted"])
        model = self._models[int(self.model.value)]
        both = {"truth": model.truth, "predicted": model.probabilities.idxmax(axis=1)}
        return pd.DataFrame(both).filter(self._clips["clip_id"], axis=0)

    def _narrow(self) -> None:
        """Offer the clips that the choices before leave, and stay near the last clip."""
        if self._is_filling:
            return
        self._is_filling = True
        try:
            clips = self._clips
            if self.confusion.cell:
                table = self._predicted()
                pressed = (table[["truth", "predicted"]] == self.confusion.cell).all(axis=1)
                clips = clips[clips["clip_id"].isin(table.index[pressed])]
            genders = clips.drop_duplicates("speaker").set_index("speaker")["gender"].sort_index()
            speakers = [(f"{one} ({genders[one]})", one) for one in genders.index if one]
            clips = _filtered(clips, "speaker", self.speaker, speakers)
            counts = clips["emotion"].value_counts()
            emotions = [(f"{one} ({counts[one]})", one) for one in EMOTIONS if one in counts]
            clips = _filtered(clips, "emotion", self.emotion, emotions)
            hidden = {one for one in ("speaker", "emotion") if getattr(self, one).value != ALL}
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
        for control in (self.clip, self.previous, self.next):
            control.disabled = n_clips == 0
        for control in (self.speaker, self.emotion):
            control.disabled = len(control.options) == 1
        if not n_clips:
            self.headline.value = self.predictions.value = self.position.value = ""
            self._show_view(None)
            hint = "Open a recording: type its path, choose a file, or record yourself."
            self._say(*self._problems, *([hint] if self.corpus.value == OWN else []))
            return
        chosen = self._clips["clip_id"] == self.clip.value
        clip = self._last = self._clips[chosen].iloc[0]
        cards = _members_of(clip["corpus"])
        self.position.value = f"{self.clip.index + 1:,} of {n_clips:,}"
        is_own = clip["corpus"] == OWN
        self.headline.value = _part("headline")(
            clip=clip.to_dict(),
            statements=cards[0].statements if cards else {},
            name=_name_of(clip, set()) if is_own else "",
        )
        self.predictions.value = models_table(self._models, clip["clip_id"]) or _part("no_model")(
            corpus=self.corpus.value, is_own=is_own, is_trained=bool(self._models)
        )
        problems = list(self._problems)
        view = None
        if not clip["path"]:
            problems.append(
                f"The recordings of {cards[0].title} are not here: no figure and no sound, only "
                "what the stored runs hold. Set SER_DATA to the folder that holds "
                f"'{cards[0].name}/' and start JupyterLab again."
            )
        else:
            ceiling_hz = LOW_CEILING_HZ if clip["gender"] == "male" else CEILING_HZ
            try:
                view = view_clip(clip["path"], clip["emotion"], ceiling_hz=ceiling_hz)
            except SerError as error:
                problems.append(str(error))
        self._show_view(view)
        try:
            problems += self._predict_along([card.title for card in cards])
        except SerError as error:
            problems.append(str(error))
        self._say(*problems)

    def _show_view(self, view: ClipView | None) -> None:
        self.view, self.windows = view, []
        for widget in (self.player, self.autoplay, self.keep_beside):
            widget.layout.display = None if view else "none"
        with self.player.hold_sync():
            self.player.timeline, self.player.selection = {}, []
            self.player.marks = self._marks.get(self.clip.value, [])
            self.player.clip = view.message() if view else {}
            self._one_scale()

    def _predict_along(self, titles: list[str]) -> list[str]:
        """Predict along the clip, once it is shown, where a bundle is chosen; return what is wrong.

        Titles are those of the clip's corpus.
        """
        if not self.view or not self.bundle.value:
            return []
        self.windows, self.player.timeline = _along(self.view, self.bundle.value)
        trained_on = _predictor(self.bundle.value).bundle.card.get("corpora", ())
        return [
            f"{self.bundle.label} was trained on {one['title']}, these very clips included: what "
            "it predicts along time for them says nothing about unseen speakers."
            for one in trained_on
            if one["title"] in titles
        ]

    def _keep_beside(self) -> None:
        """Keep what is shown beside what is chosen next, on the same scale of time."""
        is_kept = self.keep_beside.value
        self._beside_box.layout.display = None if is_kept else "none"
        self.headline_beside.value = self.headline.value if is_kept else ""
        for name in ("timeline", "marks", "clip"):
            shown = getattr(self.player, name)
            setattr(self.beside, name, shown if is_kept else type(shown)())
        self._kept = self.view if is_kept else None
        self._one_scale()

    def _one_scale(self) -> None:
        views = [one for one in (self.view, self._kept) if one]
        span_s = max((one.shown_s for one in views), default=0.0)
        self.player.span_s = self.beside.span_s = span_s if self._kept else 0.0

    def _say(self, *sentences: str, is_problem: bool = True) -> None:
        self.notice.value = _part("notice")(sentences=sentences, is_problem=is_problem)


@lru_cache(maxsize=50)
def _along(view: ClipView, folder: str) -> tuple[list[Window], dict[str, Any]]:
    """Predict along a clip; return its windows, and what the player draws of them."""
    predictor = _predictor(folder)
    # A short clip holds few whole windows.
    window_s = min(WINDOW_S, max(FIRST_ANSWER_S, view.shown_s / 2))
    hop_s = window_s / 4 if view.shown_s <= SHORT_S else HOP_S
    source = (view.signal, view.sample_rate_hz)
    windows = list(timeline(predictor, source, window_s=window_s, hop_s=hop_s))
    table = timeline_table(windows, predictor.labels)
    shares = table[[f"smooth_{one}" for one in predictor.labels]].set_axis(predictor.labels, axis=1)
    plain = shares.astype(object).where(shares.notna(), None)
    classes = [
        {"text": one, "colour": colour_of(one), "shares": plain[one].tolist()}
        for one in shares.mean().sort_values(ascending=False).index
    ]
    times = {name: table[name].tolist() for name in ("start_s", "end_s")}
    return windows, times | {"classes": classes}


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


def _checkbox(description: str) -> widgets.Checkbox:
    return widgets.Checkbox(description=description, indent=False, layout={"width": "auto"})


def _filtered(
    clips: pd.DataFrame, column: str, menu: widgets.Dropdown, options: list[tuple[str, str]]
) -> pd.DataFrame:
    """Offer all and each of `options`, keep the choice if it is still there, and return its clips.

    Options are names and values of a column.
    """
    chosen = menu.value
    menu.options = [(f"all ({len(options)})", ALL), *options]
    menu.value = chosen if chosen in dict(options).values() else ALL
    return clips if menu.value == ALL else clips[clips[column] == menu.value]


def _members_of(corpus: str) -> tuple[data.Corpus, ...]:
    if corpus not in data.CORPORA:
        return ()  # clips of one's own
    card = data.get_corpus(corpus)
    return card.members if isinstance(card, data.Pool) else (card,)


def _state_of(corpus: str) -> str:
    """Name a corpus and how much of it is here."""
    if corpus == OWN:
        return "recordings of your own"
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
    if clip["corpus"] == OWN:
        return Path(clip["path"]).name
    words = [
        str(clip[key])
        for key in ("speaker", "emotion", "intensity", "statement")
        if key not in hidden and clip[key]
    ]
    return " · ".join([*words, f"take {clip['repetition']}"])
