"""An explorer for JupyterLab: choose a clip, look at it, listen, and see what stored models heard.

`Explorer` is a box of widgets. It trains nothing and writes nothing. Whatever is wrong with a
corpus, a clip or a run is said in the box, and another choice goes on from there. A clip's
figure and sound come from `ser_lib.closeup`, what models heard from `ser_lib.heard`.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping

import ipywidgets as widgets
import pandas as pd

from ser_lib import corpora
from ser_lib.closeup import HEIGHT_PX, WIDTH_PX, CloseUp, look_at
from ser_lib.corpora.pooled import POOLED
from ser_lib.errors import SerError, offenders
from ser_lib.heard import StoredModel, models_table, stored_models
from ser_lib.labels import EMOTIONS, colour_of
from ser_lib.paths import report_dir

__all__ = ["Explorer"]

ALL = "all"
# What makes two clips alike: after another choice the explorer stays near the last clip.
LIKENESS = ("emotion", "speaker", "statement", "intensity", "repetition")

STYLE = """<style>
.ser-explorer .widget-html-content { line-height: 1.35; font-size: 13px; white-space: normal; }
.ser-explorer img { display: block; width: 100%; height: auto; background: white; }
.ser-explorer .ser-say { color: var(--jp-ui-font-color2, #555); font-size: 12px; }
.ser-explorer .ser-problem { border-left: 4px solid #D55E00; padding: 2px 10px; margin: 4px 0;
  white-space: pre-wrap; }
</style>"""


class Explorer(widgets.VBox):
    """Widgets to choose a clip and all there is to see and hear of it.

    Parameters
    ----------
    corpus : str
        Which corpus to begin with, a key of `ser_lib.corpora.CORPORA`.

    Raises
    ------
    CorpusError
        If there is no corpus of that name. One that is known and not here, or damaged, is said in
        the box.

    Notes
    -----
    Notebook: explore.ipynb
    """

    def __init__(self, corpus: str = "demo") -> None:
        corpora.get_corpus(corpus)
        self._clips = pd.DataFrame(columns=list(corpora.CLIP_COLUMNS))
        self._models: list[StoredModel] = []
        self._last: pd.Series | None = None
        self._is_filling = False
        self.corpus = _dropdown("Corpus", [(_state_of(name), name) for name in corpora.CORPORA])
        self.speaker, self.emotion = _dropdown("Speaker"), _dropdown("Emotion")
        self.clip = _dropdown("Clip", flex="1 1 220px")
        self.previous, self.next = _button("◀ Previous"), _button("Next ▶")
        self.position = widgets.HTML()
        self.audio = widgets.Audio(format="wav", autoplay=False, loop=False)
        self.autoplay = widgets.Checkbox(
            description="Play each clip when it is chosen", indent=False, layout={"width": "auto"}
        )
        self.notice, self.headline = widgets.HTML(), widgets.HTML()
        self.figure = widgets.HTML(layout={"flex": "1 1 430px", "max_width": "560px"})
        self.heard = widgets.HTML(layout={"flex": "1 1 500px", "max_width": "760px"})
        rows = [
            widgets.HTML(STYLE, layout={"display": "none"}),
            _row([self.corpus, self.speaker, self.emotion, self.clip]),
            _row([self.previous, self.next, self.position, self.audio, self.autoplay]),
            self.notice,
            self.headline,
            _row([self.figure, self.heard], align_items="flex-start", grid_gap="4px 18px"),
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
        self.autoplay.observe(lambda change: self._set_autoplay(change["new"]), names="value")
        self._load()

    def _load(self) -> None:
        """Read the chosen corpus and its stored runs."""
        name = self.corpus.value
        self._say(f"Reading {name} …", is_problem=False)
        problems = []
        self._last = None
        try:
            # What is damaged is left out here, and named.
            self._clips = corpora.load(name, strict=False)
            left_out = self._clips.attrs["left_out"]
            if left_out:
                problems.append(f"{len(left_out)} left out:{offenders(left_out, limit=3)}")
        except SerError as error:
            self._clips = self._clips.iloc[:0]
            problems.append(str(error))
        self._models = []
        members = [card.name for card in _members_of(name)]
        # Models that were trained on several corpora have heard each of them.
        for one in dict.fromkeys((name, *members, POOLED.name)):
            models, broken = stored_models(one)
            self._models += models
            problems += broken
        self._problems = problems
        self._narrow()

    def _narrow(self) -> None:
        """Offer what the choices to the left leave, and stay near the last clip."""
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
            self.clip.value = None if clips.empty else self._nearest(clips)
        finally:
            self._is_filling = False
        self._show()

    def _nearest(self, clips: pd.DataFrame) -> str:
        if self._last is None:
            return clips["clip_id"].iloc[0]
        likeness = (clips[list(LIKENESS)] == self._last[list(LIKENESS)]).sum(axis=1)
        return clips["clip_id"][likeness.idxmax()]

    def _step(self, n_clips: int) -> None:
        """Go on by some clips; after the last comes the first."""
        if self.clip.options:
            self.clip.index = (self.clip.index + n_clips) % len(self.clip.options)

    def _set_autoplay(self, is_on: bool) -> None:
        self.audio.autoplay = is_on

    def _show(self) -> None:
        """Show the chosen clip, or say why it cannot be shown."""
        if self._is_filling:
            return
        n_clips = len(self.clip.options)
        for control in (self.speaker, self.emotion, self.clip, self.previous, self.next):
            control.disabled = n_clips == 0
        if not n_clips:
            self.headline.value = self.heard.value = self.position.value = ""
            self._show_view(None)
            self._say(*self._problems)
            return
        chosen = self._clips["clip_id"] == self.clip.value
        clip = self._last = self._clips[chosen].iloc[0]
        card = corpora.get_corpus(clip["corpus"])
        self.position.value = f"{self.clip.index + 1:,} of {n_clips:,}"
        self.headline.value = _headline(clip, card.statements)
        self.heard.value = models_table(self._models, clip["clip_id"]) or _nothing_heard(
            self.corpus.value, bool(self._models)
        )
        problems = list(self._problems)
        view = None
        if not clip["path"]:
            problems.append(
                f"The recordings of {card.title} are not here: no figure and no sound, only what "
                "the stored runs hold. Set SER_DATA to the folder that holds "
                f"'{card.folder or card.name}/' and start JupyterLab again."
            )
        else:
            try:
                view = look_at(clip["path"], clip["emotion"])
            except SerError as error:
                problems.append(str(error))
        self._show_view(view)
        self._say(*problems)

    def _show_view(self, view: CloseUp | None) -> None:
        for widget in (self.audio, self.autoplay, self.figure):
            widget.layout.display = None if view else "none"
        if view:
            self.audio.value = view.wav
            caption = html.escape(view.caption)
            # Not widgets.Image, which has no place for a description. Its size is fixed and it is
            # decoded at once, so that nothing jumps or flickers when it is replaced.
            self.figure.value = (
                f'<img alt="{caption}" width="{WIDTH_PX}" height="{HEIGHT_PX}" decoding="sync" '
                f'src="data:image/png;base64,{base64.b64encode(view.png).decode()}">'
                f'<p class="ser-say">{caption}</p>'
            )

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


def _button(description: str) -> widgets.Button:
    return widgets.Button(description=description, layout={"width": "auto"})


def _fill(dropdown: widgets.Dropdown, options: list[tuple[str, str]]) -> None:
    """Offer all and each of `options`, and keep what was chosen where it is still there."""
    chosen = dropdown.value
    dropdown.options = [(f"all ({len(options)})", ALL), *options]
    dropdown.value = chosen if chosen in [value for _, value in options] else ALL


def _matching(clips: pd.DataFrame, column: str, value: str) -> pd.DataFrame:
    return clips if value == ALL else clips[clips[column] == value]


def _members_of(corpus: str) -> tuple[corpora.Corpus, ...]:
    card = corpora.get_corpus(corpus)
    return card.members if isinstance(card, corpora.Pool) else (card,)


def _state_of(corpus: str) -> str:
    """Name a corpus and say what of it is here."""
    members = _members_of(corpus)
    n_here = sum(card.is_embedded or card.root().is_dir() for card in members)
    if n_here == len(members):
        return corpus
    if n_here:
        return f"{corpus} ({n_here} of {len(members)} here)"
    is_told = (report_dir(corpus) / "clips.csv").is_file()
    return f"{corpus} (stored runs only)" if is_told else f"{corpus} (not here)"


def _name_of(clip: pd.Series, hidden: set[str]) -> str:
    """Name a clip by what the choices to its left leave open."""
    words = {
        "speaker": clip["speaker"],
        "emotion": clip["emotion"],
        "intensity": clip["intensity"],
        "statement": clip["statement"],
        "repetition": f"take {clip['repetition']}",
    }
    return " · ".join(str(word) for key, word in words.items() if key not in hidden and word)


def _headline(clip: pd.Series, statements: Mapping[str, str]) -> str:
    statement = str(clip["statement"])
    words = [
        f'<span style="color:{colour_of(clip["emotion"])}">■</span> <b>{clip["emotion"]}</b>'
        + (f", {clip['intensity']}" if clip["intensity"] else ""),
        html.escape(
            f"“{statements[statement]}”" if statement in statements else f"statement {statement}"
        ),
        html.escape(f"{clip['speaker']} ({clip['gender']}), take {clip['repetition']}"),
        f"{clip['duration_s']:.2f} s at {clip['sample_rate_hz']:,} Hz",
        f'<span class="ser-say">{html.escape(clip["clip_id"])}</span>',
    ]
    return " · ".join(words)


def _nothing_heard(corpus: str, is_trained: bool) -> str:
    if is_trained:
        return "<p>No stored run holds this clip.</p>"
    setting = "" if corpus == "demo" else f" CORPUS={corpus}"
    return (
        f"<p>There are no stored predictions for {html.escape(corpus)} yet.</p><p>Run "
        f"<code>make report{setting}</code> in a terminal, then this cell again: the "
        "probabilities of every model will stand here.</p>"
    )
