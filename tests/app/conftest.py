"""Stored runs for the explorer."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from ser_lib.paths import runs_dir

LABELS = ("neutral", "happy", "sad")


@pytest.fixture
def store():
    """Return a function that writes a stored run with one row a clip id."""

    def write(
        shares=(0.2, 0.3, 0.5),
        *,
        clip_ids=("demo/a",),
        truth="sad",
        labels=LABELS,
        corpus="demo",
        **settings,
    ):
        spec = {"study": "boucheta2025", "model": "svm", "protocol": "luna5", "seed": 42}
        spec |= {"leaks": [], "labels": list(labels), "rows_sha256": "x"} | settings
        name = "-".join(str(spec[key]) for key in ("study", "model", "protocol", "seed"))
        folder = runs_dir(corpus) / f"{name}-{len(list(runs_dir(corpus).glob('*'))):012d}"
        folder.mkdir(parents=True)
        rows = pd.DataFrame({"clip_id": clip_ids, "fold": 0, "truth": truth, "prediction": "sad"})
        for label, share in zip(labels, shares, strict=True):
            rows[f"p_{label}"] = share
        rows.to_csv(folder / "predictions.csv", index=False)
        pd.DataFrame({"epoch": [1], "fold": [0]}).to_csv(folder / "history.csv", index=False)
        for part, content in (("spec", spec), ("environment", {})):
            (folder / f"{part}.json").write_text(json.dumps(content), encoding="utf-8")
        return folder

    return write
