"""Measure what clips of a room gain or cost, as they should be and misused: `rooms.csv`.

Bundles that can adapt answer 400 clips of each corpus that they were not trained on, once as they
are and once with the room known by other clips: mixed ones, those of one emotion, of two speakers,
few, and half of them of another room.
Answers count among the classes of the corpus; calm counts as neutral. `support.cross_corpus` reads
`reports/languages/transfer/rooms.csv`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from ser_lib.data import load_corpus
from ser_lib.data.labels import LABEL_SETS
from ser_lib.data.splits import rows_of
from ser_lib.evaluation.metrics import confusion_counts, uar
from ser_lib.evaluation.probabilities import softmax
from ser_lib.features.extraction import extract
from ser_lib.inference.predictor import (
    DOUBTED_TRUST,
    ENOUGH_ROOM_CLIPS,
    MIN_TOLD_NATS,
    ROOM,
    Predictor,
    told_nats,
)
from ser_lib.paths import atomic_path, report_dir
from ser_lib.studies.moonshine import MOONSHINE

BUNDLES = {
    "moonshine-strangers": ("ased", "tess", "turev"),
    "moonshine-ravdess": ("ased", "emodb", "emospeech_in", "nemo", "tess", "turev"),
}
TESTED = slice(100, 500)
N_MANY, N_LEAST = 30, 10


def references(rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield sets of clips of one corpus, in the order of their hashes, none of which is tested."""
    for n_clips in (5, 10, N_MANY, 100):
        yield f"mixed {n_clips}", rows[:n_clips]
    for start in range(TESTED.stop, min(len(rows), TESTED.stop + 3 * N_MANY) - N_MANY + 1, N_MANY):
        yield f"mixed {N_MANY}", rows[start : start + N_MANY]
    others = pd.concat([rows[: TESTED.start], rows[TESTED.stop :]])
    for label, ours in others.groupby("label"):
        if len(ours) >= N_LEAST:
            yield f"one emotion: {label}", ours[:N_MANY]
    two = others["speaker"].value_counts().index[:2]
    yield "two speakers", pd.concat([others[others["speaker"] == one][:15] for one in two])


def measure(bundle: str, names: tuple[str, ...]) -> Iterator[tuple[object, ...]]:
    """Yield one row a set of clips, with the columns `COLUMNS`."""
    predictor = Predictor.load(bundle)
    n_layers = predictor.bundle.input_shape[1]
    spec = MOONSHINE.model(predictor.bundle.card["model"]).features
    elsewhere = np.empty(0)
    corpora = load_corpus("languages", strict=False)
    for corpus in names:
        clips = corpora[corpora["corpus"] == corpus]
        features = extract(clips, spec)[:, :, :n_layers].astype(float)
        place = pd.Series(range(len(clips)), index=clips["clip_id"])
        rows = rows_of(clips, LABEL_SETS["seven"]).sort_values("audio_sha256", ignore_index=True)
        flat = features.reshape(len(features), -1)[place[rows["clip_id"]]]
        labels = sorted(rows["label"].unique())
        said_as = np.array(["neutral" if one == "calm" else one for one in predictor.labels])

        def score(scores: np.ndarray, rows=rows, labels=labels, said_as=said_as) -> float:
            best = np.stack([scores[:, said_as == one].max(axis=1) for one in labels], axis=1)
            said = np.array(labels)[best.argmax(axis=1)]
            return 100 * float(uar(confusion_counts(rows["label"][TESTED], said, labels)))

        new = predictor._scores(flat[TESTED])
        sets = [(name, flat[reference.index]) for name, reference in references(rows)]
        if len(elsewhere):
            sets.append(("two rooms", np.concatenate([flat[: N_MANY // 2], elsewhere])))
        elsewhere = flat[: N_MANY // 2]
        for name, ours in sets:
            room = predictor._knowing(ours, ROOM)
            known, told = room._scores(flat[TESTED]), told_nats(softmax(room._scores(ours)))
            least = predictor.bundle.speaker.get("room_told_nats", MIN_TOLD_NATS)
            is_doubted = len(ours) < ENOUGH_ROOM_CLIPS or told < least
            whole, trusted, doubted = (
                round(score(trust * known + (1 - trust) * new) - score(new), 1)
                for trust in (1.0, predictor.room_trust, DOUBTED_TRUST)
            )
            row = (bundle, corpus, name, len(ours), round(told, 2), whole, trusted, doubted)
            yield (*row, is_doubted, doubted if is_doubted else trusted)


COLUMNS = (
    *("bundle", "corpus", "reference", "n_clips", "told_nats", "gain_whole_points"),
    *("gain_trusted_points", "gain_doubted_points", "is_doubted", "gain_points"),
)


def main() -> None:
    """Measure all corpora and write the table."""
    found = [row for bundle, names in BUNDLES.items() for row in measure(bundle, names)]
    table = pd.DataFrame(found, columns=COLUMNS)
    with atomic_path(report_dir("languages") / "transfer" / "rooms.csv") as temporary:
        table.to_csv(temporary, index=False)
    print(table.to_string())


if __name__ == "__main__":
    main()
