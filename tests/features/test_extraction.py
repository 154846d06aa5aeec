"""Extraction: the part of a clip that a spec names, and a cache that never does work twice."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

from ser_lib.audio.io import load_signal
from ser_lib.chunks import InChunks
from ser_lib.errors import FeatureError, SerError
from ser_lib.features import extraction as module
from ser_lib.features.extraction import compute, extract
from ser_lib.features.registry import FEATURES, FeatureSpec
from ser_lib.features.spectral import log_mel

QUICK = FeatureSpec("waveform_envelope", params={"duration_s": 0.5, "n_points": 16})


def test_chunks_hold_every_clip_once_and_are_made_when_asked_for():
    clips = pd.DataFrame({"path": [f"{n}.wav" for n in range(20)], "size": range(20)})
    of_table, of_list = InChunks(clips), InChunks(list(clips["path"]))
    assert [*map(len, of_table)] == [*map(len, of_list)] == [8, 8, 4]
    rows = list(clips.itertuples(index=False, name=None))
    assert [row for chunk in of_table for row in chunk] == rows
    assert [path for chunk in of_list for path in chunk] == list(clips["path"])
    assert len(of_table) == len(of_list) == 3
    assert len(InChunks([])) == 0
    with pytest.raises(IndexError):
        of_list[3]


# --- one file


def test_an_augmentation_needs_a_generator(few_clips):
    with pytest.raises(FeatureError, match="rng"):
        compute(few_clips["path"][0], QUICK, variant="noise")


def test_a_spec_says_which_part_of_the_clip_is_seen(few_clips):
    path = few_clips["path"][0]
    signal, _ = load_signal(path, sample_rate_hz=16_000)
    spec = FeatureSpec("log_mel", sample_rate_hz=16_000, offset_s=0.25, duration_s=0.5)
    expected = log_mel(signal[4000:12_000], 16_000)
    np.testing.assert_array_equal(compute(path, spec), expected)


def test_a_part_beyond_the_end_of_the_clip_is_explained(few_clips):
    spec = FeatureSpec("log_mel", offset_s=100.0)
    with pytest.raises(FeatureError, match="100"):
        compute(few_clips["path"][0], spec)


# --- all clips


def test_a_feature_does_not_depend_on_the_threads_of_the_process(few_clips):
    spec = FeatureSpec("mfcc_zcr_rms", sample_rate_hz=22_050, duration_s=2.5)
    found = []
    for n_threads in (1, 2):
        with threadpool_limits(n_threads, user_api="blas"):
            chunks = module.compute_each(few_clips, spec, n_jobs=1)
            found.append(np.stack([one for chunk in chunks for one in module.results_of(chunk)]))
            chunks.delete()
    np.testing.assert_array_equal(*found)


@pytest.fixture
def forbid_work(monkeypatch):
    """Return a function after whose call no feature can be computed any more."""

    def refuse(*_args: object, **_options: object) -> None:
        raise AssertionError("computed although it was in the cache")

    return lambda: monkeypatch.setattr(module, "compute", refuse)


def _stored(tmp_path) -> list[str]:
    folder = tmp_path / "cache" / "features"
    return sorted(os.listdir(folder)) if folder.is_dir() else []


def test_a_name_stands_for_the_feature_with_its_usual_parameters(few_clips):
    by_name = extract(few_clips.head(2), "waveform_envelope")
    np.testing.assert_array_equal(
        by_name, extract(few_clips.head(2), FeatureSpec("waveform_envelope"))
    )


def test_extraction_is_the_feature_of_each_clip_in_order(few_clips):
    arrays = extract(few_clips, QUICK)
    assert arrays.shape == (24, 2, 16)
    for at in (0, 11, 23):
        np.testing.assert_array_equal(arrays[at], compute(few_clips["path"][at], QUICK))
    turned = extract(few_clips.iloc[::-1], QUICK)
    np.testing.assert_array_equal(turned, arrays[::-1])


def test_a_second_extraction_does_no_work(few_clips, forbid_work):
    first = np.array(extract(few_clips, QUICK))
    forbid_work()
    np.testing.assert_array_equal(extract(few_clips, QUICK), first)


def test_extracted_arrays_are_mapped_and_cannot_be_written(few_clips):
    arrays = extract(few_clips[:2], QUICK)
    assert isinstance(arrays, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        arrays[0] = 0


def test_a_renamed_clip_is_found_in_the_cache_and_a_changed_one_is_not(
    tmp_path, few_clips, forbid_work
):
    clips = few_clips[:2].copy()
    first = np.array(extract(clips, QUICK))
    moved = shutil.copy(clips["path"][0], tmp_path / "renamed.opus")
    renamed = clips.assign(path=[str(moved), clips["path"][1]], clip_id=["x/1", "x/2"])
    changed = clips.assign(audio_sha256=["0" * 64, clips["audio_sha256"][1]])
    forbid_work()
    np.testing.assert_array_equal(extract(renamed, QUICK), first)
    with pytest.raises(AssertionError, match="computed although"):
        extract(changed, QUICK)


OTHER_SPECS = [
    replace(QUICK, params={"duration_s": 0.5, "n_points": 17}),
    replace(QUICK, params={"duration_s": 0.4, "n_points": 16}),
    replace(QUICK, sample_rate_hz=16_000),
    replace(QUICK, offset_s=0.1),
    replace(QUICK, duration_s=0.3),
    FeatureSpec("log_mel", duration_s=0.5),
]


@pytest.mark.parametrize("spec", OTHER_SPECS)
def test_another_spec_is_another_file(tmp_path, few_clips, spec):
    extract(few_clips[:2], QUICK)
    extract(few_clips[:2], spec)
    assert len(_stored(tmp_path)) == 2


def test_a_new_version_of_a_feature_is_another_file(tmp_path, few_clips, monkeypatch):
    extract(few_clips[:2], QUICK)
    newer = replace(FEATURES[QUICK.name], version=99)
    monkeypatch.setitem(module.FEATURES, QUICK.name, newer)
    extract(few_clips[:2], QUICK)
    assert len(_stored(tmp_path)) == 2


@pytest.mark.parametrize("variant", ["noise", "shift", "stretch", "pitch"])
def test_a_variant_does_not_depend_on_the_other_clips(few_clips, variant):
    alone = np.array(extract(few_clips[3:5], QUICK, variant=variant))
    together = extract(few_clips[:6], QUICK, variant=variant)
    np.testing.assert_array_equal(alone, together[3:5])
    assert not np.array_equal(alone, extract(few_clips[3:5], QUICK))


@pytest.mark.parametrize("variant", ["noise", "shift", "stretch", "pitch"])
def test_every_clip_draws_its_own_augmentation(few_clips, variant):
    # The same sound under two hashes: whatever differs was drawn.
    path = few_clips["path"][0]
    clips = few_clips[:2].assign(path=path, audio_sha256=["0" * 64, "1" * 64])
    first, second = extract(clips, QUICK, variant=variant)
    assert not np.array_equal(first, second)


def test_all_clips_that_fail_are_listed_and_nothing_is_kept(tmp_path, few_clips):
    clips = few_clips[:6].copy()
    damaged = [tmp_path / "damaged-1.opus", tmp_path / "damaged-2.opus"]
    damaged[0].write_bytes(b"no audio")
    clips.loc[1, "path"], clips.loc[4, "path"] = map(str, damaged)
    with pytest.raises(FeatureError, match="waveform_envelope: 2 ") as caught:
        extract(clips, QUICK)
    assert all(str(path) in str(caught.value) for path in damaged)
    # Each file is named once in its line.
    assert str(caught.value).count("damaged-1.opus") == 1
    assert _stored(tmp_path) == []


def test_clips_of_different_shapes_are_refused_and_nothing_is_kept(tmp_path, few_clips):
    with pytest.raises(FeatureError, match=r"log_mel: .*shapes"):
        extract(few_clips[:6], FeatureSpec("log_mel"))
    assert _stored(tmp_path) == []


def test_an_array_is_stored_as_numpy_stores_it(tmp_path, few_clips):
    arrays = extract(few_clips, QUICK)
    np.save(tmp_path / "expected.npy", np.array(arrays))
    assert Path(arrays.filename).read_bytes() == (tmp_path / "expected.npy").read_bytes()


def _computed(monkeypatch, ends_at: int = 99) -> list[str]:
    """Count the clips that are computed from here on; end the work at one of them."""
    found: list[str] = []

    def counted(path: str, *arguments: object, **options: object) -> np.ndarray:
        if len(found) == ends_at:
            raise KeyboardInterrupt
        found.append(path)
        return compute(path, *arguments, **options)

    monkeypatch.setattr(module, "compute", counted)
    return found


def test_a_stopped_extraction_goes_on_where_it_was(few_clips, monkeypatch):
    found = _computed(monkeypatch, ends_at=18)
    with pytest.raises(KeyboardInterrupt):
        extract(few_clips, QUICK)
    rest = _computed(monkeypatch)
    arrays = extract(few_clips, QUICK)
    # Chunks are of eight clips.
    assert rest == list(few_clips["path"])[16:]
    assert found[:16] + rest == list(few_clips["path"])
    np.testing.assert_array_equal(arrays[3], compute(few_clips["path"][3], QUICK))


@pytest.mark.parametrize("damage", ["a flipped bit", "half of it", "nothing"])
def test_a_damaged_chunk_is_made_again(tmp_path, few_clips, monkeypatch, damage):
    chunks = module.compute_each(few_clips, QUICK, n_jobs=1)
    file = sorted(chunks.folder.iterdir())[1]
    whole = file.read_bytes()
    middle = len(whole) // 4
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    file.write_bytes({"a flipped bit": flipped, "half of it": whole[:500], "nothing": b""}[damage])
    found = _computed(monkeypatch)
    extract(few_clips, QUICK)
    assert found == list(few_clips["path"])[8:16]
    assert not chunks.folder.exists()


def test_without_audio_nothing_is_extracted_but_the_cache_is_read(few_clips):
    without = few_clips[:2].assign(path="")
    with pytest.raises(FeatureError, match=r"waveform_envelope: .*SER_DATA"):
        extract(without, QUICK)
    expected = np.array(extract(few_clips[:2], QUICK))
    np.testing.assert_array_equal(extract(without, QUICK), expected)


def test_no_clips_give_a_clear_error(few_clips):
    with pytest.raises(SerError):
        extract(few_clips[:0], QUICK)


@pytest.mark.slow
def test_two_workers_compute_what_one_does(tmp_path, demo_clips, monkeypatch):
    clips: pd.DataFrame = demo_clips[:40]
    parallel = np.array(extract(clips, QUICK, variant="noise", n_jobs=2))
    monkeypatch.setenv("SER_CACHE", str(tmp_path / "other"))
    np.testing.assert_array_equal(extract(clips, QUICK, variant="noise", n_jobs=1), parallel)


def test_a_feature_that_needs_more_memory_than_there_is_is_refused(demo_clips, monkeypatch):
    def too_large(signal, sample_rate_hz):
        raise MemoryError("Unable to allocate 80.2 TiB")

    monkeypatch.setitem(FEATURES, "log_mel", replace(FEATURES["log_mel"], function=too_large))
    with pytest.raises(FeatureError, match="TiB"):
        extract(demo_clips[:1], "log_mel")
