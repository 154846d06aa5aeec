"""`ser features`: values as computed, with times, names and settings, in files of both forms."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from ser_lib import data
from ser_lib.cli import main as command
from ser_lib.errors import FeatureError, OutputError
from ser_lib.features.extraction import compute
from ser_lib.features.registry import FEATURES, FeatureSpec


@pytest.fixture
def folder(tmp_path, write_clip, tone):
    for name, seconds in (("a", 0.5), ("b", 0.8)):
        signal = tone(200.0, duration_s=seconds) + 0.1 * tone(800.0, duration_s=seconds)
        write_clip(tmp_path / "clips" / "sad" / f"{name}.wav", signal)
    return tmp_path / "clips"


@pytest.fixture
def call(tmp_path):
    """Return a function that calls `ser features`; an error of ours is raised."""

    def run(*arguments: str, out: str = "", expected: int = 0):
        if out.endswith("parquet"):
            pytest.importorskip("pyarrow")
        options = ["--out", str(tmp_path / out)] if out else []
        result = CliRunner().invoke(command.app, ["features", *map(str, arguments), *options])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == expected, result.output
        return result.output

    return run


def read(path):
    """Return rows, values and settings of a file, whatever its form."""
    if path.suffix == ".npz":
        with np.load(path) as stored:
            arrays = dict(stored)
        about, values = json.loads(str(arrays.pop("ser_features"))), arrays.pop("features")
        return pd.DataFrame(arrays), values, about
    frame = pd.read_parquet(path)
    about = frame.attrs["ser_features"]
    known = ["clip_id", "path", "label", "speaker", "duration_s", "time_s"]
    rows = frame.columns.intersection(known)
    return frame[rows], frame.drop(columns=rows).to_numpy(), about


@pytest.mark.parametrize("form", ["parquet", "npz"])
def test_frames_have_times_and_their_values_are_those_of_the_function(call, folder, tmp_path, form):
    call("log_mel", folder, "--set", "n_mels=8", "--set", "hop_samples=256", out=f"f.{form}")
    rows, values, about = read(tmp_path / f"f.{form}")
    spec = FeatureSpec("log_mel", params={"n_mels": 8, "hop_samples": 256})
    assert about["feature"] == spec.identity()
    for clip in ("a", "b"):
        ours = (rows["clip_id"] == f"sad/{clip}.wav").to_numpy()
        expected = compute(str(folder / "sad" / f"{clip}.wav"), spec)
        np.testing.assert_array_equal(values[ours], expected.T)
        assert values.dtype == expected.dtype
        np.testing.assert_allclose(rows["time_s"][ours], np.arange(ours.sum()) * 256 / 22_050)
    assert set(rows["label"]) == {"sad"}


@pytest.mark.parametrize("form", ["parquet", "npz"])
def test_a_feature_without_time_gives_one_row_a_clip(call, folder, tmp_path, form):
    call("prosody", folder, out=f"f.{form}")
    rows, values, _ = read(tmp_path / f"f.{form}")
    assert list(rows["clip_id"]) == ["sad/a.wav", "sad/b.wav"]
    assert "time_s" not in rows
    np.testing.assert_array_equal(
        values[1], compute(str(folder / "sad" / "b.wav"), FeatureSpec("prosody"))
    )


def test_a_table_keeps_its_labels_and_a_segment_is_its_stretch(call, folder, tmp_path):
    lines = "path,label,speaker,start,end", "sad/b.wav,NA,01,0.2,0.7"
    (folder / "t.csv").write_text("\n".join(lines))
    call("mfcc_zcr_rms", folder / "t.csv", "--set", "duration_s=0.5", out="f.npz")
    rows, values, _ = read(tmp_path / "f.npz")
    assert rows.loc[0, ["label", "speaker"]].tolist() == ["NA", "01"]
    assert (rows["duration_s"] == 0.5).all()
    assert set(rows["path"]) == {str(folder / "sad" / "b.wav")}
    assert values.shape == (1 + round(0.5 * 22_050) // 512, 42)


def test_a_corpus_is_named(call, tmp_path, few_clips, monkeypatch):
    monkeypatch.setattr(data, "load_corpus", lambda *_, **__: few_clips)
    call("waveform_envelope", "demo", "--set", "n_points=2", out="f.npz")
    rows, values, _ = read(tmp_path / "f.npz")
    assert values.shape == (2 * len(few_clips), 2)
    assert rows["speaker"].nunique() == 6


@pytest.mark.parametrize("name", [one for one, it in FEATURES.items() if it.shape is None])
def test_every_feature_has_a_name_a_value_and_every_frame_a_time(call, folder, tmp_path, name):
    call(name, folder, out="f.parquet")
    rows, values, about = read(tmp_path / "f.parquet")
    assert ("time_s" in rows) == bool(FEATURES[name].time_axes)
    assert len(rows) == len(values) > 0
    assert ("speech" in about["time_s"]) == FEATURES[name].is_trimmed


def test_a_file_of_ours_is_replaced_and_another_is_not(call, folder, tmp_path):
    for form in ("npz", "parquet"):
        call("prosody", folder, out=f"f.{form}")
        call("prosody", folder, out=f"f.{form}")
        (tmp_path / f"other.{form}").write_bytes(b"PAR1 not ours")
        with pytest.raises(OutputError, match="not recognised"):
            call("prosody", folder, out=f"other.{form}")
        assert (tmp_path / f"other.{form}").read_bytes() == b"PAR1 not ours"
    with pytest.raises(OutputError, match="what is read"):
        call("prosody", tmp_path / "f.npz", out="f.npz")
    with pytest.raises(OutputError, match=r"\.npz"):
        call("prosody", folder, out="f.csv")


def test_what_parquet_needs_is_said_before_anything_is_computed(call, folder, monkeypatch):
    lines = ['nowhere>=1; extra == "parquet"']
    monkeypatch.setattr("importlib.metadata.requires", lambda _: lines)
    with pytest.raises(ModuleNotFoundError, match=r"\[parquet\]"):
        call("prosody", folder, out="f.parquet")


def test_what_fails_is_named_and_the_others_are_written(call, folder, tmp_path):
    (folder / "sad" / "c.wav").write_bytes(b"RIFF")
    assert "c.wav" in call("prosody", folder, out="f.npz", expected=1)
    assert len(read(tmp_path / "f.npz")[0]) == 2
    for one in ("a", "b"):
        (folder / "sad" / f"{one}.wav").unlink()
    with pytest.raises(FeatureError, match="all 1 clips"):
        call("prosody", folder, out="g.npz")


@pytest.mark.parametrize(
    ("setting", "said"),
    [("n_mel=8", "n_mels"), ("n_mels", "write"), ("n_mels=a", "number"), ("n_mels=-1", "n_mels")],
)
def test_a_wrong_setting_says_which_are_known(call, folder, setting, said):
    with pytest.raises(FeatureError, match=said):
        call("log_mel", folder, "--set", setting, out="f.npz")


def test_what_is_lacking_is_said(call, folder):
    with pytest.raises(FeatureError, match="--list"):
        call("log_mel")
    with pytest.raises(FeatureError, match="layers"):
        call("encoder_frames", folder, out="f.npz")


def test_every_feature_is_listed_in_one_line(call):
    lines = call("--list").splitlines()
    assert [one.split()[0] for one in lines] == list(FEATURES)
